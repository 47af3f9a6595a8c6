"""What drifted, how far, and what it calls for: an alert only where it may and only if it lasts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import NUMERIC
from pipeline.monitor.inputs.drift import (
    CATEGORIES,
    RISK,
    group_of,
    judge_column,
    measure,
    measure_drift,
    trailing_ends,
)
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.builders import feature_rows
from tests.monitor.months import as_served

pytestmark = pytest.mark.answer("data-drift")


def config(**changes):
    """The configured limits; `changes` of the trailing windows, or of the limits themselves."""
    whole = load(MonitorConfig)
    trailing = {k: v for k, v in changes.items() if k in type(whole.trailing).model_fields}
    own = {k: v for k, v in changes.items() if k not in trailing}
    return whole.model_copy(
        update=own | {"trailing": whole.trailing.model_copy(update=trailing), "html": "none"}
    )


@pytest.mark.parametrize(
    ("column", "group"),
    [
        ("risk", "prediction"),
        ("distance", "static"),
        ("carrier", "static"),
        ("origin", "static"),
        ("aircraft_slack", "aircraft"),
        ("wind_gust", "weather"),
        ("system_dep_late_3h", "rolling"),
        ("hour_late_28d", "rolling"),
    ],
)
def test_a_column_follows_the_rule_of_its_group(column, group):
    assert group_of(column) == group


# What calls for what.


@pytest.mark.parametrize("column", ["risk", "distance", "carrier", "aircraft_age"])
@pytest.mark.parametrize(
    ("psi", "status"),
    [(0.0, "quiet"), (0.0999, "quiet"), (0.1, "warn"), (0.1999, "warn"), (0.2, "alert")],
)
def test_a_tripwire_warns_and_alerts_from_its_limits_on(column, psi, status):
    assert judge_column(column, psi, [], config()).status == status
    assert judge_column(column, 0.0, [psi, psi], config()).status == status


def test_the_predictions_and_the_tripwires_have_limits_of_their_own():
    changed = config(prediction_alert=9, tripwire_warn=0.01)
    assert judge_column("risk", 5.0, [5.0, 5.0], changed).status == "warn"
    assert judge_column("distance", 0.05, [0.05], changed).status == "warn"


@pytest.mark.parametrize(
    ("looks", "status"),
    [
        ([0.3], "warn"),
        ([0.3, 0.3], "alert"),
        ([0.01, 0.3], "warn"),
        ([0.3, 0.01], "quiet"),
        ([0.3, 0.15], "warn"),
        ([0.3, 0.3, 0.01, 0.3], "warn"),
        ([0.01, 0.3, 0.3], "alert"),
    ],
)
def test_a_warning_comes_at_once_and_an_alert_only_if_it_lasts(looks, status):
    assert judge_column("risk", 9.0, looks, config()).status == status


@pytest.mark.parametrize("persist", [1, 2, 3, 4])
def test_an_alert_wants_as_many_looks_in_a_row_as_the_config_says(persist):
    found = [
        judge_column("risk", 0, [0.3] * n, config(persist_looks=persist)).status
        for n in range(1, 6)
    ]
    assert found == ["warn"] * (persist - 1) + ["alert"] * (6 - persist)


@pytest.mark.parametrize(
    ("looks", "factor", "lasting"),
    [([0.3], 1, None), ([0.3, 0.25], 1, 0.25), ([0.1, 0.5, 0.4], 1, 0.4), ([0.3, 0.4], 2, 0.15)],
)
def test_what_lasts_is_the_least_of_the_looks_that_an_alert_takes(looks, factor, lasting):
    assert judge_column("risk", 9.0, looks, config(), factor).lasting == lasting
    assert judge_column("risk", 0.3, [], config(), factor).lasting == 0.3 / factor


def test_without_a_trailing_look_the_whole_window_is_the_one_that_counts():
    assert judge_column("risk", 0.3, [], config()).status == "alert"


def test_the_factor_of_the_family_raises_both_limits():
    assert judge_column("risk", 0, [0.3, 0.3], config(), factor=2).status == "warn"
    assert judge_column("risk", 0, [0.15, 0.15], config(), factor=2).status == "quiet"
    assert judge_column("risk", 0, [0.4, 0.4], config(), factor=2).status == "alert"


@pytest.mark.parametrize("column", ["humid", "system_dep_late_3h", "hour_late_28d"])
@pytest.mark.parametrize("looks", [[], [16.0] * 5])
def test_what_follows_the_season_is_reported_however_far_it_went_and_however_long(column, looks):
    assert judge_column(column, 16.0, looks, config()).status == "report"


# Which days are looked at.


def days(first, last):
    return pd.date_range(first, last).strftime("%Y-%m-%d").to_numpy().astype("U10")


def test_the_looks_go_back_from_the_newest_day_in_whole_steps_to_the_first_of_the_window():
    found = trailing_ends(days("2013-03-04", "2013-04-30"), "2013-04-01", config())
    assert found == ["2013-04-02", "2013-04-09", "2013-04-16", "2013-04-23", "2013-04-30"]


def test_a_look_waits_until_enough_days_are_there():
    found = trailing_ends(days("2013-04-01", "2013-04-30"), "2013-04-01", config())
    assert found == ["2013-04-09", "2013-04-16", "2013-04-23", "2013-04-30"]
    assert trailing_ends(days("2013-04-01", "2013-04-06"), "2013-04-01", config()) == []
    assert trailing_ends(days("2013-04-01", "2013-04-07"), "2013-04-01", config()) == ["2013-04-07"]


def test_a_day_without_flights_is_not_looked_at():
    there = days("2013-04-01", "2013-04-30")
    found = trailing_ends(there[there != "2013-04-16"], "2013-04-01", config())
    assert found == ["2013-04-09", "2013-04-23", "2013-04-30"]


# The measure: Evidently's PSI against one that is worked out here.


def frame(rows, seed, **changes):
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": chance.normal(1_000, 200, rows),
            "humid": chance.random(rows) * 100,
            "aircraft_age": np.where(chance.random(rows) < 0.4, np.nan, chance.random(rows)),
            "origin": chance.choice(["EWR", "JFK", "LGA"], rows),
            "carrier": chance.choice(["UA", "B6"], rows),
        }
    ).assign(**changes)


def index(old, new):
    """The population stability index of two lists of shares."""
    old, new = np.clip(old, 1e-4, None), np.clip(new, 1e-4, None)
    return float(((new - old) * np.log(new / old)).sum())


def index_of_numbers(old, new, bins=10):
    """The PSI over tenths of the reference."""
    edges = np.quantile(old, np.linspace(0, 1, bins + 1)[1:-1])
    counted = [np.bincount(np.searchsorted(edges, v), minlength=bins) for v in (old, new)]
    return index(*(count / count.sum() for count in counted))


@pytest.fixture(scope="module")
def found():
    reference = frame(4_000, 0)
    current = frame(
        4_000,
        1,
        distance=lambda f: f["distance"] + 200,
        carrier=lambda f: f["carrier"].where(np.arange(len(f)) % 2 == 0, "UA"),
        aircraft_age=np.nan,
    )
    return reference, current, measure(reference, current, html=False)


@pytest.mark.slow
def test_columns_that_did_not_change_have_next_to_no_drift(found):
    _, _, psi = found
    assert 0 <= psi["humid"] < 0.02
    assert 0 <= psi["origin"] < 0.02


@pytest.mark.slow
def test_a_column_that_is_identical_has_none():
    reference = frame(1_000, 0)
    assert max(measure(reference, reference, html=False).values()) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_a_shift_by_one_deviation_is_as_large_as_worked_out_by_hand(
    found, record_property: Callable[[str, object], None]
):
    reference, current, psi = found
    expected = index_of_numbers(reference["distance"], current["distance"])
    assert psi["distance"] == pytest.approx(expected, rel=0.25)
    assert psi["distance"] == pytest.approx(1, rel=0.25)  # two normal curves, one deviation apart
    record_property("PSI of a shift by one standard deviation", psi["distance"])


@pytest.mark.slow
def test_a_change_of_categories_is_as_large_as_worked_out_by_hand(found):
    reference, current, psi = found
    shares = [
        table["carrier"].value_counts(normalize=True)[["UA", "B6"]].to_numpy()
        for table in (reference, current)
    ]
    assert psi["carrier"] == pytest.approx(index(*shares), rel=0.01)
    assert psi["carrier"] > 0.2


# A window against the training window.


@pytest.fixture(scope="module")
def drift():
    """April, and the weeks before, in which distances and the season jump on April 10."""
    reference = feature_rows()
    rows = feature_rows(3_660, "2013-03-01", 61, seed=1)
    late = rows["sched_dep_utc"] >= "2013-04-10T06:00Z"
    rows["distance"] += np.where(late, 2, 0).astype("float32")
    rows["system_dep_late_3h"] = rows["system_dep_late_3h"].where(~late, 0.9)
    risks = [np.random.default_rng(n).random(len(r)) / 2 for n, r in enumerate((reference, rows))]
    served = [as_served(r, risk) for r, risk in zip((reference, rows), risks, strict=True)]
    tight = config(prediction_warn=0.005, prediction_alert=0.005)
    return measure_drift(*served, "2013-04-01", tight), served


@pytest.mark.slow
def test_every_input_and_the_prediction_is_in_the_record_the_farthest_first(drift):
    columns = drift[0].columns
    assert {column.column for column in columns} == {*NUMERIC, *CATEGORIES, RISK}
    assert [c.psi for c in columns] == sorted((c.psi for c in columns), reverse=True)


@pytest.mark.slow
def test_what_lasts_is_an_alert_and_the_season_is_reported(drift):
    by_name = {column.column: column for column in drift[0].columns}
    moved = [c for c in drift[0].columns if c.status in ("warn", "alert")]
    assert [(c.column, c.status) for c in moved] == [("distance", "alert")]
    assert by_name["system_dep_late_3h"].status == "report"
    assert by_name["system_dep_late_3h"].psi > 1


@pytest.mark.slow
def test_the_looks_grow_as_the_window_fills_with_what_has_moved(drift):
    (distance,) = [c for c in drift[0].columns if c.status == "alert"]
    assert drift[0].look_days[1] == "2013-04-09"
    before, after = distance.looks[:2], distance.looks[2:]
    assert max(before) < 0.1 * drift[0].family_factor < min(after)
    assert after == sorted(after)


@pytest.mark.slow
def test_the_record_names_both_windows_and_what_was_said_in_them(drift):
    told, (reference, rows) = drift
    april = rows[rows["month"] == 4]
    assert (told.reference, told.window) == ("2013-01-08..2013-02-28", "2013-04-01..2013-04-30")
    assert (told.reference_rows, told.rows) == (3_120, len(april))
    assert told.mean_risk_reference == pytest.approx(reference["risk"].mean(), abs=1e-6)
    assert told.mean_risk == pytest.approx(april["risk"].mean(), abs=1e-6)


@pytest.mark.slow
def test_a_limit_that_chance_alone_exceeds_is_raised_for_all_columns(drift):
    (risk,) = [column for column in drift[0].columns if column.column == RISK]
    assert max(risk.looks) > 0.005
    assert drift[0].family_factor > max(risk.looks) / 0.005
    assert risk.status == "quiet"


# The report for people.


@pytest.mark.slow
def test_the_report_for_people_is_written_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = frame(200, 0)[["distance", "origin", "carrier"]]
    measure(small, small, html=True)
    assert [path.name for path in Path("data/monitor").iterdir()] == ["drift.html"]
    assert "distance" in Path("data/monitor/drift.html").read_text()
