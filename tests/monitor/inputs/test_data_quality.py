"""Every fault of a feed trips its own wire, with both numbers, and clean rows trip none."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import VIEWS
from pipeline.monitor.inputs import data_quality
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.builders import feature_rows
from tests.monitor.months import as_served

pytestmark = pytest.mark.answer("data-drift")

LIMITS = load(MonitorConfig).tripwires
REFERENCE = as_served(feature_rows(3_600, days=30))
CLEAN = as_served(feature_rows(3_600, "2013-03-01", 30, seed=1))
CHECKS = [
    *(f"missing {view}" for view in VIEWS),
    *("unseen carrier", "unseen origin", "unseen dest"),
    *("impossible values", "impossible requests", "stuck days", "flights a day"),
]
DAY = CLEAN["flight"].str[:10].to_numpy()


def looked(rows, **more):
    return {
        check.name: check for check in data_quality.check_quality(REFERENCE, rows, LIMITS, **more)
    }


def some(share):
    """So large a share of the rows, evenly."""
    return pd.Series(np.arange(len(CLEAN)) % 100 < 100 * share)


def test_clean_rows_trip_nothing(record_property: Callable[[str, object], None]):
    found = looked(CLEAN)
    assert list(found) == CHECKS
    tripped = data_quality.failures(list(found.values()))
    assert tripped == []
    record_property(f"of {len(found)} tripwires tripped by clean rows", len(tripped))


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_is_lost_is_named_with_both_shares(view):
    column = f"{view}_known_at"
    before = REFERENCE[column].isna().mean()
    found = looked(CLEAN.assign(**{column: CLEAN[column].mask(CLEAN[column].notna())}))
    (check,) = data_quality.failures(list(found.values()))
    assert check.name == f"missing {view}"
    assert check.found == pytest.approx(1 - before, abs=1e-6)
    assert check.limit == LIMITS.max_missing_rise
    assert check.detail == f"100.0% of rows without, {before:.1%} in training"


def test_a_view_may_be_missing_as_often_as_in_training_and_a_little_more():
    for share, passes in ((0.15, True), (0.16, False)):
        rows = CLEAN.assign(origin_known_at=CLEAN["origin_known_at"].mask(some(share)))
        assert looked(rows)["missing origin"].passed is passes
    usual = CLEAN["aircraft_known_at"].isna().mean()
    assert usual > LIMITS.max_missing_rise
    assert looked(CLEAN)["missing aircraft"].passed


@pytest.mark.parametrize(
    ("column", "strange"), [("carrier", "XX"), ("origin", "BOS"), ("dest", "LAX")]
)
def test_what_training_never_saw_is_named_with_its_share(column, strange):
    found = looked(CLEAN.assign(**{column: CLEAN[column].mask(some(0.03), strange)}))
    (check,) = data_quality.failures(list(found.values()))
    assert (check.name, check.found, check.limit) == (f"unseen {column}", 0.03, 0.02)
    assert check.detail == f"not in training: {strange}"


def test_a_few_flights_to_a_place_that_is_new_are_no_fault():
    found = looked(CLEAN.assign(dest=CLEAN["dest"].mask(some(0.02), "LAX")))
    assert found["unseen dest"].passed
    assert found["unseen dest"].found == 0.02


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("system_dep_late_3h", 37.5),
        ("humid", -1),
        ("wind_speed", 1_048),
        ("risk", 1.01),
        ("risk", np.nan),
    ],
)
@pytest.mark.answer("devops-engineer")
def test_a_single_value_that_cannot_be_is_named(
    column, value, record_property: Callable[[str, object], None]
):
    rows = CLEAN.copy()
    rows.loc[7, column] = value
    (check,) = data_quality.failures(list(looked(rows).values()))
    assert (check.name, check.found, check.limit) == ("impossible values", 1, 0)
    assert check.detail.endswith(f": {column} 1 in request {rows.loc[7, 'request_id']}")
    record_property(f"impossible value found among {len(rows):,} rows", check.found)


ALLOWED = LIMITS.odd_requests.allowed(len(CLEAN))


@pytest.mark.parametrize(("column", "value"), [("sched_minute", 1_440), ("distance", np.inf)])
def test_a_request_that_somebody_made_by_hand_calls_nobody_and_many_do(
    column, value, record_property: Callable[[str, object], None]
):
    rows = CLEAN.copy()
    rows.loc[: ALLOWED - 1, column] = value
    check = looked(rows)["impossible requests"]
    assert (check.passed, check.found, check.limit) == (True, ALLOWED, ALLOWED)
    rows.loc[ALLOWED, column] = value
    (check,) = data_quality.failures(list(looked(rows).values()))
    assert (check.name, check.found) == ("impossible requests", ALLOWED + 1)
    assert check.detail.endswith(f": {column} {ALLOWED + 1}")
    record_property(f"rows of {len(rows):,} that callers may get wrong", ALLOWED)


def test_a_few_are_allowed_of_few_rows_and_a_share_of_many():
    odd = LIMITS.odd_requests
    assert [odd.allowed(rows) for rows in (0, 100, 5_000, 28_330)] == [5, 5, 5, 28]
    skew = {"distance": 28, "humid": 29}
    assert data_quality.unexplained_skew(skew, 28_330, odd) == {"humid": 29}


@pytest.mark.slow
def test_the_gates_own_rules_allow_callers_as_much_and_name_requests_of_ours():
    rows = CLEAN.copy()
    rows.loc[:2, "sched_minute"] = 1_500
    rows.loc[7, "risk"] = 1.5
    found = {
        c.name: c for c in data_quality.validate_served("odd", rows, LIMITS.odd_requests, None)
    }
    (failed,) = data_quality.failures(list(found.values()))
    assert failed.name == "range risk"
    assert failed.detail.endswith(f"in request {rows.loc[7, 'request_id']}")
    odd = found["range sched_minute"]
    assert (odd.found, odd.limit, odd.passed) == (3, ALLOWED, True)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_value_without_bounds_has_to_be_finite(value):
    rows = CLEAN.copy()
    rows.loc[7, "aircraft_slack"] = value
    (check,) = data_quality.failures(list(looked(rows).values()))
    assert ": aircraft_slack 1 in request " in check.detail


def test_a_value_that_may_be_missing_is_not_impossible():
    assert looked(CLEAN.assign(wind_gust=np.float32(np.nan)))["impossible values"].passed


@pytest.mark.parametrize("column", ["system_dep_late_3h", "system_late_24h", "humid", "wind_speed"])
def test_a_value_that_never_changed_within_a_day_is_named(column):
    one = CLEAN.copy()
    one.loc[DAY == "2013-03-07", column] = np.float32(0.5)
    (check,) = data_quality.failures(list(looked(one).values()))
    assert (check.name, check.found, check.limit) == ("stuck days", 1, 0)
    assert check.detail.endswith(f"never changed on 2013-03-07: {column}")


def test_a_day_of_few_flights_may_well_have_one_value():
    rows = CLEAN.copy()
    first = np.flatnonzero(DAY == "2013-03-07")
    rows.loc[first, "humid"] = np.float32(0.5)
    assert looked(rows.drop(index=first[:21]))["stuck days"].passed
    assert not looked(rows.drop(index=first[:20]))["stuck days"].passed


def test_half_a_day_is_named_with_how_many_flights_are_usual():
    day = np.flatnonzero(DAY == "2013-03-07")
    assert looked(CLEAN.drop(index=day[:60]))["flights a day"].passed
    (check,) = data_quality.failures(list(looked(CLEAN.drop(index=day[:61])).values()))
    assert (check.name, check.limit) == ("flights a day", 0.5)
    assert check.found == pytest.approx(59 / 120, abs=1e-6)
    assert check.detail == "59 flights on 2013-03-07, usual are 120 a day"


def test_the_day_that_is_not_over_is_not_held_for_half_a_day():
    now = pd.Timestamp("2013-03-07T14:00Z")
    rows = CLEAN[CLEAN["predict_at"] <= now]
    assert (rows["flight"].str[:10] == "2013-03-07").sum() < 60
    assert looked(rows, now=now)["flights a day"].passed
    evening = pd.Timestamp("2013-03-08T04:59Z")  # in New York
    assert looked(rows, now=evening)["flights a day"].passed
    after_midnight = pd.Timestamp("2013-03-08T05:01Z")
    assert not looked(rows, now=after_midnight)["flights a day"].passed
    assert looked(rows[rows["flight"] >= "2013-03-07"], now=now)["flights a day"].passed


# By Great Expectations.


@pytest.mark.slow
def test_the_data_gates_rules_pass_on_clean_rows():
    checks = data_quality.validate_served("served 2013-03", CLEAN, LIMITS.odd_requests, None)
    assert len(checks) > 40
    assert data_quality.failures(checks) == []
    assert all(check.blocking for check in checks)


@pytest.mark.slow
def test_every_fault_that_breaks_a_rule_is_named_with_how_many_rows():
    rows = CLEAN.copy()
    rows.loc[1, "request_id"] = rows.loc[0, "request_id"]
    rows.loc[:2, "system_late_24h"] = np.float32(np.nan)
    rows.loc[:3, "humid"] = np.float32(101)
    rows.loc[:4, "carrier"] = "XX"
    checks = data_quality.validate_served("served", rows, LIMITS.odd_requests, None)
    found = {c.name: c for c in data_quality.failures(checks)}
    assert {name: check.found for name, check in found.items()} == {
        "unique-request request_id": 2,
        "never-null system_late_24h": 3,
        "range humid": 4,
        "known carrier": 5,
    }
    assert {check.limit for check in found.values()} == {0}
    told = "Great Expectations: 5 of 3,600 rows in request batch/2013-03-01/"
    assert found["known carrier"].detail.startswith(told)
