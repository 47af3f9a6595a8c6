import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import KNOWN_AT, PROXY
from pipeline.retrain.data_guards import check_rows, completeness, coverage, freshness
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.errors import LabelsRefused, TrainingRefused
from tests.builders import feature_rows

pytestmark = pytest.mark.answer("retraining")

LIMITS, RULE, GATE = load(RetrainConfig).guards, load(MonitorConfig).outcome, load(EvaluateConfig)
NEWEST_WEEK, NEWEST_FORTNIGHT = (pd.Timestamp(f"2013-{day}") for day in ("03-02", "02-23"))


@pytest.fixture(scope="module")
def rows():
    """Sixty days of flights whose departure-late flag agrees with the label nine times in ten."""
    frame = feature_rows(24_000, days=60)
    flips = np.random.default_rng(1).random(len(frame)) < 0.1
    return frame.assign(**{PROXY: np.where(flips, 1 - frame["late"], frame["late"])})


def asked(rows, flights=None):
    return check_rows(rows, rows if flights is None else flights, LIMITS, RULE, GATE)


def since(rows, day):
    return pd.to_datetime(rows[["year", "month", "day"]]) >= day


def test_clean_rows_pass_every_guard(rows, record_property: Callable[[str, object], None]):
    checks = asked(rows)
    assert [check.name for check in checks] == [
        "labels agree with flags",
        "coverage of origin and hour",
        "rows of flights that arrived",
        "age of features",
    ]
    assert all(check.passed for check in checks)
    record_property(f"guards that {len(rows):,} clean rows pass", len(checks))


def test_turned_labels_of_the_newest_week_are_refused_though_the_gate_would_be_blind(
    rows, record_property: Callable[[str, object], None]
):
    late = rows["late"].where(~since(rows, NEWEST_WEEK), 1 - rows["late"])
    with pytest.raises(LabelsRefused) as refused:
        asked(rows.assign(late=late))
    (weeks,) = re.findall(
        r"labels disagree with the departure-late flag in (\d+)", str(refused.value)
    )
    record_property("weeks of a carrier whose turned labels are refused", int(weeks))


def test_one_carriers_turned_week_is_named(rows):
    turned = (rows["carrier"] == "UA") & since(rows, pd.Timestamp("2013-02-18"))
    turned &= ~since(rows, pd.Timestamp("2013-02-25"))
    late = rows["late"].where(~turned, 1 - rows["late"])
    with pytest.raises(LabelsRefused, match=r"in 1 carrier-week\(s\): UA in the week of 2013-02-1"):
        asked(rows.assign(late=late))


def test_mornings_that_are_missing_are_refused_by_their_origin_and_hour(rows):
    lost = since(rows, NEWEST_FORTNIGHT) & (rows["sched_hour"] < 9) & (rows["origin"] == "LGA")
    with pytest.raises(
        TrainingRefused, match=r"coverage of .* found|: 0, limit 0\.5 \(LGA from 00"
    ):
        asked(rows[~lost])


def test_mornings_that_were_never_there_are_missed_beside_what_arrived(rows):
    never = rows[(rows["sched_hour"] >= 9) | (rows["origin"] != "JFK")]
    assert coverage(never, LIMITS, GATE.slices.hour_bands).passed
    with pytest.raises(TrainingRefused, match=r"arrived: 0, limit 0\.98 \(JFK from 00h: 0 rows of"):
        asked(never, rows)


@pytest.mark.parametrize(("lost", "passes"), [(0.015, True), (0.025, False)])
def test_two_in_a_hundred_may_be_missing(rows, lost, passes):
    cut = int(len(rows) * lost)
    check = completeness(rows[cut:], rows, LIMITS, [0])
    whole = rows["origin"].value_counts()
    assert check.found == pytest.approx(
        (rows[cut:]["origin"].value_counts() / whole).min(), abs=1e-4
    )
    assert check.passed is (check.found >= LIMITS.min_complete) is passes


def test_features_that_are_six_hours_old_are_refused_by_their_view(rows):
    new = since(rows, NEWEST_FORTNIGHT)
    old = rows["carrier_known_at"].where(~new, rows["carrier_known_at"] - pd.Timedelta(hours=6))
    with pytest.raises(TrainingRefused, match=r"age of features: 13, limit 2 .*carrier: 390 minut"):
        asked(rows.assign(carrier_known_at=old))


def test_a_view_that_has_gone_is_infinitely_old(rows):
    gone = rows["weather_known_at"].mask(since(rows, NEWEST_FORTNIGHT))
    with pytest.raises(TrainingRefused, match=r"age of features: 1e\+09, limit 2 .*weather"):
        asked(rows.assign(weather_known_at=gone))


@pytest.mark.parametrize(("kept", "passes"), [(0.55, True), (0.45, False)])
def test_half_of_the_usual_flights_is_the_limit(rows, kept, passes):
    new = since(rows, NEWEST_FORTNIGHT).to_numpy() & (rows["origin"] == "EWR").to_numpy()
    lost = new & (np.random.default_rng(2).random(len(rows)) > kept)
    check = coverage(rows[~lost], LIMITS, [0])
    assert check.passed is passes
    assert check.found == pytest.approx(kept, abs=0.03)


@pytest.mark.parametrize(("times", "passes"), [(1.99, True), (2.01, False)])
def test_twice_the_usual_age_is_the_limit(rows, times, passes):
    new = since(rows, NEWEST_FORTNIGHT)
    older = rows["system_known_at"] - pd.Timedelta(minutes=30 * (times - 1))
    aged = rows.assign(system_known_at=rows["system_known_at"].where(~new, older))
    check = freshness(aged, LIMITS)
    assert (check.passed, check.found) == (passes, pytest.approx(times, abs=1e-3))


def test_every_view_is_asked_for_its_age(rows):
    new = since(rows, NEWEST_FORTNIGHT)
    for column in KNOWN_AT:
        old = rows[column].where(~new, rows[column] - pd.Timedelta(hours=9))
        assert not freshness(rows.assign(**{column: old}), LIMITS).passed, column


def test_a_cell_with_hardly_any_flights_says_nothing(rows):
    rare = rows[(rows["origin"] != "JFK") | (rows.index % 200 == 0)]
    lost = since(rare, NEWEST_FORTNIGHT) & (rare["origin"] == "JFK")
    assert coverage(rare[~lost], LIMITS, GATE.slices.hour_bands).passed
