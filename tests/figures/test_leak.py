"""What the pages say about leaks is what benchmarks/leak.json measured, with joins that do leak."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import leak
from benchmarks.study import Raw, Recipe
from pipeline.features.definitions import NUMERIC, ROLLING
from pipeline.flights.features import WEATHER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from tests.features import oracle
from tests.features.oracle import flight
from tests.rules import tree

pytestmark = pytest.mark.answer("point-in-time")
FOUND = json.loads(tree.read("benchmarks/leak.json"))
JOINS = FOUND["joins"]
HONEST = JOINS["point_in_time"]
LEAKS = [name for name in leak.JOINS if name != "point_in_time"]
ROLLED = ["scheduled", "scheduled_before_prediction"]
CLEAR = oracle.weather("05-20 10:00")


def raw(*flights, weather=CLEAR):
    """Tables made by hand; the asked flight is at 14:00Z on May 20, predicted at 12:00Z."""
    asked = flight("05-20 14:00", flight=99)
    return Raw(oracle.flights(*flights, asked), weather, load(FeaturesConfig))


def at(tables, name):
    """The asked flight's row under one of the joins."""
    return leak.JOINS[name](tables).iloc[-1]


# The joins do what they say.


def test_the_join_on_the_date_sees_the_evening_at_noon():
    tables = raw(flight("05-20 23:00", 60, 60))
    row, honest = at(tables, "date"), at(tables, "point_in_time")
    assert row["origin_late_24h"] == row["origin_dep_late_3h"] == 0.5
    assert row["origin_dep_delay_3h"] == 30
    assert honest["origin_dep_delay_3h"] == tables.config.prior["dep_delay"]


def test_the_join_on_the_date_sees_no_other_date():
    assert at(raw(flight("05-19 23:00", 60, 60)), "date")["origin_late_7d"] == 0


def test_the_date_is_new_yorks():
    assert at(raw(flight("05-21 02:00", 60, 60)), "date")["origin_late_24h"] == 0.5


def test_the_join_on_the_date_keeps_entities_apart():
    row = at(raw(flight("05-20 23:00", 60, 60, origin="JFK")), "date")
    assert row["origin_late_24h"] == 0
    assert row["system_late_24h"] == 0.5


@pytest.mark.parametrize("name", ROLLED)
def test_the_join_on_the_schedule_sees_a_flight_that_has_not_landed(name):
    tables = raw(flight("05-20 11:30", 0, 60))
    assert at(tables, name)["origin_late_24h"] > at(tables, "point_in_time")["origin_late_24h"]


@pytest.mark.parametrize("departs", ["05-20 12:00", "05-20 13:59"])
def test_what_is_scheduled_after_the_prediction_is_seen_by_rolling_over_the_schedule(departs):
    tables = raw(flight(departs, 60, 60))
    honest = at(tables, "point_in_time")["origin_dep_late_3h"]
    assert at(tables, "scheduled")["origin_dep_late_3h"] > honest
    assert at(tables, "scheduled_before_prediction")["origin_dep_late_3h"] == honest


@pytest.mark.parametrize("name", ROLLED)
def test_a_flight_scheduled_with_or_after_the_asked_one_is_not_seen(name):
    tables = raw(flight("05-20 14:00", 60, 60), flight("05-20 14:30", 60, 60))
    assert at(tables, name)[NUMERIC].equals(at(tables, "point_in_time")[NUMERIC])


@pytest.mark.parametrize("name", ROLLED)
def test_a_cancelled_flight_has_no_delay_under_any_join(name):
    row = at(raw(flight("05-20 11:00", float("nan"), float("nan"))), name)
    assert row["origin_dep_delay_3h"] == np.float32(12.0)
    assert row["origin_dep_late_3h"] > 0.2


@pytest.mark.parametrize(("hour", "wind"), [("13:00", 13), ("14:00", 14), ("15:00", 10)])
def test_the_weather_is_that_of_the_scheduled_hour(hour, wind):
    observed = oracle.weather("05-20 10:00", f"05-20 {hour}")
    tables = raw(weather=observed.assign(wind_speed=[10.0, float(hour[:2])]))
    assert at(tables, "weather_of_the_scheduled_hour")["wind_speed"] == wind
    assert at(tables, "point_in_time")["wind_speed"] == 10


@pytest.mark.parametrize("name", LEAKS)
def test_a_join_changes_only_what_it_is_about(name):
    tables = raw(
        flight("05-20 11:30", 60, 60), weather=oracle.weather("05-20 10:00", "05-20 14:00")
    )
    about = WEATHER if name.startswith("weather") else [w.name for w in ROLLING]
    others = [feature for feature in NUMERIC if feature not in about]
    assert leak.JOINS[name](tables)[others].equals(tables.honest[others])


# The guard looks at instants alone, so a leaky table must not lie about them.

EARLIER = flight("05-20 11:30", 0, 60)
ROWS = {"date": 2, "weather_of_the_scheduled_hour": 2} | dict.fromkeys(ROLLED, 1)


@pytest.mark.parametrize("name", LEAKS)
def test_the_guard_refuses_each_leak_and_names_its_rows(name):
    tables = raw(EARLIER, weather=oracle.weather("05-20 10:00", "05-20 13:00"))
    found = leak.guard(leak.JOINS[name](tables))
    assert found["refused"]
    assert found["rows"] == ROWS[name]


def test_the_guard_lets_the_honest_join_pass():
    assert leak.guard(raw(EARLIER).honest) == {"refused": False, "rows": 0}


@pytest.mark.parametrize("name", ROLLED)
def test_a_flight_that_had_landed_is_no_leak_though_it_counts_too_early(name):
    assert not leak.guard(leak.JOINS[name](raw(flight("05-20 06:00", 0, 60))))["refused"]


@pytest.mark.parametrize(
    ("name", "newest"), [("date", "16:00"), *((name, "14:30") for name in ROLLED)]
)
def test_a_row_is_dated_by_the_newest_outcome_in_it(name, newest):
    row = at(raw(flight("05-20 09:00"), EARLIER), name)
    assert row["origin_known_at"] == pd.Timestamp(f"2013-05-20 {newest}Z")


@pytest.mark.parametrize("name", LEAKS)
def test_a_label_counts_as_known_when_it_was_whatever_the_features_say(name):
    tables = raw(EARLIER)
    assert leak.JOINS[name](tables)["late_known_at"].equals(tables.honest["late_known_at"])


# The model learns from what was known, and is judged on the months after.


@pytest.mark.parametrize(
    ("departs", "teaches", "judges"),
    [
        pytest.param("01-08 04:59", False, False, id="the day before the window"),
        pytest.param("01-08 05:00", True, False, id="its first day"),
        pytest.param("03-31 21:59", True, False, id="known a minute before April"),
        pytest.param("03-31 22:00", False, False, id="known in April"),
        pytest.param("04-01 12:00", False, True, id="April"),
        pytest.param("07-01 03:59", False, True, id="the last of June"),
        pytest.param("07-01 04:00", False, False, id="July"),
    ],
)
def test_a_flight_teaches_or_judges_or_neither(departs, teaches, judges):
    recipe = Recipe.of(Raw(oracle.flights(flight(departs)), CLEAR, load(FeaturesConfig)))
    window = Window(first="2013-01-08", last="2013-03-31")
    recipe = replace(recipe, train=recipe.train.model_copy(update={"window": window}))
    assert (recipe.learned.tolist(), recipe.scored.tolist()) == ([teaches], [judges])


# What was recorded.


def test_every_join_was_recorded_on_all_flights_of_three_months():
    assert list(JOINS) == list(leak.JOINS)
    assert FOUND["scored"] == {"window": "2013-04-01..2013-06-30", "flights": 85_369, "days": 91}
    assert FOUND["learned"]["flights"] < FOUND["scored"]["flights"]


def test_the_honest_join_serves_what_it_shows():
    assert HONEST["offline"] == HONEST["served"]
    assert set(HONEST["served_minus_honest"].values()) == {0}
    assert not HONEST["guard"]["refused"]


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_shows_more_than_the_honest_join_and_serves_less(name):
    found = JOINS[name]
    assert found["served"]["roc_auc"] < HONEST["served"]["roc_auc"] < found["offline"]["roc_auc"]
    assert found["offline"]["log_loss"] < HONEST["served"]["log_loss"] < found["served"]["log_loss"]
    assert found["served_minus_honest"]["low"] > 0


@pytest.mark.parametrize("name", LEAKS)
def test_the_guard_refused_each_leak_on_the_real_flights(name):
    assert JOINS[name]["guard"]["refused"]
    assert JOINS[name]["guard"]["rows"] > FOUND["scored"]["flights"]


def test_the_join_on_the_date_gains_most_and_loses_most():
    assert max(JOINS, key=lambda name: JOINS[name]["offline"]["roc_auc"]) == "date"
    assert min(JOINS, key=lambda name: JOINS[name]["served"]["roc_auc"]) == "date"


def test_the_weather_of_the_scheduled_hour_gains_least_and_costs_more_than_it_gains():
    gains = {
        name: JOINS[name]["offline"]["roc_auc"] - HONEST["offline"]["roc_auc"] for name in LEAKS
    }
    assert min(gains, key=gains.__getitem__) == "weather_of_the_scheduled_hour"
    found = JOINS["weather_of_the_scheduled_hour"]
    gain = HONEST["offline"]["log_loss"] - found["offline"]["log_loss"]
    assert found["served_minus_honest"]["point"] > gain


def test_it_takes_less_than_a_minute_and_a_half():
    assert FOUND["seconds"] < 90
