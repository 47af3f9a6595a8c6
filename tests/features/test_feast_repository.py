"""What Feast is told, as far as it can be said without Feast."""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import (
    ENTITIES,
    FEATURES,
    KEYS,
    KNOWN_AT,
    NUMERIC,
    REQUEST,
    VIEWS,
)
from pipeline.features.feast_repository import (
    DERIVED_FEATURES,
    WATERMARK,
    as_feast_calls,
    columns,
    keys_of,
    lifetime,
    on_demand_values,
    store_column,
    store_table,
    stored_columns,
)
from pipeline.features.windows import NEVER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from tests.features import oracle
from tests.features.oracle import flight

DAY = timedelta(days=1)
NAN = float("nan")


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


@pytest.fixture(scope="module")
def views(config):
    flights = oracle.flights(
        flight("05-20 10:00", 20, NAN),
        flight("05-20 11:00", 60, 60, tailnum="N1", carrier="DL", origin="JFK", dest="BOS"),
        flight("11-03 05:30", NAN, NAN, tailnum=None),
    )
    return windows.views(flights, oracle.weather("05-20 08:00", wind_dir=NAN), config)


@pytest.fixture(scope="module")
def tables(views, config):
    return {view: store_table(view, rows, config) for view, rows in views.items()}


# Names.


@pytest.mark.parametrize("view", VIEWS)
def test_the_store_takes_every_column_of_a_views_rows(views, config, view):
    held = set(views[view].columns) - {"entity", "known_at", "available_at"}
    assert held == set(columns(view, config))


def test_no_two_columns_of_the_store_share_a_name_and_none_is_a_features(tables):
    names = [
        name
        for view, rows in tables.items()
        for name in rows.columns.difference([*keys_of(view), "event_timestamp", "created"])
    ]
    assert len(names) == len(set(names))
    keys = {key for view in VIEWS for key in keys_of(view)}
    given = {*NUMERIC, *FEATURES, *keys, *(f"last_{name}" for name in KNOWN_AT), "predict_at"}
    assert set(names) & given == set()


def test_what_the_on_demand_view_is_asked_and_says_has_other_names_than_its_sources(tables):
    sources = {name for rows in tables.values() for name in rows.columns}
    assert sources & {*DERIVED_FEATURES, *REQUEST} == set()


@pytest.mark.parametrize("view", VIEWS)
def test_no_column_is_lost_by_its_name_in_the_store(config, view):
    names = columns(view, config)
    assert len({store_column(name) for name in names}) == len(names)


@pytest.mark.parametrize("view", [*VIEWS, WATERMARK])
def test_every_entity_has_a_name_in_the_store(view):
    assert keys_of(view) == {"system": ["system"], WATERMARK: ["view"]}.get(view, KEYS.get(view))


# Rows.


@pytest.mark.parametrize("view", VIEWS)
def test_a_row_may_be_used_from_its_event_timestamp_on_and_no_earlier(tables, views, view):
    available = windows.instants(views[view]["available_at"].to_numpy())
    assert tables[view]["event_timestamp"].tolist() == available.tolist()
    assert tables[view]["created"].tolist() == available.tolist()
    assert str(tables[view]["event_timestamp"].dt.tz) == "UTC"
    assert (tables[view][f"{view}_known_at"] < tables[view][f"{view}_available_at"]).all()


@pytest.mark.parametrize("view", VIEWS)
def test_a_row_keeps_its_values(tables, views, config, view):
    for name in columns(view, config):
        pd.testing.assert_series_equal(
            tables[view][store_column(name)], views[view][name], check_names=False
        )
    assert tables[view][f"{view}_known_at"].tolist() == views[view]["known_at"].tolist()


@pytest.mark.parametrize(
    ("view", "keys"),
    [
        ("system", {("all",)}),
        ("origin", {("EWR",), ("JFK",)}),
        ("carrier", {("UA",), ("DL",)}),
        ("origin_carrier", {("EWR", "UA"), ("JFK", "DL")}),
        ("destination", {("ORD",), ("BOS",)}),
        ("route", {("EWR", "ORD"), ("JFK", "BOS")}),
        ("hour", {(6,), (7,), (1,)}),
        ("weather", {("EWR",)}),
        ("aircraft", {("N0",), ("N1",)}),
    ],
)
def test_an_entity_is_told_by_the_columns_of_a_request(tables, view, keys):
    assert set(tables[view][keys_of(view)].itertuples(index=False, name=None)) == keys


def test_entities_stay_with_their_rows_whatever_the_order(views, config):
    shuffled = views["route"].sample(frac=1, random_state=5)
    told, expected = (store_table("route", rows, config) for rows in (shuffled, views["route"]))
    by_key = ["origin", "dest", "event_timestamp"]
    assert not told.equals(expected)
    assert told.sort_values(by_key, ignore_index=True).equals(
        expected.sort_values(by_key, ignore_index=True)
    )


# How long a row may be used.


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("hours", [1, 6, 23, 24, 25, 30, 48, 49])
def test_a_lifetime_is_whole_days_or_less_than_one(config, view, hours):
    """Feast's join takes no mixture of days and hours."""
    changed = config.model_copy(update={"weather_hours": hours, "aircraft_hours": hours})
    lived = lifetime(view, changed)
    assert lived < DAY or lived % DAY == timedelta()


@pytest.mark.parametrize("view", ["weather", "aircraft"])
@pytest.mark.parametrize("hours", [1, 6, 23, 24, 25, 30, 48, 49])
def test_feast_drops_no_row_that_is_recent_enough(config, view, hours):
    changed = config.model_copy(update={"weather_hours": hours, "aircraft_hours": hours})
    assert timedelta(hours=hours) <= lifetime(view, changed) < timedelta(hours=hours) + DAY


@pytest.mark.parametrize("view", ENTITIES)
def test_a_rolling_row_that_is_too_old_for_feast_was_followed_by_an_empty_one(views, config, view):
    rows = views[view]
    lived = lifetime(view, config) / timedelta(minutes=1)
    same = rows["entity"] == rows["entity"].shift(-1)
    holds = rows.filter(like="_count").any(axis=1)
    assert same[holds].all()
    assert (rows["available_at"].shift(-1) - rows["available_at"])[holds].max() < lived


# The on-demand view, as Feast calls it.


def inputs_of(config, size=1):
    """What Feast hands over where no view has a row."""
    names = [store_column(name) for view in VIEWS for name in columns(view, config)]
    empty = {name: [None] * size for name in [*names, *KNOWN_AT]}
    return empty | {name: [60] * size for name in REQUEST} | {"predict_at": [500_000] * size}


def test_a_store_without_a_row_says_none_and_is_understood(config):
    values = on_demand_values(inputs_of(config), stored_columns(config), config)
    assert values["origin_dep_late_3h"] == np.float32(config.prior["dep_late"])
    assert np.isnan(values["humid"]).all()
    assert values["weather_known_at"].tolist() == [NEVER]


def test_a_column_reaches_its_feature_by_the_name_that_it_has_in_the_store(config):
    inputs = inputs_of(config) | {"last_humid": [55.5], "weather_known_at": [499_990]}
    values = on_demand_values(inputs, stored_columns(config), config)
    assert (values["humid"], values["weather_known_at"]) == (55.5, 499_990)


def test_feast_is_given_lists_of_what_its_view_declares(config):
    given = as_feast_calls(inputs_of(config, 2), config.model_dump_json())
    assert list(given) == [*DERIVED_FEATURES, *(f"last_{name}" for name in KNOWN_AT)]
    assert {len(values) for values in given.values()} == {2}
    assert {type(value) for name in DERIVED_FEATURES for value in given[name]} == {float}
    assert {type(value) for name in KNOWN_AT for value in given[f"last_{name}"]} == {int}


def test_a_float32_is_told_to_feast_without_loss(config):
    settings = config.model_copy(update={"prior": config.prior | {"late": 0.1}})
    given = as_feast_calls(inputs_of(config), settings.model_dump_json())["route_late_7d"]
    assert given == [float(np.float32(0.1))]


# The import.


def said_by(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.long
@pytest.mark.slow
def test_what_is_defined_passes_the_checks_that_the_import_leaves_out():
    told = said_by(
        "import feast\n"
        "from pathlib import Path\n"
        "from pipeline.features.feast_repository import repository\n"
        "from pipeline.shared.config.features import FeaturesConfig\n"
        "from pipeline.shared.config.loading import load\n"
        "print(len(repository(load(FeaturesConfig), Path('rows')).objects))\n"
        "try:\n    feast.Entity(name=1)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    assert int(told[0]) > len(VIEWS)
    assert told[1] == "TypeCheckError"


@pytest.mark.long
@pytest.mark.slow
def test_others_find_typeguard_as_it_was():
    told = said_by(
        "import typeguard\n"
        "before = typeguard.typechecked\n"
        "from pipeline.features.feast_repository import import_feast\n"
        "import_feast()\n"
        "import feast.feature_view\n"
        "print(typeguard.typechecked is before, feast.feature_view.typechecked is before)\n"
    )
    assert told == ["True", "False"]
