"""Labels known early are the good ones: the naive share is low, and what repairs it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmarks.early_labels import Pending, so_far
from pipeline.features import windows
from pipeline.flights.events import deadline
from pipeline.flights.names import flight_names
from pipeline.monitor.performance.delayed_labels import dates
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load

pytestmark = pytest.mark.answer("delayed-labels")


@pytest.fixture(scope="module")
def winter(published):
    """The real flights of January to March, with the late share of their hour as their risk."""
    rows = windows.requests(published["flights"], load(FeaturesConfig))
    risk = rows.groupby("sched_hour")["late"].transform("mean")
    return rows.assign(day=dates(flight_names(rows)), risk=risk)


def _at(rows: pd.DataFrame, hour: int) -> pd.Series:
    return rows["day"] + pd.Timedelta(hours=hour + 5)


@pytest.mark.parametrize("hour", [10, 12, 15, 18, 21])
def test_the_late_share_of_labels_known_so_far_is_low_that_of_due_flights_right(
    winter, hour, record_property: Callable[[str, object], None]
):
    found = so_far(winter, _at(winter, hour), Pending.of(winter))
    wrong = found["naive"] - found["truth_due"]
    assert wrong.mean() < -0.002
    assert (wrong <= 1e-12).all()
    assert (found["due"] == found["truth_due"]).all()
    told = f"mean error of a day's late share at {hour}:00, by the labels known so far"
    record_property(told, wrong.mean())
    off = (found["due"] - found["truth_due"]).abs().max()
    record_property("largest error at any of these hours, by the flights that are due", off)


def test_the_shares_are_those_of_a_loop_over_the_flights_of_a_day(winter):
    rows = winter[winter["day"] == pd.Timestamp("2013-02-08", tz="UTC")].reset_index(drop=True)
    now, pending = _at(rows, 15).iloc[0], Pending.of(winter)
    found = so_far(rows, _at(rows, 15), pending).iloc[0]
    known, due, left, likely = [], [], [], []
    for row, end in zip(rows.itertuples(), deadline(rows), strict=True):
        if row.late_known_at <= now:
            known.append(row.late)
        if end <= now:
            due.append(row.late)
        if row.sched_dep_utc <= now:
            left.append(row.late)
            minutes = (end - now).total_seconds() / 60
            chance = float(pending.chance(np.array([minutes]), row.risk)[0])
            likely.append(row.late if row.late_known_at <= now else chance)
    assert (found["known"], found["dues"], found["left"]) == (len(known), len(due), len(left))
    for name, values in {"naive": known, "due": due, "truth_left": left, "by_risk": likely}.items():
        assert found[name] == pytest.approx(np.mean(values)), name


def test_silence_makes_a_flight_likelier_to_be_late_as_its_deadline_comes_near(winter):
    chance = Pending.of(winter).chance(np.array([600, 60, 30, 10, 1, 0, -5]), 0.2)
    assert chance[0] == pytest.approx(0.2, abs=1e-3)
    assert (np.diff(chance) >= 0).all()
    assert chance[-2:].tolist() == [1, 1]


def test_the_chance_is_what_was_seen_of_flights_unknown_for_so_long(winter):
    early = (deadline(winter) - winter["late_known_at"]).dt.total_seconds() / 60
    pending = Pending.of(winter)
    for minutes in (5, 15, 30, 60):
        unknown = early < minutes
        found = pending.chance(np.array([minutes]), pending.base)[0]
        assert found == pytest.approx(winter.loc[unknown, "late"].mean(), abs=1e-9)


def test_a_risk_of_none_stays_none_until_the_deadline(winter):
    assert Pending.of(winter).chance(np.array([20.0, 0.0]), 0.0).tolist() == [0, 1]


def test_before_the_first_deadline_nothing_is_said(winter):
    found = so_far(winter, winter["day"], Pending.of(winter))
    assert found["due"].isna().sum() > 80
