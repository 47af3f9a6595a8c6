"""Served rows are held against the invariants of the data gate, rule by rule."""

import numpy as np
import pytest

from pipeline.features.definitions import RANGES, ROLLING
from pipeline.flights.features import CARRIERS, ONE_HOT_CARRIERS, ORIGINS
from pipeline.monitor.inputs import served_rules
from tests.builders import feature_rows
from tests.monitor.months import as_served

pytestmark = [pytest.mark.answer("data-drift"), pytest.mark.slow]

CLEAN = as_served(feature_rows(300, days=5))


def names(outcomes, passed):
    return {f"{o.rule} {' '.join(o.columns)}" for o in outcomes if o.passed is passed}


def test_every_declared_range_and_every_name_is_a_rule_that_clean_rows_pass():
    outcomes = served_rules.apply_rules("clean", CLEAN, None)
    assert names(outcomes, passed=False) == set()
    ranges = {f"range {name}" for name in ["risk", *RANGES]}
    never = {f"never-null {n}" for n in [*served_rules.NEVER_MISSING, "system_dep_late_3h"]}
    assert ranges | never | {"known carrier", "known origin"} <= names(outcomes, passed=True)
    assert {o.action for o in outcomes} == {"refuse"}


def test_each_planted_fault_is_named_and_no_other():
    rows = CLEAN.assign(origin=CLEAN["origin"].where(CLEAN.index > 0, "BOS"))
    rows.loc[1, "risk"] = -0.1
    rows.loc[2, "release"] = None
    rows.loc[[3, 4], "request_id"] = "again"
    rows.loc[5, "system_dep_late_3h"] = np.float32(1.5)
    broken = [o for o in served_rules.apply_rules("broken", rows, None) if not o.passed]
    assert {(o.rule, *o.columns): o.positions for o in broken} == {
        ("known", "origin"): [0],
        ("range", "risk"): [1],
        ("never-null", "release"): [2],
        ("unique-request", "request_id"): [3, 4],
        ("range", "system_dep_late_3h"): [5],
    }


def test_only_what_is_over_all_flights_must_always_be_known():
    assert served_rules.ALWAYS_KNOWN == ["system_dep_late_3h", "system_late_24h"]
    assert {r.name for r in ROLLING} > set(served_rules.ALWAYS_KNOWN)


def test_pages_for_people_are_written_where_they_are_asked_for(tmp_path):
    served_rules.apply_rules("clean", CLEAN, tmp_path / "docs")
    assert (tmp_path / "docs/index.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"docs"}


def test_carriers_without_a_column_of_their_own_are_known_too():
    assert {"VX", "HA"}.isdisjoint(ONE_HOT_CARRIERS)
    assert {"VX", "HA"} <= set(CLEAN["carrier"]) <= set(CARRIERS)
    assert set(CLEAN["origin"]) == set(ORIGINS)
