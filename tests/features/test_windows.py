import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import ENTITIES, KEYS, LABEL, PROXY, VIEWS
from pipeline.features.point_in_time import as_of
from pipeline.flights import events
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.domain import Event, Rolling
from tests.features import oracle
from tests.features.oracle import flight, flights

NAN = float("nan")


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


@pytest.fixture(scope="module")
def week(published):
    """The raw rows of the week in which the clocks go forward."""
    return [published[t].query("month == 3 and 7 <= day <= 13") for t in ("flights", "weather")]


@pytest.fixture(scope="module")
def tables(week, config):
    return windows.views(*week, config)


def utc(text):
    return pd.Timestamp(f"2013-{text}", tz="UTC")


# When an outcome becomes known.


@pytest.mark.parametrize(
    ("outcome", "delay", "arrival_delay", "value", "known"),
    [
        pytest.param(PROXY, -5, 0, 0, "05-20 09:55", id="an early departure as it leaves"),
        pytest.param(PROXY, 14, 0, 0, "05-20 10:14", id="a departure 14 minutes late is not late"),
        pytest.param(PROXY, 15, 0, 1, "05-20 10:15", id="a departure 15 minutes late is late"),
        pytest.param(PROXY, 300, 0, 1, "05-20 10:15", id="a very late one after 15 minutes"),
        pytest.param(PROXY, NAN, NAN, 1, "05-20 10:15", id="a cancelled one after 15 minutes"),
        pytest.param(LABEL, 0, -20, 0, "05-20 11:40", id="an early arrival as it lands"),
        pytest.param(LABEL, 0, 14, 0, "05-20 12:14", id="an arrival 14 minutes late is not late"),
        pytest.param(LABEL, 0, 15, 1, "05-20 12:15", id="an arrival 15 minutes late is late"),
        pytest.param(LABEL, 0, 900, 1, "05-20 12:15", id="a very late arrival after 15 minutes"),
        pytest.param(LABEL, 0, NAN, 1, "05-20 12:15", id="a diverted flight after 15 minutes"),
        pytest.param(LABEL, NAN, NAN, 1, "05-20 12:15", id="a cancelled flight after 15 minutes"),
        pytest.param("dep_delay", 300, 0, 300, "05-20 15:00", id="a delay when it has happened"),
        pytest.param("arr_delay", 0, 90, 90, "05-20 13:30", id="a late arrival when it lands"),
    ],
)
def test_an_outcome_is_known_at_its_instant(outcome, delay, arrival_delay, value, known):
    event = windows.outcomes(flights(flight("05-20 10:00", delay, arrival_delay)))[outcome]
    assert event.value.tolist() == [value]
    assert windows.instants(event.known).tolist() == [utc(known)]


@pytest.mark.parametrize("outcome", ["dep_delay", "arr_delay"])
def test_the_delay_of_a_cancelled_flight_never_becomes_known(outcome):
    event = windows.outcomes(flights(flight("05-20 10:00", NAN, NAN)))[outcome]
    assert event.known.tolist() == [windows.NEVER]


def test_minutes_and_instants_undo_each_other():
    instants = pd.Series([utc("01-01"), pd.NaT, utc("12-31 23:59")]).astype("datetime64[us, UTC]")
    assert windows.instants(windows.minutes(instants)).equals(instants)


# What is asked.


def test_a_prediction_is_made_two_hours_before_the_scheduled_departure(config):
    asked = windows.requests(flights(flight("05-20 14:00", 500)), config)
    assert asked["predict_at"].tolist() == [utc("05-20 12:00")]


@pytest.mark.parametrize(
    ("scheduled", "minute", "weekday"),
    [
        pytest.param("03-10 06:59", 1 * 60 + 59, 6, id="the last minute before the clocks go on"),
        pytest.param("03-10 07:00", 3 * 60, 6, id="the first minute after"),
        pytest.param("11-03 05:30", 1 * 60 + 30, 6, id="the first half past one of the long night"),
        pytest.param("11-03 06:30", 1 * 60 + 30, 6, id="the second"),
        pytest.param("05-21 03:30", 23 * 60 + 30, 0, id="a late evening is still its own day"),
    ],
)
def test_the_scheduled_minute_is_new_yorks(config, scheduled, minute, weekday):
    asked = windows.requests(flights(flight(scheduled)), config).iloc[0]
    assert (asked["sched_minute"], asked["day_of_week"]) == (minute, weekday)
    assert asked["sched_hour"] == minute // 60


# The rows of every view.


@pytest.mark.parametrize("view", VIEWS)
def test_a_row_becomes_available_after_it_is_known(tables, view):
    assert (tables[view]["available_at"] > tables[view]["known_at"]).all()


@pytest.mark.parametrize("view", VIEWS)
def test_rows_are_in_order_and_one_per_entity_and_instant(tables, view):
    rows = tables[view]
    key = list(zip(rows["entity"].cat.codes, rows["available_at"], strict=True))
    assert key == sorted(set(key))


@pytest.mark.parametrize("view", ENTITIES)
def test_rolling_rows_are_published_on_the_grid(tables, view, config):
    assert (tables[view]["available_at"] % config.grid_minutes == 0).all()


def test_the_grid_is_that_of_the_clock(config):
    since_midnight = windows.EPOCH.hour * 60 + windows.EPOCH.minute
    assert 60 % config.grid_minutes == since_midnight % config.grid_minutes == 0


@pytest.mark.parametrize("view", ENTITIES)
def test_a_rolling_row_is_published_only_if_something_changed(tables, view):
    rows = tables[view]
    counts = rows.filter(like="_count")
    same_entity = rows["entity"] == rows["entity"].shift()
    newer = rows["known_at"] != rows["known_at"].shift()
    assert (counts.ne(counts.shift()).any(axis=1) | newer)[same_entity].all()


def test_an_empty_window_has_neither_count_nor_sum(tables):
    last = tables["route"].groupby("entity", observed=True).last()
    assert (last.filter(regex="_(count|sum)$") == 0).all(axis=None)


def test_sums_of_whole_minutes_are_exact(tables):
    sums = tables["system"].filter(like="_sum")
    assert (sums == sums.round()).all(axis=None)


def test_the_raw_tables_are_left_as_they_were(week, config):
    before = [table.copy() for table in week]
    windows.views(*week, config)
    assert all(after.equals(table) for after, table in zip(week, before, strict=True))


def test_the_order_of_the_raw_rows_changes_no_view(week, tables, config):
    shuffled = windows.views(*(t.sample(frac=1, random_state=1) for t in week), config)
    assert all(shuffled[view].equals(tables[view]) for view in VIEWS)


def test_instants_never_run_backwards_through_the_night_of_the_long_hour(published_year, config):
    night = published_year["flights"].query("month == 11 and 2 <= day <= 4")
    night = night.sort_values(["month", "day", "sched_dep_time"])
    asked = windows.requests(night, config)
    assert asked["predict_at"].is_monotonic_increasing
    assert (asked[f"{LABEL}_known_at"] > asked["predict_at"]).all()


# Weather.


def test_rain_of_three_hours_skips_what_is_missing():
    hours = ["05-20 08:00", "05-20 09:00", "05-20 11:00", "05-20 12:00"]
    rows = events.weather_rows(oracle.weather(*hours, precip=[0.5, NAN, 0.2, 0.1]))
    assert rows["precip_3h"].tolist() == pytest.approx([0.5, 0.5, 0.2, 0.3])


def test_the_change_of_pressure_needs_both_ends():
    hours = ["05-20 08:00", "05-20 10:00", "05-20 11:00", "05-20 13:00"]
    rows = events.weather_rows(oracle.weather(*hours, pressure=[1000.0, 1001, 1004, NAN]))
    assert rows["pressure_change_3h"].tolist() == pytest.approx([NAN, NAN, 4, NAN], nan_ok=True)


def test_no_gust_reported_is_no_gust_but_no_wind_direction_is_unknown():
    rows = events.weather_rows(oracle.weather("05-20 08:00", wind_dir=NAN))
    assert rows["wind_gust"].tolist() == [0]
    assert rows["wind_dir"].isna().all()


def test_an_hour_is_known_when_it_is_over():
    rows = events.weather_rows(oracle.weather("05-20 08:00"))
    assert windows.instants(rows["known_at"].to_numpy()).tolist() == [utc("05-20 09:00")]


def test_neighbouring_origins_share_no_weather():
    both = [oracle.weather("05-20 08:00", precip=1.0), oracle.weather("05-20 09:00", origin="JFK")]
    assert events.weather_rows(pd.concat(both))["precip_3h"].tolist() == [1, 0]


# Aircraft.


def aircraft(*rows):
    return events.aircraft_rows(flights(*rows))


def test_a_landing_and_a_departure_in_one_minute_are_a_departure_that_knows_the_landing():
    landing, leaving = flight("05-20 08:00", 3, 40), flight("05-20 10:35", 5, 0)
    row = aircraft(landing, leaving).iloc[1]
    expected = {"aircraft_airborne": 1, "aircraft_dep_delay": 5, "aircraft_arr_delay": 40}
    assert row[list(expected)].to_dict() == expected


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_two_landings_in_one_minute_are_told_apart_whatever_their_order(order):
    # Real: N710TW, April 18, DL 120 and DL 183.
    legs = [flight("05-20 08:00", 0, -20), flight("05-20 06:36", -4, 64)]
    last = aircraft(*(legs[i] for i in order)).iloc[-1]
    assert last[["aircraft_dep_delay", "aircraft_arr_delay"]].tolist() == [0, -20]


def test_an_event_told_twice_is_one_row():
    assert len(aircraft(flight("05-20 08:00"), flight("05-20 08:00"))) == 2


def test_one_aircrafts_landing_is_not_carried_to_the_next():
    rows = aircraft(flight("05-20 08:00", tailnum="N1"), flight("05-20 08:00", tailnum="N2"))
    left = rows[rows["aircraft_airborne"] == 1]
    assert left[["aircraft_arr_delay", "landed_at"]].isna().all(axis=None)


def test_a_diverted_aircraft_never_lands():
    assert aircraft(flight("05-20 08:00", 0, NAN))["aircraft_airborne"].tolist() == [1]


def test_a_cancelled_flight_is_no_event_of_its_aircraft():
    assert len(aircraft(flight("05-20 08:00", NAN, NAN), flight("05-20 09:00"))) == 2


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_whole_minutes_are_instants_whatever_their_kind(kind):
    found = windows.instants(np.array([0, 90, windows.NEVER], dtype=kind))
    assert found[:2].tolist() == [windows.EPOCH, windows.EPOCH + pd.Timedelta(minutes=90)]
    assert found.isna().tolist() == [False, False, True]
    assert str(found.dtype) == "datetime64[us, UTC]"


# Entities.


def test_an_entity_of_two_columns_is_told_as_both():
    frame = pd.DataFrame({"origin": ["EWR", "JFK"], "carrier": ["UA", "B6"]})
    assert windows.entity_names(frame, "origin_carrier").tolist() == ["EWR/UA", "JFK/B6"]


@pytest.mark.parametrize("kind", ["object", "category"])
@pytest.mark.parametrize("view", KEYS)
def test_entities_are_named_by_their_parts_whatever_is_missing(view, kind):
    values = {
        "origin": ["EWR", "", None, "JFK", "EWR", float("nan")],
        "carrier": ["UA", None, "", "UA", "9E", "UA"],
        "dest": ["ORD", "EWR", "EWR", "", None, "ORD"],
        "tailnum": ["N1", None, "", "N2", "N1", "1"],
        "sched_hour": [5, 23, 5, 0, 0, 11],
    }
    frame = pd.DataFrame(values, index=[3, 1, 4, 1, 5, 9]).astype(kind)
    parts = [["" if pd.isna(v) else str(v) for v in values[name]] for name in KEYS[view]]
    expected = ["/".join(row) for row in zip(*parts, strict=True)] or ["all"] * len(frame)
    found = windows.entity_names(frame, view)
    assert (found.tolist(), found.index.tolist()) == (expected, frame.index.tolist())
    assert found.cat.categories.tolist() == sorted(set(expected))


def test_every_flight_is_of_the_one_system():
    assert windows.entity_names(pd.DataFrame(index=[3, 5]), "system").tolist() == ["all", "all"]


def test_no_number_of_an_event_that_never_happened_reaches_a_sum(config):
    table = flights(flight("05-20 10:00", NAN, NAN), flight("05-20 11:00", 30, 40))
    rows = windows.views(table, oracle.weather("05-20 08:00"), config)["system"]
    assert np.isfinite(rows.filter(like="_sum")).all(axis=None)


# Before EPOCH, minutes are negative.


def test_rows_before_the_epoch_are_those_after_it_moved_back():
    entity, moved = pd.Series(["a", "a", "b"]), 30_000
    value, known = np.array([1.0, 0.0, 1.0]), np.array([5, 100, 200])
    spans = [Rolling("origin", PROXY, 3)]
    after, before = (
        windows.rolling_rows(entity, {PROXY: Event(value, known - back)}, spans, 15)
        for back in (0, moved)
    )
    later = {name: before[name] + moved for name in ("known_at", "available_at")}
    pd.testing.assert_frame_equal(before.assign(**later), after)
    assert (before["available_at"] < 0).all()
    at = np.array([110, 300])
    asked = pd.Series(["a", "b"])
    assert as_of(before, asked, at - moved).tolist() == as_of(after, asked, at).tolist()
