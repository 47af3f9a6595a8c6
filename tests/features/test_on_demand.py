"""What is said at the request, from rows that any store may have found."""

import numpy as np
import pytest

from pipeline.features import windows
from pipeline.features.definitions import ENTITIES, KNOWN_AT, NUMERIC, REQUEST, ROLLING, VIEWS
from pipeline.features.feast_repository import columns
from pipeline.features.on_demand import derive_features, sources
from pipeline.features.windows import NEVER
from pipeline.flights.features import AIRCRAFT, WEATHER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load

AT = 500_000
NAN = float("nan")


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


def nothing(config, size=1):
    """What a store that knows nothing hands over."""
    names = [name for view in VIEWS for name in columns(view, config)]
    joined = {name: np.full(size, NAN) for name in names}
    return joined | {name: np.full(size, NEVER) for name in KNOWN_AT}


def something(config):
    """What a store hands over that has a different number in every column, all of them recent."""
    joined = nothing(config)
    for number, name in enumerate(joined):
        joined[name] = np.array([float(number + 1)])
    return joined | {name: np.array([AT - 30]) for name in (*KNOWN_AT, "landed_at", "ready")}


def of(config, joined, at=AT):
    request = {name: np.array([60]) for name in REQUEST}
    return derive_features(joined, request, np.array([at]), config)


def told(config, **changes):
    """What is derived when a store knows only this."""
    return of(config, nothing(config) | {name: np.array([to]) for name, to in changes.items()})


# What a feature is made from.


@pytest.mark.parametrize("view", VIEWS)
def test_a_views_columns_move_exactly_the_features_that_name_it_as_a_source(config, view):
    joined = something(config)
    before = of(config, joined)
    after = of(config, joined | {name: joined[name] + 3 for name in columns(view, config)})
    moved = {name for name in NUMERIC if after[name] != before[name]}
    assert moved == {name for name in NUMERIC if view in sources(name)}


@pytest.mark.parametrize("name", REQUEST)
def test_what_the_schedule_says_comes_from_no_view(name):
    assert sources(name) == set()


def test_every_view_is_the_source_of_some_feature():
    assert set().union(*map(sources, NUMERIC)) == set(VIEWS)


def test_every_feature_and_every_instant_is_derived_and_nothing_else(config):
    values = of(config, something(config))
    assert sorted(values) == sorted([*NUMERIC, *KNOWN_AT])
    assert {str(values[name].dtype) for name in NUMERIC} == {"float32"}
    assert {str(values[name].dtype) for name in KNOWN_AT} == {"int64"}


def test_what_a_store_found_is_left_as_it_was(config):
    joined = something(config) | {"weather_known_at": np.array([AT - 60 * 24])}
    before = {name: values.copy() for name, values in joined.items()}
    of(config, joined)
    assert all(np.array_equal(joined[name], before[name], equal_nan=True) for name in before)


# Nothing known.


def test_a_store_that_knows_nothing_gives_priors_and_what_is_missing(config):
    values = of(config, nothing(config))
    shares = {w.name: values[w.name][0] for w in ROLLING}
    assert shares == {w.name: np.float32(config.prior[w.value]) for w in ROLLING}
    assert all(np.isnan(values[name]).all() for name in (*WEATHER, *AIRCRAFT))
    assert all((values[name] == NEVER).all() for name in KNOWN_AT)


def test_an_entity_without_a_row_is_an_entity_without_flights(config):
    empty = {name: np.array([0.0]) for name in nothing(config) if name.endswith(("_count", "_sum"))}
    none, zero = of(config, nothing(config)), of(config, nothing(config) | empty)
    assert all(none[w.name] == zero[w.name] for w in ROLLING)


@pytest.mark.parametrize("view", ENTITIES)
def test_a_view_whose_windows_are_all_empty_knows_nothing(config, view):
    assert told(config, **{f"{view}_known_at": AT - 60})[f"{view}_known_at"] == NEVER


@pytest.mark.parametrize("view", ENTITIES)
def test_one_flight_in_any_window_is_knowledge(config, view):
    for window in windows.windows(view, config):
        changes = {f"{view}_known_at": AT - 60, f"{window.name}_count": 1.0}
        assert told(config, **changes)[f"{view}_known_at"] == AT - 60, window.name


# Means.


def test_a_share_is_pulled_towards_the_mean_of_all_flights_by_its_views_weight(config):
    base = next(b for b in windows.baselines(config) if b.value == "late")
    changes = {f"{base.name}_count": 40.0, f"{base.name}_sum": 10.0}
    changes |= {"route_late_7d_count": 2.0, "route_late_7d_sum": 2.0}
    weight = config.shrink_flights["route"]
    expected = (2.0 + weight * 0.25) / (2.0 + weight)
    assert told(config, **changes)["route_late_7d"] == np.float32(expected)


def test_a_delay_below_zero_stays_below_zero(config):
    changes = {"origin_dep_delay_3h_count": 1000.0, "origin_dep_delay_3h_sum": -5000.0}
    assert told(config, **changes)["origin_dep_delay_3h"] < -4


# Too old: missing, never a default.

LANDED = {"aircraft_arr_delay": 7.0}
LEFT = {"aircraft_dep_delay": 7.0, "aircraft_airborne": 1.0, "ready": AT - 5.0}
STALE = [
    pytest.param("weather_known_at", dict.fromkeys(WEATHER, 7.0), WEATHER, id="the weather"),
    pytest.param(
        "aircraft_known_at",
        LEFT,
        ["aircraft_dep_delay", "aircraft_airborne", "aircraft_slack"],
        id="the aircraft's departure",
    ),
    pytest.param(
        "landed_at", LANDED, ["aircraft_arr_delay", "aircraft_age"], id="the aircraft's landing"
    ),
]


def lifetime_of(known, config):
    return 60 * (config.weather_hours if known.startswith("weather") else config.aircraft_hours)


@pytest.mark.parametrize(("known", "values", "features"), STALE)
def test_a_value_is_there_to_the_last_minute_of_its_life(config, known, values, features):
    given = told(config, **values, **{known: AT - lifetime_of(known, config)})
    assert not any(np.isnan(given[name]).any() for name in features)


@pytest.mark.parametrize(("known", "values", "features"), STALE)
def test_a_value_that_is_a_minute_too_old_is_missing(config, known, values, features):
    given = told(config, **values, **{known: AT - lifetime_of(known, config) - 1})
    assert all(np.isnan(given[name]).all() for name in features)
    assert (given.get(known, np.array([NEVER])) == NEVER).all()


def test_a_landing_that_is_too_old_leaves_a_recent_departure(config):
    known = {"landed_at": AT - 60 * config.aircraft_hours - 1, "aircraft_known_at": AT - 60}
    given = told(config, **LANDED, **LEFT, **known)
    assert (given["aircraft_dep_delay"], given["aircraft_known_at"]) == (7, AT - 60)
    assert np.isnan(given["aircraft_arr_delay"])


def test_age_and_slack_are_minutes_from_the_prediction(config):
    given = told(config, **LANDED, landed_at=AT - 100, ready=AT + 30.0, aircraft_known_at=AT - 9)
    assert given["aircraft_age"] == 100
    assert given["aircraft_slack"] == config.horizon_minutes - 30


# Many requests.


def test_requests_of_a_batch_do_not_touch_each_other(config):
    rows = [something(config), nothing(config), something(config) | {"system_known_at": [AT - 7]}]
    rows[2]["weather_known_at"] = np.array([AT - 60 * 24])
    batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    request = {name: np.full(3, 60) for name in REQUEST}
    together = derive_features(batch, request, np.array([AT, AT + 9, AT]), config)
    for place, (row, at) in enumerate(zip(rows, (AT, AT + 9, AT), strict=True)):
        for name, alone in of(config, row, at).items():
            assert together[name][place : place + 1].tobytes() == alone.tobytes(), name
