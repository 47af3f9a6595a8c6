from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, REQUEST, SCHEDULE
from pipeline.features.feature_table import require_point_in_time
from pipeline.features.point_in_time import as_of, historical
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import LeakFound
from tests.features import oracle
from tests.features.oracle import flight
from tests.features.poison import SEES, around, instants_of, poisoned

pytestmark = pytest.mark.answer("point-in-time")
NAN = float("nan")


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


def features_of(flights, weather, config):
    requests = windows.requests(flights, config)
    return historical(requests, windows.views(flights, weather, config), config)


@pytest.fixture(scope="module")
def frame(published, config):
    """Every flight of January to March with its features."""
    return features_of(published["flights"], published["weather"], config)


# The value of every feature against a second reading of the specification.


@pytest.fixture(scope="module")
def truth(published):
    return oracle.Oracle(oracle.outcomes(published["flights"]), published["weather"], NUMERIC)


def sampled(frame, name, size):
    """Positions of flights at random: from the first three days, from a DST night, from any day."""
    rng = np.random.default_rng(sum(name.encode()))
    day = frame["month"] * 100 + frame["day"]
    pools = [np.flatnonzero(day <= 103), np.flatnonzero(day.between(310, 311)), np.arange(len(day))]
    return np.concatenate(
        [rng.choice(pool, n) for pool, n in zip(pools, (size // 4, size // 8, size), strict=True)]
    )


def disagreements(frame, truth, name, size):
    found = []
    for position in sampled(frame, name, size):
        raw, value = truth.flights.iloc[position], frame[name].iloc[position]
        expected = truth.value(raw, name)
        same = pd.isna(value) == pd.isna(expected)
        if same and pd.notna(value):
            same = value == expected if name in KNOWN_AT else np.isclose(value, expected, 1e-6, 0)
        if not same:
            found.append(
                f"{raw['carrier']} {raw['flight']} {raw['sched_dep_utc']}: {value} != {expected}"
            )
    return found


@pytest.mark.parametrize("name", NUMERIC)
def test_a_feature_is_what_the_slow_oracle_says(frame, truth, name):
    if not oracle.knows(name):
        pytest.skip(f"no oracle of {name}: say in tests/features/oracle.py what it means")
    size = 24 if name in oracle.AIRCRAFT else 12
    assert disagreements(frame, truth, name, size) == []


@pytest.mark.parametrize("name", KNOWN_AT)
def test_known_at_is_what_the_slow_oracle_says(frame, truth, name):
    assert disagreements(frame, truth, name, 9) == []


def test_the_oracle_notices_a_window_that_is_one_grid_step_off(frame, truth):
    shifted = frame.assign(system_dep_late_1h=frame["system_dep_late_1h"].shift(40))
    assert disagreements(shifted, truth, "system_dep_late_1h", 14) != []


# Poison: what becomes known at or after T must not move a single bit at T.

INSTANTS = 20


@pytest.mark.parametrize("table", ["flights", "weather"])
def test_tables_by_hand_have_the_columns_of_the_published_ones(published, table):
    """Or a feature of another column could not be tested on them."""
    by_hand = {"flights": oracle.flights(flight("05-20 10:00")), "weather": oracle.weather("05-20")}
    kinds = by_hand[table].dtypes.map(lambda kind: kind.kind)
    assert kinds.to_dict() == published[table].dtypes.map(lambda kind: kind.kind).to_dict()


@pytest.fixture(scope="module")
def instants(frame):
    return instants_of(frame, INSTANTS)


def features_at(at, flights, weather, config):
    scheduled = flights["sched_dep_utc"] == at + timedelta(minutes=config.horizon_minutes)
    asked = windows.requests(flights[scheduled], config)
    return historical(asked, windows.views(flights, weather, config), config)


@pytest.mark.long
@pytest.mark.parametrize("number", range(INSTANTS))
def test_nothing_known_at_or_after_the_prediction_moves_a_feature(
    published, frame, instants, config, number, record_property: Callable[[str, object], None]
):
    at = instants[number]
    flights, weather = poisoned(*around(published, at), at)
    after = features_at(at, flights, weather, config)
    before = frame[frame["predict_at"] == at]
    recent = before[KNOWN_AT].where(before[KNOWN_AT] > at - SEES)
    same = after[KNOWN_AT].where(after[KNOWN_AT] > at - SEES)
    assert len(after) == len(before) > 0
    bits = [table[NUMERIC].to_numpy().view("uint32") for table in (after, before)]
    moved = np.count_nonzero(bits[0] != bits[1])
    assert moved == 0
    record_property(
        f"values that poison at or after T moves, at each of {INSTANTS} instants", moved
    )
    assert same.reset_index(drop=True).equals(recent.reset_index(drop=True))


def test_poison_just_before_the_prediction_moves_every_feature_that_looks_back(
    published, frame, instants, config, record_property: Callable[[str, object], None]
):
    moved = set()
    for at in instants[:4]:
        flights, weather = poisoned(*around(published, at), at - timedelta(minutes=90))
        after = features_at(at, flights, weather, config)[NUMERIC].reset_index(drop=True)
        before = frame.loc[frame["predict_at"] == at, NUMERIC].reset_index(drop=True)
        moved |= {name for name in NUMERIC if not after[name].equals(before[name])}
    assert moved == set(NUMERIC) - set(SCHEDULE)
    record_property("features that poison just before T moves", len(moved))


def test_the_features_of_three_months_pass_the_leak_check(
    frame, record_property: Callable[[str, object], None]
):
    require_point_in_time(frame)
    leaks = frame[KNOWN_AT].ge(frame["predict_at"], axis=0).any(axis=1)
    assert not leaks.any()
    record_property(
        f"of {len(frame):,} real flights use the future, joined as of T", int(leaks.sum())
    )


@pytest.mark.answer("data-scientist")
def test_a_join_on_the_date_is_refused_as_a_leak(
    frame, record_property: Callable[[str, object], None]
):
    day = frame["sched_dep_utc"].dt.normalize()
    by_day = frame.groupby([frame["origin"], day])
    naive = frame.assign(
        origin_late_24h=by_day["late"].transform("mean"),
        origin_known_at=by_day["late_known_at"].transform("max"),
    )
    leaks = int((naive["origin_known_at"] >= naive["predict_at"]).sum())
    with pytest.raises(LeakFound, match=rf"origin features of {leaks:,} of .* rows use the future"):
        require_point_in_time(naive)
    record_property(f"of {len(naive):,} real flights use the future, joined on the date", leaks)


def test_a_value_known_at_the_very_instant_of_the_prediction_is_a_leak(frame):
    one = frame[:1]
    with pytest.raises(LeakFound, match="1 of 1 rows"):
        require_point_in_time(one.assign(weather_known_at=one["predict_at"]))


def test_a_view_that_knows_nothing_is_no_leak(frame):
    never = frame["weather_known_at"].where(frame["distance"] < 0)
    require_point_in_time(frame.assign(**dict.fromkeys(KNOWN_AT, never)))


# The edges, on tables made by hand. The asked flight is the last; T is 12:00Z on May 20.

ASKED = "05-20 14:00"
CLEAR = oracle.weather("05-20 10:00")


def asked(config, *earlier, weather=CLEAR, **changes):
    table = oracle.flights(*earlier, flight(ASKED, flight=99, **changes))
    return features_of(table, weather, config).iloc[-1]


def departures_seen(config, *departed, at=ASKED):
    """How many departures an hour's share at the origin holds, all of them late by 60 minutes."""
    table = oracle.flights(*departed, flight(at, flight=99))
    requests = windows.requests(table, config)
    rows = windows.views(table, CLEAR, config)["origin"]
    found = as_of(rows, requests["origin"], windows.minutes(requests["predict_at"]))[-1]
    return 0 if found < 0 else int(rows["origin_dep_late_1h_count"].iloc[found])


@pytest.mark.parametrize(
    ("departed", "seen"),
    [
        pytest.param("05-20 12:00", 0, id="at the instant of the prediction: not yet known"),
        pytest.param("05-20 11:59", 1, id="a minute before it: known"),
        pytest.param("05-20 11:00", 1, id="an hour before it: the first of the window"),
        pytest.param("05-20 10:59", 0, id="a minute earlier: out of the window"),
    ],
)
def test_an_hour_holds_what_became_known_from_its_start_to_before_its_end(config, departed, seen):
    assert departures_seen(config, flight(departed)) == seen


@pytest.mark.parametrize(
    ("departed", "seen"),
    [
        pytest.param("05-20 12:00", 0, id="at the grid: waits for the next"),
        pytest.param("05-20 12:01", 0, id="after the grid: waits for the next"),
        pytest.param("05-20 11:59", 1, id="before the grid: published"),
        pytest.param("05-20 11:00", 1, id="the window is counted from the grid"),
        pytest.param("05-20 10:59", 0, id="out of the window"),
    ],
)
def test_between_two_grid_points_the_earlier_one_holds(config, departed, seen):
    assert departures_seen(config, flight(departed), at="05-20 14:14") == seen


def test_rows_of_a_silent_entity_empty_as_their_events_leave_the_window(config):
    counts = [departures_seen(config, flight("05-20 09:50"), at=f"05-20 {at}") for at in
              ("11:59", "12:00", "12:45", "12:59", "13:00", "19:00")]  # fmt: skip
    assert counts == [0, 1, 1, 1, 0, 0]


def test_an_event_counts_once_for_each_flight_though_they_share_the_minute(config):
    twice = [flight("05-20 11:30", flight=number) for number in (1, 2)]
    assert departures_seen(config, *twice) == 2


def test_before_anything_is_known_a_share_is_the_prior(config):
    first = asked(config)
    assert first["origin_dep_late_3h"] == np.float32(config.prior["dep_late"])
    assert first["destination_arr_delay_24h"] == np.float32(config.prior["arr_delay"])


def test_before_anything_is_known_no_view_claims_an_instant(config):
    assert asked(config)[[name for name in KNOWN_AT if name != "weather_known_at"]].isna().all()


def test_an_entity_never_seen_has_the_mean_of_all_flights(config):
    row = asked(config, flight("05-19 10:00", 60, 60), flight("05-19 11:00"), dest="XNA")
    assert row["destination_late_7d"] == 0.5
    assert pd.isna(row["destination_known_at"])


def test_a_small_group_is_pulled_towards_all_flights(config):
    late = flight("05-20 10:00", 60, 60)
    punctual = flight("05-20 10:30", carrier="DL")
    expected = (1 + config.shrink_flights["carrier"] * 0.5) / (1 + config.shrink_flights["carrier"])
    assert asked(config, late, punctual)["carrier_dep_late_3h"] == np.float32(expected)


@pytest.mark.parametrize(("departed", "mean"), [("04-22 11:00", 60), ("04-22 10:59", None)])
def test_the_mean_of_all_flights_forgets_after_its_days(config, departed, mean):
    expected = config.prior["dep_delay"] if mean is None else mean
    assert asked(config, flight(departed, 60))["origin_dep_delay_3h"] == np.float32(expected)


def test_a_cancelled_flight_counts_as_late_but_has_no_delay(config):
    row = asked(config, flight("05-20 10:00", NAN, NAN))
    assert row["origin_dep_late_3h"] > config.prior["dep_late"]
    assert row["origin_dep_delay_3h"] == np.float32(config.prior["dep_delay"])


def test_a_diverted_flight_counts_as_late_but_has_no_arrival_delay(config):
    row = asked(config, flight("05-20 08:00", 0, NAN))
    assert row["origin_late_24h"] > config.prior["late"]
    assert row["destination_arr_delay_24h"] == np.float32(config.prior["arr_delay"])


# The aircraft.

LEG = {"tailnum": "N1"}


def test_an_aircraft_in_the_air_is_ready_by_its_schedule(config):
    row = asked(config, flight("05-20 11:00", 30, NAN, **LEG), **LEG)
    expected = {"aircraft_dep_delay": 30, "aircraft_airborne": 1, "aircraft_slack": 30}
    assert row[list(expected)].to_dict() == expected
    assert pd.isna(row["aircraft_arr_delay"])


def test_an_aircraft_that_landed_is_ready_since_then(config):
    row = asked(config, flight("05-20 08:00", 5, 20, **LEG), **LEG)
    expected = {"aircraft_dep_delay": 5, "aircraft_airborne": 0, "aircraft_slack": 220}
    expected |= {"aircraft_arr_delay": 20, "aircraft_age": 100}
    assert row[list(expected)].to_dict() == expected


def test_a_departure_at_the_instant_of_the_prediction_is_not_yet_known(config):
    row = asked(config, flight("05-20 12:00", **LEG), **LEG)
    assert row[oracle.AIRCRAFT].isna().all()


def test_a_departure_a_minute_before_the_prediction_is_known(config):
    assert asked(config, flight("05-20 11:59", **LEG), **LEG)["aircraft_airborne"] == 1


def test_a_landing_is_forgotten_after_a_day_though_a_departure_is_recent(config):
    landed, left = flight("05-19 09:59", **LEG), flight("05-20 11:00", 7, **LEG)
    row = asked(config, landed, left, **LEG)
    assert row["aircraft_dep_delay"] == 7
    assert row[["aircraft_arr_delay", "aircraft_age"]].isna().all()


@pytest.mark.parametrize(("departed", "known"), [("05-19 10:00", True), ("05-19 09:59", False)])
def test_an_aircraft_is_known_for_a_day_to_the_minute(config, departed, known):
    row = asked(config, flight(departed, **LEG), **LEG)
    assert row[oracle.AIRCRAFT].notna().all() == known
    assert pd.notna(row["aircraft_known_at"]) == known


def test_a_cancelled_leg_says_nothing_of_its_aircraft(config):
    row = asked(config, flight("05-20 08:00", NAN, NAN, **LEG), **LEG)
    assert row[oracle.AIRCRAFT].isna().all()


def test_a_flight_without_a_tail_number_meets_no_other_such_flight(config):
    row = asked(config, flight("05-20 08:00", tailnum=None), flight(ASKED), tailnum=None)
    assert row[oracle.AIRCRAFT].isna().all()


# The weather.


@pytest.mark.parametrize(
    ("hour", "known"),
    [
        pytest.param("05-20 11:00", False, id="complete at the prediction: not yet known"),
        pytest.param("05-20 10:59", True, id="complete a minute before"),
        pytest.param("05-20 05:00", True, id="six hours old to the minute"),
        pytest.param("05-20 04:59", False, id="older than six hours"),
    ],
)
def test_weather_is_known_from_the_end_of_its_hour_until_it_is_stale(config, hour, known):
    row = asked(config, weather=oracle.weather(hour))
    assert row[["humid", "wind_gust", "precip_3h", "visib"]].notna().all() == known
    assert pd.notna(row["weather_known_at"]) == known


def test_weather_of_another_origin_is_no_substitute(config):
    row = asked(config, origin="JFK")
    assert row[oracle.WEATHER].isna().all()


# The join.


def rows_of(**available):
    table = pd.DataFrame(
        [(entity, at) for entity, instants in available.items() for at in instants],
        columns=["entity", "available_at"],
    )
    return table.astype({"entity": "category"})


@pytest.mark.parametrize(
    ("entity", "at", "position"),
    [
        pytest.param("b", 10, 2, id="available at that minute"),
        pytest.param("b", 9, -1, id="not yet: the row before belongs to another entity"),
        pytest.param("b", 99_999, 3, id="long after the last row"),
        pytest.param("a", 0, -1, id="before the first row of all"),
        pytest.param("c", 50, -1, id="an entity without rows"),
    ],
)
def test_a_request_meets_its_entitys_last_available_row(entity, at, position):
    rows = rows_of(a=[5, 20], b=[10, 30])
    assert as_of(rows, pd.Series([entity]), np.array([at])).tolist() == [position]


def test_requests_keep_their_order_and_index(published, config):
    some = published["flights"][:500].sample(frac=1, random_state=3)
    assert features_of(some, published["weather"], config).index.equals(some.index)


def test_every_numeric_feature_is_float32(frame):
    assert {str(frame[name].dtype) for name in NUMERIC} == {"float32"}


def test_the_order_of_the_raw_rows_is_of_no_account(published, config):
    flights = published["flights"].query("month == 1 and day <= 4")
    weather = published["weather"].query("month == 1 and day <= 5")
    shuffled = flights.sample(frac=1, random_state=1), weather.sample(frac=1, random_state=2)
    assert (
        features_of(*shuffled, config)
        .loc[flights.index]
        .equals(features_of(flights, weather, config))
    )


def test_flights_without_any_weather_have_missing_weather(config):
    assert asked(config, weather=CLEAR[:0])[oracle.WEATHER].isna().all()


# Parts of the year, apart from each other.

LOOKS_BACK = pd.Timedelta(days=29)
"""The longest window, and a day for what becomes known late."""


@pytest.mark.answer("hundred-times")
@pytest.mark.parametrize("first", ["2013-02-05", "2013-03-09", "2013-03-25"])
def test_days_are_joined_apart_from_the_others_bit_by_bit(
    published, frame, config, first, record_property: Callable[[str, object], None]
):
    first = pd.Timestamp(first, tz="UTC")
    until = first + pd.Timedelta(days=3)
    flights, weather = published["flights"], published["weather"]
    near = flights["sched_dep_utc"].between(first - LOOKS_BACK, until + pd.Timedelta(days=1))
    seen = weather["observed_utc"].between(first - LOOKS_BACK, until + pd.Timedelta(days=1))
    part = features_of(flights[near], weather[seen], config)
    names = [*REQUEST, *NUMERIC]
    keys = ["sched_dep_utc", "carrier", "flight", "origin"]

    def asked(rows):
        chosen = rows[rows["sched_dep_utc"].between(first, until, inclusive="left")]
        return chosen.sort_values(keys, ignore_index=True)[names]

    assert len(asked(part)) > 2_000
    pd.testing.assert_frame_equal(asked(part), asked(frame), check_exact=True)
    told = f"flights of three days from {first:%m-%d}, joined apart and equal bit by bit"
    record_property(told, len(asked(part)))
