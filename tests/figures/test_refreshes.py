"""How often to refresh and how long a refresh is on its way: what was tried, and what it showed."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.policies import BEGINS, over_weeks
from benchmarks.refreshes import SCHEDULES, Promotion, Replay, Way, twice_a_week
from pipeline.features.definitions import LABEL
from pipeline.shared.scores import log_loss
from tests.rules import tree

pytestmark = pytest.mark.answer("when-to-retrain")

FOUND = json.loads(tree.read("benchmarks/refreshes.json"))
RISKS = {BEGINS: 0.2, "2013-04-08": 0.3, "2013-04-15": 0.9}


@pytest.fixture
def replay():
    """Two flights a day, one of them late, and three models that say one risk each."""
    day = np.repeat([f"{d:%Y-%m-%d}" for d in pd.date_range(BEGINS, periods=40)], 2)
    at = pd.to_datetime(pd.Series(day), utc=True) + pd.Timedelta(hours=15)
    frame = pd.DataFrame({"predict_at": at, LABEL: np.tile([0, 1], 40)})
    everything = np.ones(len(frame), dtype=bool)
    risk = {name: np.full(len(frame), value) for name, value in RISKS.items()}
    fits = SimpleNamespace(frame=frame, day=day, served=everything, risk=risk.__getitem__)
    return Replay(fits)


def by_day(replay, loss):
    return dict(pd.Series(loss).groupby(replay.day).mean())


def expected(*risks):
    """The mean loss of two flights, one late, over equal shares of models."""
    losses = [log_loss(np.array([0, 1]), np.full(2, risk)).mean() for risk in risks]
    return pytest.approx(np.mean(losses))


def test_a_refresh_serves_nobody_in_its_shadow_some_in_its_canary_and_all_after(replay):
    lived = replay.lived(["2013-04-08"], Way(1, (0.5,)), max_distance=1.0)
    told = by_day(replay, lived.loss)
    assert [told[f"2013-04-{day:02}"] for day in (8, 9, 10, 11)] == [
        expected(0.2),
        expected(0.2),
        expected(0.2, 0.3),
        expected(0.3),
    ]
    assert lived.promotions == [Promotion("2013-04-11", "2013-04-08", BEGINS)]


def test_a_refresh_that_is_too_far_from_the_champion_is_held_back(replay):
    lived = replay.lived(["2013-04-08", "2013-04-15"], Way(0, (0.5,)), max_distance=0.2)
    assert [one.trained for one in lived.promotions] == ["2013-04-08"]
    assert lived.held_back == ["2013-04-15"]


def test_nothing_is_refreshed_while_another_is_on_its_way(replay):
    lived = replay.lived(["2013-04-08", "2013-04-15"], Way(1, (0.5,) * 8), max_distance=1.0)
    assert [one.trained for one in lived.promotions] == ["2013-04-08"]


def test_live_at_once_is_from_noon_on(replay):
    told = by_day(replay, replay.at_once(["2013-04-08"]))
    assert told["2013-04-07"] == expected(0.2)
    assert told["2013-04-08"] == expected(0.3)


def test_an_interval_over_weeks_is_around_the_mean():
    days = np.array([f"{day:%Y-%m-%d}" for day in pd.date_range(BEGINS, periods=70)])
    change = np.tile([1.0, 0.0], 35)
    found = over_weeks(change, days)
    assert found["weeks"] == 10
    assert found["low"] < found["point"] == 0.5 < found["high"]


def test_what_was_tried_is_what_is_recorded():
    assert list(FOUND) == list(SCHEDULES)
    assert len(twice_a_week()) > 70


def test_each_day_on_the_way_costs_something():
    weekly = [
        FOUND[f"weekly, {way}"]["log_loss"]
        for way in (
            "a canary day",
            "a shadow day, a canary day",
            "a shadow day, two canary days",
            "a shadow day, six canary days",
        )
    ]
    assert weekly == sorted(weekly)
    assert weekly[0] < weekly[-1]


def test_a_weekly_refresh_by_a_short_canary_is_surely_better_than_a_monthly_one_at_once():
    found = FOUND["weekly, a canary day"]
    assert found["less_monthly"]["high"] < 0
    assert found["less_weekly"]["point"] <= 0.001
