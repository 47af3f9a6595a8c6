"""The store is Feast, so it is Feast that is held against the specification here."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.features import feast_repository, windows
from pipeline.features.definitions import (
    KEYS,
    KNOWN_AT,
    NUMERIC,
    REQUEST,
    ROLLING,
    VIEWS,
    service_version,
)
from pipeline.features.feast_repository import WATERMARK, repository, store_table
from pipeline.features.on_demand import sources
from pipeline.features.online_store import (
    LATE,
    MISSING,
    REPLAY,
    STALE,
    open_store,
    store_requests,
)
from pipeline.features.point_in_time import historical, with_features
from pipeline.flights.events import fold_events
from pipeline.flights.features import AIRCRAFT, WEATHER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import StorageFailed
from pipeline.shared.files import write_parquet
from pipeline.shared.secrets import Address
from tests import needs
from tests.features import elsewhere, oracle
from tests.features.oracle import flight
from tests.features.poison import SEES, around, instants_of, poisoned
from tests.rules.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.answer("feature-store")]
NAN = float("nan")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


def at_place(place, **changes):
    """The serving config with an online store of its own in a folder."""
    url = {"online_url": Address(f"sqlite:///{place}/online.db")}
    return load(ServeConfig).model_copy(update=url | changes)


def written(folder, views, config):
    """The rows of every view where a store finds them."""
    for view, rows in views.items():
        write_parquet(folder / f"{view}.parquet", store_table(view, rows, config))
    return folder


def same(ours, theirs):
    """Whether two tables of features agree in every bit, in their order and in their index."""
    return (
        ours.index.equals(theirs.index)
        and ours[NUMERIC].to_numpy().tobytes() == theirs[NUMERIC].to_numpy().tobytes()
        and ours[KNOWN_AT].equals(theirs[KNOWN_AT])
    )


# Point in time, by Feast's own join, on a table made to break it.

ZULU = {"carrier": "ZZ", "origin": "LGA", "dest": "ZRH"}
"""A carrier that flies once and is asked about ever after."""
ADVERSARIAL = {
    "before anything is known": flight("05-01 10:00", 0, 0),
    # Aircraft. Each was last heard of by its landing, at 12:00 on the day before.
    "a landing of a day ago": flight("05-19 10:00", 9, 0, tailnum="N2"),
    "a day after a landing, less a minute": flight("05-20 13:59", tailnum="N2"),
    "a day after a landing": flight("05-20 14:00", tailnum="N2"),
    "a day after a landing, and a minute": flight("05-20 14:01", tailnum="N2"),
    "a departure at T": flight("05-20 12:00", tailnum="N3"),
    "asked at a departure": flight("05-20 14:00", tailnum="N3"),
    "a departure before T": flight("05-20 11:59", 0, 300, tailnum="N4", dest="BOS"),
    "asked a minute after a departure": flight("05-20 14:00", tailnum="N4"),
    "told twice": flight("05-20 08:00", 20, 30, tailnum="N5"),
    "told twice, again": flight("05-20 08:00", 20, 30, tailnum="N5"),
    "asked about what was told twice": flight("05-20 14:00", tailnum="N5"),
    "one of two landings in a minute": flight("05-20 08:00", 0, -20, tailnum="N6"),
    "the other landing in that minute": flight("05-20 06:36", -4, 64, tailnum="N6"),
    "asked about two landings in a minute": flight("05-20 14:00", tailnum="N6"),
    "a landing": flight("05-20 08:00", 3, 40, tailnum="N7"),
    "a departure in the minute of a landing": flight("05-20 10:35", 5, 900, tailnum="N7"),
    "asked about a landing and a departure": flight("05-20 14:00", tailnum="N7"),
    "cancelled": flight("05-20 08:30", NAN, NAN, tailnum="N8"),
    "diverted": flight("05-20 07:30", 0, NAN, tailnum="N9", dest="BOS"),
    "asked about a diverted aircraft": flight("05-20 14:00", tailnum="N9", dest="BOS"),
    "departed and not to arrive before T": flight("05-20 09:00", 0, 600, carrier="DL"),
    "without a tail number": flight("05-20 10:30", 7, 7, tailnum=None),
    "without a tail number, later": flight("05-20 14:00", tailnum=None),
    "an entity never seen": flight("05-20 14:00", dest="XNA", carrier="9E", tailnum="N99"),
    "an origin without weather": flight("05-20 14:00", origin="JFK"),
    # A view's rows down to empty windows: of 3 hours, 1 day, 7 days, 28 days; then none for Feast.
    "a carrier's only flight": flight("05-22 10:00", 60, 60, tailnum="NZ", **ZULU),
    **{
        f"{span} later": flight(at, NAN, NAN, tailnum=None, **ZULU)
        for span, at in {
            "a quarter of an hour": "05-22 12:30",
            "three hours": "05-22 15:15",
            "three hours and a quarter": "05-22 15:30",
            "a day": "05-23 14:15",
            "a day and a quarter of an hour": "05-23 14:30",
            "seven days": "05-29 14:15",
            "seven days and a quarter of an hour": "05-29 14:30",
            "twenty-eight days": "06-19 14:15",
            "twenty-eight days and a quarter of an hour": "06-19 14:30",
            "twenty-nine days and an hour": "06-20 15:15",
            "two months": "07-22 14:15",
        }.items()
    },
    # The night in which New York has no half past two, and the one in which it is half past one
    # twice.
    **{
        f"March 10, {at}": flight(f"03-10 {at}", 15 + number, 20, tailnum="N10", carrier="B6")
        for number, at in enumerate(["05:30", "06:30", "07:30", "08:15", "08:30", "09:30"])
    },
    "March 11": flight("03-11 05:30", tailnum="N10", carrier="B6"),
    **{
        f"November 3, {at}": flight(f"11-03 {at}", 15 + number, 20, tailnum="N11", carrier="AA")
        for number, at in enumerate(["04:30", "05:30", "06:30", "07:30", "08:30"])
    },
    "November 4": flight("11-04 06:30", tailnum="N11", carrier="AA"),
}
OBSERVED = [
    *("05-20 04:00", "05-20 05:00", "05-20 12:30", "05-22 09:00", "05-22 10:00"),
    *("03-10 05:00", "03-10 06:00", "03-10 07:00", "11-03 04:00", "11-03 05:00", "11-03 06:00"),
]


@pytest.fixture(scope="module")
def adversarial(config, tmp_path_factory):
    """The raw tables, their requests in disorder and some of them twice, and the views' rows."""
    flights = oracle.flights(*ADVERSARIAL.values())
    weather = oracle.weather(*OBSERVED, humid=np.arange(len(OBSERVED)) + 1.0)
    asked = windows.requests(flights, config)
    asked = pd.concat([asked.sample(frac=1, random_state=1), asked.sample(9, random_state=2)])
    views = windows.views(flights, weather, config)
    return SimpleNamespace(
        truth=oracle.Oracle(oracle.outcomes(flights), weather, NUMERIC),
        asked=asked,
        views=views,
        folder=written(tmp_path_factory.mktemp("adversarial"), views, config),
    )


@pytest.fixture(scope="module")
def by_feast(adversarial, config, tmp_path_factory):
    """The adversarial requests, as Feast joined them."""
    with open_store(config, at_place(tmp_path_factory.mktemp("join")), adversarial.folder) as store:
        return store.historical(adversarial.asked)


def disagreements(frame, truth, name):
    """The rows of a table, named by their place in the raw one, that the oracle sees otherwise."""
    found = []
    for label, value in frame[name].items():
        expected = truth.value(truth.flights.loc[label], name)
        agree = pd.isna(value) == pd.isna(expected)
        if agree and pd.notna(value):
            agree = value == expected if name in KNOWN_AT else np.isclose(value, expected, 1e-6, 0)
        if not agree:
            found.append(f"{label}: {value} != {expected}")
    return found


@pytest.mark.long
@pytest.mark.parametrize("name", [*NUMERIC, *KNOWN_AT])
def test_feast_joins_as_the_slow_oracle_says(adversarial, by_feast, name):
    once = by_feast[~by_feast.index.duplicated()]
    assert len(once) == len(ADVERSARIAL)
    assert disagreements(once, adversarial.truth, name) == []


def test_feast_joins_as_training_does_bit_by_bit(adversarial, by_feast, config):
    assert same(by_feast, historical(adversarial.asked, adversarial.views, config))


def test_feast_takes_lifetimes_of_more_than_a_day_that_are_no_whole_number_of_them(
    adversarial, by_feast, config, tmp_path
):
    longer = config.model_copy(update={"aircraft_hours": 30, "weather_hours": 25})
    with open_store(longer, at_place(tmp_path), adversarial.folder) as store:
        found = store.historical(adversarial.asked)
    assert same(found, historical(adversarial.asked, adversarial.views, longer))
    assert found["aircraft_age"].notna().sum() > by_feast["aircraft_age"].notna().sum()


def test_as_many_rows_come_back_as_went_in_in_their_order_and_with_their_index(
    adversarial, by_feast
):
    asked = adversarial.asked
    assert len(by_feast) == len(asked) > asked.index.nunique()
    kept = [name for name in asked.columns if name not in REQUEST]
    assert by_feast[kept].equals(asked[kept])
    assert by_feast[REQUEST].astype("int64").equals(asked[REQUEST])


@pytest.mark.parametrize(
    ("label", "name", "expected"),
    [
        ("a day after a landing, less a minute", "aircraft_age", 24 * 60 - 1),
        ("a day after a landing", "aircraft_age", 24 * 60),
        ("a day after a landing, and a minute", "aircraft_age", NAN),
        ("a day after a landing, and a minute", "aircraft_slack", NAN),
        ("asked at a departure", "aircraft_airborne", NAN),
        ("asked a minute after a departure", "aircraft_airborne", 1),
        ("asked a minute after a departure", "aircraft_dep_delay", 0),
        ("asked about two landings in a minute", "aircraft_arr_delay", -20),
        ("asked about a landing and a departure", "aircraft_arr_delay", 40),
        ("asked about a landing and a departure", "aircraft_dep_delay", 5),
        ("asked about a diverted aircraft", "aircraft_airborne", 1),
        ("without a tail number, later", "aircraft_dep_delay", NAN),
        ("an origin without weather", "humid", NAN),
        ("a day after a landing, less a minute", "humid", 2),
        ("a day after a landing", "humid", 2),  # six hours after 06:00
        ("a day after a landing, and a minute", "humid", NAN),
        ("before anything is known", "system_late_24h", 0.25),
        ("two months later", "destination_late_7d", 0.25),
    ],
)
def test_at_the_edges_feast_finds_what_a_hand_counts(by_feast, label, name, expected):
    value = by_feast[~by_feast.index.duplicated()][name].loc[list(ADVERSARIAL).index(label)]
    assert np.array_equal(np.float32(value), np.float32(expected), equal_nan=True)


# Rows as an adversary lays them: ties, late arrivals, the same told twice.


@pytest.fixture
def folder(adversarial, tmp_path):
    """A copy of the adversarial rows, to lay others among them."""
    return shutil.copytree(adversarial.folder, tmp_path / "views")


@pytest.fixture
def store(folder, tmp_path, config):
    """A store over them, with nothing online."""
    with open_store(config, at_place(tmp_path), folder) as store:
        yield store


T = pd.Timestamp("2013-05-20 12:00Z")
NOON = "asked about what was told twice"
"""A request at T: the weather that it meets is that of 05:00, available at 06:01."""


def asked_at_noon(adversarial):
    return adversarial.asked.loc[[list(ADVERSARIAL).index(NOON)]][:1]


def lay(folder, created, humid, first, available="2013-05-20 06:01Z"):
    """Lay a row of weather among the others, before them or after them in the file."""
    rows = pd.read_parquet(folder / "weather.parquet")
    like = rows[rows["event_timestamp"] == pd.Timestamp("2013-05-20 06:01Z")]
    row = like.assign(last_humid=humid, created=pd.Timestamp(created))
    row["event_timestamp"] = pd.Timestamp(available)
    write_parquet(folder / "weather.parquet", pd.concat([row, rows] if first else [rows, row]))


@pytest.mark.long
@pytest.mark.parametrize("first", [True, False], ids=["first in the file", "last in the file"])
@pytest.mark.parametrize(("created", "humid"), [("06:02", 99), ("06:00", 2)])
def test_of_two_rows_of_an_instant_the_one_created_later_counts_offline_and_online(
    adversarial, store, folder, first, created, humid
):
    lay(folder, f"2013-05-20 {created}Z", 99.0, first)
    asked = asked_at_noon(adversarial)
    store.materialize(VIEWS, T - DAY, T)
    assert store.historical(asked)["humid"].tolist() == [humid]
    assert store.online(asked).values["humid"].tolist() == [humid]


def test_feast_uses_a_row_that_was_created_too_late_so_its_event_timestamp_has_to_be_when_it_came(
    adversarial, store, folder
):
    lay(folder, created="2013-05-23 12:00Z", humid=99.0, first=False)
    assert store.historical(asked_at_noon(adversarial))["humid"].tolist() == [99]


@pytest.mark.long
@pytest.mark.parametrize(("available", "humid"), [("12:00", 99), ("12:01", 2)])
def test_a_row_counts_from_its_event_timestamp_on_however_early_it_was_created(
    adversarial, store, folder, available, humid
):
    lay(folder, "2013-05-01 12:00Z", 99.0, False, f"2013-05-20 {available}Z")
    asked = asked_at_noon(adversarial)
    store.materialize(VIEWS, T - DAY, T)
    assert store.historical(asked)["humid"].tolist() == [humid]
    assert store.online(asked).values["humid"].tolist() == [humid]


def test_every_row_told_twice_changes_nothing(adversarial, by_feast, store, folder):
    for path in folder.iterdir():
        rows = pd.read_parquet(path)
        write_parquet(path, pd.concat([rows, rows.sample(frac=1, random_state=3)]))
    assert same(store.historical(adversarial.asked), by_feast)


def test_feasts_default_store_loses_requests_and_ours_is_another(
    adversarial, store, tmp_path, record_property: Callable[[str, object], None]
):
    """Dask's join drops a request whose entity has rows, but all too old or still to come."""
    from feast import FeatureStore, RepoConfig

    told = repository(load(FeaturesConfig), adversarial.folder)
    registry, online = str(tmp_path / "dask.db"), {"type": "sqlite", "path": str(tmp_path / "o.db")}
    feast = FeatureStore(
        config=RepoConfig(
            project="default",
            provider="local",
            registry=registry,
            online_store=online,
            entity_key_serialization_version=3,
            repo_path=tmp_path,
        )
    )
    asked = adversarial.asked
    entities = pd.DataFrame(store_requests(asked)).assign(event_timestamp=asked["predict_at"].array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feast.apply(told.objects)
        found = feast.get_historical_features(entity_df=entities, features=told.service).to_df()
        feast.teardown()  # nothing else closes its database, and Python 3.13 tells of that
    assert feast.config.offline_store.type == "dask"
    assert 0 < len(found) < len(asked) / 2
    assert store._feast.config.offline_store.type == "duckdb"
    lost = len(asked) - len(found)
    record_property(f"of {len(asked)} requests that Feast's default store would lose", lost)


# The real data.


@pytest.fixture(scope="module")
def quarter(published, config, tmp_path_factory):
    """January to March: raw, the rows of views, and every flight as training joins it."""
    asked = windows.requests(published["flights"], config)
    views = windows.views(published["flights"], published["weather"], config)
    return SimpleNamespace(
        truth=oracle.Oracle(oracle.outcomes(published["flights"]), published["weather"], NUMERIC),
        asked=asked,
        frame=historical(asked, views, config),
        folder=written(tmp_path_factory.mktemp("quarter"), views, config),
    )


@pytest.fixture(scope="module")
def sample_by_feast(quarter, config, tmp_path_factory):
    """Flights at random and all that are predicted around the night of March 10, in disorder."""
    night = ("2013-03-10 00:00Z", "2013-03-10 12:00Z")
    at_night = quarter.asked[quarter.asked["predict_at"].between(*map(pd.Timestamp, night))]
    some = pd.concat([at_night, quarter.asked.sample(300, random_state=2013)])
    with open_store(config, at_place(tmp_path_factory.mktemp("join")), quarter.folder) as store:
        return store.historical(some.sample(frac=1, random_state=1))


def test_of_real_flights_feast_says_what_training_does_bit_by_bit(
    quarter, sample_by_feast, record_property: Callable[[str, object], None]
):
    assert len(sample_by_feast) > 350
    assert sample_by_feast["predict_at"].dt.date.nunique() > 60
    assert same(sample_by_feast, quarter.frame.loc[sample_by_feast.index])
    record_property(
        "real flights that Feast joins as training does, bit by bit", len(sample_by_feast)
    )


@pytest.mark.parametrize("name", [*NUMERIC, *KNOWN_AT])
def test_of_real_flights_feast_says_what_the_slow_oracle_does(quarter, sample_by_feast, name):
    some = sample_by_feast.sample(2, random_state=sum(name.encode()))
    assert disagreements(some, quarter.truth, name) == []


# Poison: what becomes known at or after T must not move a single bit at T.

INSTANTS = 3


@pytest.fixture(scope="module")
def instants(quarter):
    return instants_of(quarter.frame, INSTANTS)


def poisoned_by(published, at, known_from, place, config):
    """The flights predicted at an instant, by Feast, where all that is known later is absurd."""
    flights, weather = poisoned(*around(published, at), known_from)
    scheduled = flights["sched_dep_utc"] == at + timedelta(minutes=config.horizon_minutes)
    folder = written(place / "poisoned", windows.views(flights, weather, config), config)
    with open_store(config, at_place(place), folder) as store:
        return store.historical(windows.requests(flights[scheduled], config))


@pytest.mark.long
@pytest.mark.parametrize("number", range(INSTANTS))
def test_nothing_known_at_or_after_the_prediction_moves_what_feast_joins(
    published, quarter, instants, config, tmp_path, number
):
    at = instants[number]
    after = poisoned_by(published, at, at, tmp_path, config)
    before = quarter.frame[quarter.frame["predict_at"] == at]
    assert len(after) == len(before) > 0
    assert after[NUMERIC].to_numpy().tobytes() == before[NUMERIC].to_numpy().tobytes()
    recent, again = (
        known.where(known > at - SEES) for known in (before[KNOWN_AT], after[KNOWN_AT])
    )
    assert again.reset_index(drop=True).equals(recent.reset_index(drop=True))


@pytest.mark.long
def test_poison_before_the_prediction_moves_every_feature_that_looks_back(
    published, quarter, instants, config, tmp_path
):
    moved = set()
    for at in instants:
        after = poisoned_by(published, at, at - 90 * MINUTE, tmp_path, config)[NUMERIC]
        before = quarter.frame.loc[quarter.frame["predict_at"] == at, NUMERIC]
        after, before = after.reset_index(drop=True), before.reset_index(drop=True)
        moved |= {name for name in NUMERIC if not after[name].equals(before[name])}
    assert moved == set(NUMERIC) - set(REQUEST)


# Online.

NOW = pd.Timestamp("2013-03-10 14:00Z")


def minute_of(at):
    return int(windows.minutes(pd.Series([at]))[0])


@pytest.fixture(scope="module")
def march(published, config, tmp_path_factory):
    """Four days around the night of March 10: the rows of views, on disk and online up to NOW."""
    raw = [published[t].query("month == 3 and 8 <= day <= 11") for t in ("flights", "weather")]
    views = windows.views(*raw, config)
    folder = tmp_path_factory.mktemp("march")
    written(folder / "views", views, config)
    with open_store(config, at_place(folder), folder / "views") as store:
        store.materialize(VIEWS, NOW - 4 * DAY, NOW)
    return SimpleNamespace(asked=windows.requests(raw[0], config), views=views, folder=folder)


@pytest.fixture
def live(march, tmp_path, config):
    """A store of the test's own, online up to NOW."""
    shutil.copy(march.folder / elsewhere.ONLINE, tmp_path)
    with open_store(config, at_place(tmp_path), march.folder / "views") as store:
        yield store


@pytest.fixture
def empty(march, tmp_path, config):
    """A store of the test's own with nothing online."""
    with open_store(config, at_place(tmp_path), march.folder / "views") as store:
        yield store


def asked_at(march, at, size=60):
    """Flights of two days, asked about at one instant; the last is of entities never seen."""
    some = march.asked.query("day >= 10").sample(size, random_state=7)
    anonymous = some[:1].assign(tailnum=None)
    unseen = some[:1].assign(origin="XXX", dest="XXX", carrier="ZZ", tailnum="N0")
    return pd.concat([some, anonymous, unseen]).assign(predict_at=at)


def served(asked, vectors):
    """What was read, as a table like that of the offline join."""
    return with_features(asked, vectors.values)


def pushed(store, march, since, until, without=()):
    """Push all that becomes available after one instant, up to another; how many came too late."""
    since, until = minute_of(since), minute_of(until)
    late = 0
    for view in VIEWS:
        rows = march.views[view]
        if view not in without:
            late += store.push(view, rows[rows["available_at"].between(since + 1, until)])
    return late


@pytest.mark.long
def test_what_is_read_is_what_the_offline_join_says_at_every_instant_bit_by_bit(
    march, live, record_property: Callable[[str, object], None]
):
    instants = [NOW, *(NOW + minutes * MINUTE for minutes in (1, 14, 15, 16, 61, 170, 600))]
    asked = {at: asked_at(march, at) for at in instants}
    offline = live.historical(pd.concat(asked.values(), ignore_index=True))
    before = NOW
    for at in instants:
        pushed(live, march, before, at)
        live.complete(VIEWS, at)
        expected = offline[offline["predict_at"] == at]
        assert same(served(asked[at], live.online(asked[at])), expected.set_index(asked[at].index))
        before = at
    assert not any(count for (_, reason), count in live.counts.items() if reason != MISSING)
    record_property("vectors read online that are the offline join's, bit by bit", len(offline))


def test_a_materialization_repairs_what_no_push_brought(march, live, config):
    at = NOW + HOUR
    pushed(live, march, NOW, at, without={"origin", "weather", "route"})
    live.complete(VIEWS, at)
    asked = asked_at(march, at)
    expected = historical(asked, march.views, config)
    assert not same(served(asked, live.online(asked)), expected)
    live.materialize(VIEWS, at - HOUR, at)
    assert same(served(asked, live.online(asked)), expected)


def test_an_aircrafts_stored_row_and_its_new_events_fold_into_the_row_that_training_has(
    march, live, config
):
    at = minute_of(NOW + 8 * HOUR)
    rows = march.views["aircraft"]
    new = rows[rows["available_at"].between(minute_of(NOW) + 1, at)]
    seen = sorted(set(new["entity"]))
    # By itself a departure knows of no landing before it.
    events = new.assign(
        **{
            name: new[name].where(new["aircraft_airborne"] == 0)
            for name in ("aircraft_arr_delay", "landed_at")
        }
    )
    folded = fold_events(pd.concat([live.rows("aircraft", seen), events]))
    newest = folded[folded["available_at"] > minute_of(NOW)]
    live.push("aircraft", newest)
    last = rows[rows["available_at"] <= at].groupby("entity", observed=True).tail(1)
    assert elsewhere.seen("aircraft", live.rows("aircraft", seen)) == elsewhere.seen(
        "aircraft", last[last["entity"].isin(seen)]
    )


def test_feasts_own_read_gives_the_same_bits(march, live):
    asked = asked_at(march, NOW)
    ours, feasts = live.online(asked).values, live.read_by_feast(store_requests(asked))
    assert sorted(ours) == sorted(feasts)
    assert [n for n in ours if ours[n].tobytes() != feasts[n].tobytes()] == []


# Pushes in disorder.


def rows_of_newark(march):
    """Three rows of one entity, the oldest first, all of them newer than what is online."""
    rows = march.views["origin"].query("entity == 'EWR'")
    return [rows[rows["available_at"] > minute_of(NOW)][at : at + 1] for at in (3, 9, 20)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_events_arrive_the_newest_stays_and_the_late_are_counted(
    march, live, order
):
    events = rows_of_newark(march)
    late = [live.push("origin", events[number]) for number in order]
    assert late == [int(number < max(order[: at + 1])) for at, number in enumerate(order)]
    assert live.counts["origin", LATE] == sum(late)
    assert elsewhere.seen("origin", live.rows("origin", ["EWR"])) == elsewhere.seen(
        "origin", events[2]
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_events_that_arrive_together_the_newest_is_taken(march, live, order):
    events = rows_of_newark(march)
    assert live.push("origin", pd.concat([events[number] for number in order])) == 0
    assert elsewhere.seen("origin", live.rows("origin", ["EWR"])) == elsewhere.seen(
        "origin", events[2]
    )


def test_a_late_event_holds_back_none_that_arrives_with_it(march, live):
    first, _, last = rows_of_newark(march)
    live.push("origin", last)
    other = march.views["origin"].query("entity == 'JFK'")
    other = other[other["available_at"] > minute_of(NOW)][3:4]
    assert live.push("origin", pd.concat([first, other])) == 1
    expected = elsewhere.seen("origin", pd.concat([last, other]))
    assert elsewhere.seen("origin", live.rows("origin", ["EWR", "JFK"])) == expected


def test_what_is_pushed_twice_changes_nothing_and_is_not_late(march, live, tmp_path):
    assert pushed(live, march, NOW, NOW + 3 * HOUR) == 0
    once = elsewhere.online(tmp_path)
    assert pushed(live, march, NOW, NOW + 3 * HOUR) == 0
    assert elsewhere.online(tmp_path) == once


def test_what_was_materialized_and_is_pushed_again_changes_nothing(march, live, tmp_path):
    before = elsewhere.online(tmp_path)
    pushed(live, march, NOW - 4 * DAY, NOW)
    assert elsewhere.online(tmp_path) == before


# A view that fell behind.

LAG = load(ServeConfig).max_lag_minutes * MINUTE


def of(view):
    """The features that rest on a view."""
    return {name for name in NUMERIC if view in sources(name)}


def differing(ours, theirs):
    return {n for n in NUMERIC if ours.values[n].tobytes() != theirs.values[n].tobytes()}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_fell_behind_is_withheld_flagged_and_counted(march, live, view):
    at = NOW + LAG + MINUTE
    asked, others = asked_at(march, at), [other for other in VIEWS if other != view]
    live.complete(others, at)
    withheld = live.online(asked)
    assert set(withheld.flags[view]) == {STALE}
    assert live.counts[view, STALE] == len(asked)
    assert all(np.isnan(withheld.values[name]).all() for name in of(view))
    assert (withheld.values[f"{view}_known_at"] == windows.NEVER).all()
    # And only that.
    assert sum(live.counts[other, STALE] for other in others) == 0
    live.complete(VIEWS, at)
    served = live.online(asked)
    assert differing(withheld, served) <= of(view)
    assert all((withheld.flags[other] == served.flags[other]).all() for other in others)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_behind_by_exactly_the_limit_is_served(march, live, view, config):
    at = NOW + LAG
    asked = asked_at(march, at)
    live.complete(sorted(set(VIEWS) - {view}), at)
    answer = live.online(asked)
    assert STALE not in answer.flags[view]
    kept = historical(asked, march.views, config, lag=minute_of(at) - minute_of(NOW))
    assert same(served(asked, answer), kept)


def test_each_request_of_a_batch_is_held_against_its_own_instant(march, live):
    asked = asked_at(march, NOW, 2)
    asked["predict_at"] = [NOW, NOW + LAG, NOW + LAG + MINUTE, NOW - DAY]
    answer = live.online(asked)
    stale = [(answer.flags[view] == STALE).tolist() for view in VIEWS]
    assert stale == [[False, False, True, False]] * len(VIEWS)
    alone = [live.online(asked[place : place + 1]).values for place in range(len(asked))]
    for name, values in answer.values.items():
        assert values.tobytes() == b"".join(each[name].tobytes() for each in alone), name


def test_a_system_that_fell_behind_takes_every_rolling_feature_with_it(march, live):
    asked = asked_at(march, NOW + DAY)
    live.complete([view for view in VIEWS if view != "system"], NOW + DAY)
    values = live.online(asked).values
    assert all(np.isnan(values[w.name]).all() for w in ROLLING)
    assert not any(np.isnan(values[name]).any() for name in REQUEST)


@pytest.mark.long
@pytest.mark.parametrize("view", ["system", "route", "weather", "aircraft"])
def test_a_view_that_was_never_materialized_is_stale(march, empty, view):
    others = [other for other in VIEWS if other != view]
    empty.materialize(others, NOW - DAY, NOW)
    answer = empty.online(asked_at(march, NOW))
    assert empty.watermarks()[view] == windows.NEVER
    assert set(answer.flags[view]) == {STALE}
    assert all(np.isnan(answer.values[name]).all() for name in of(view))
    assert not any(STALE in answer.flags[other] for other in others)


def test_a_store_with_nothing_online_withholds_all_but_the_schedule(march, empty):
    asked = asked_at(march, NOW)
    answer = empty.online(asked)
    assert all(set(answer.flags[view]) == {STALE} for view in VIEWS)
    assert {n for n in NUMERIC if not np.isnan(answer.values[n]).all()} == set(REQUEST)


def test_a_view_that_caught_up_is_served_again(march, live, config):
    at = NOW + 2 * HOUR
    asked = asked_at(march, at)
    assert set(live.online(asked).flags["weather"]) == {STALE}
    live.materialize(VIEWS, NOW, at)
    assert same(served(asked, live.online(asked)), historical(asked, march.views, config))


# Nothing known.


def test_an_entity_never_seen_is_missing_and_has_the_mean_of_the_system(march, live, config):
    asked = asked_at(march, NOW)[-1:]
    answer = live.online(asked)
    unseen = [view for view in VIEWS if view not in ("system", "hour")]
    assert {view for view in VIEWS if answer.flags[view] == MISSING} == set(unseen)
    assert all(live.counts[view, MISSING] == 1 for view in unseen)
    assert all(np.isnan(answer.values[name]).all() for name in [*WEATHER, *AIRCRAFT])
    base = march.views["system"]
    base = base[base["available_at"] <= minute_of(NOW)].iloc[-1]
    late, dep_late = (
        np.float32(base[f"system_{value}_28d_sum"] / base[f"system_{value}_28d_count"])
        for value in ("late", "dep_late")
    )
    assert answer.values["route_late_28d"] == late == answer.values["carrier_late_7d"]
    assert answer.values["origin_dep_late_3h"] == dep_late
    assert same(served(asked, answer), historical(asked, march.views, config))


@pytest.mark.parametrize(
    ("view", "flag_at"),
    [("weather", 6 * HOUR), ("aircraft", 24 * HOUR)],
)
def test_a_row_too_old_is_missing_though_the_store_still_returns_it(march, live, view, flag_at):
    """No online store of Feast's forgets a row because of a view's TTL."""
    rows = march.views[view]
    last = rows[rows["available_at"] <= minute_of(NOW)].groupby("entity", observed=True).tail(1)
    entity, known = last[["entity", "known_at"]].sort_values("known_at").iloc[-1]
    asked = asked_at(march, NOW, 1)[:1].assign(**{live_key(view): entity})
    flags = []
    for at in (windows.instant(known) + flag_at, windows.instant(known) + flag_at + MINUTE):
        live.complete(VIEWS, at)
        answer = live.online(asked.assign(predict_at=at))
        missing = [np.isnan(answer.values[name]).item() for name in of(view)]
        flags.append((answer.flags[view].item(), all(missing)))
    assert flags == [("", False), (MISSING, True)]
    assert len(live.rows(view, [entity])) == 1


def live_key(view):
    (key,) = KEYS[view]
    return key


# Watermarks.


def test_a_watermark_moves_only_after_the_rows(march, live, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    before = elsewhere.online(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(live, "complete", killed)
        with pytest.raises(KeyboardInterrupt):
            live.materialize(VIEWS, NOW, NOW + HOUR)
    changed = {
        key[0] for key, value in elsewhere.online(tmp_path).items() if before.get(key) != value
    }
    assert changed == {f"flights_{view}" for view in VIEWS}
    assert set(live.watermarks().values()) == {minute_of(NOW)}


def test_a_materialization_that_fails_on_its_way_moves_no_watermark(live, march, tmp_path, config):
    views = shutil.copytree(march.folder / "views", tmp_path / "views")
    (views / "hour.parquet").unlink()
    with open_store(config, at_place(tmp_path), views) as store:
        before = elsewhere.online(tmp_path)
        with pytest.raises(Exception, match=r"hour\.parquet"):
            store.materialize(VIEWS, NOW, NOW + HOUR)
        assert set(store.watermarks().values()) == {minute_of(NOW)}
    assert elsewhere.online(tmp_path) != before


def test_a_materialization_of_the_past_takes_the_watermark_back_with_it(march, live):
    """SQLite takes older rows for newer ones, so what claims to be complete has to claim less."""
    pushed(live, march, NOW, NOW + HOUR)
    live.complete(VIEWS, NOW + HOUR)
    newer = live.rows("system", ["all"])["available_at"].item()
    live.materialize(VIEWS, NOW - HOUR, NOW)
    assert live.rows("system", ["all"])["available_at"].item() < newer
    assert set(live.watermarks().values()) == {minute_of(NOW)}


# Killed.

STEP, KILLS = 15, 6
READ = {
    "system": ["all"],
    "origin": ["EWR", "JFK", "LGA"],
    "carrier": ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN"],
    "destination": ["BOS", "ORD", "ATL", "LAX", "SFO", "MIA"],
    "hour": list(range(24)),
    "weather": ["EWR", "JFK", "LGA"],
}


@pytest.fixture(scope="module")
def lived(march, config, tmp_path_factory):
    """What was left and read by processes that were killed while they materialized."""
    if sys.platform != "linux":
        needs.skip("Linux")
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(march.folder / "views", folder / "views")
    first = minute_of(NOW - DAY)
    until = [minute_of(NOW) + STEP * number for number in range(150)]
    left, read = elsewhere.run(
        "killed",
        folder,
        config=config,
        serve=at_place(folder),
        first=first,
        until=until,
        entities=READ,
        kills=KILLS,
    )
    return SimpleNamespace(first=first, until=until, left=left, read=read)


@pytest.mark.long
@pytest.mark.answer
def test_after_kill_9_the_next_materialization_ends_as_if_nothing_had_been(
    march, lived, config, tmp_path, record_property: Callable[[str, object], None]
):
    assert len(lived.left) == KILLS
    for number, (stood, until, online, _) in enumerate(lived.left):
        place = tmp_path / str(number)
        with open_store(config, at_place(place), march.folder / "views") as store:
            store.materialize(VIEWS, *map(windows.instant, (lived.first, until)))
        undisturbed = elsewhere.online(place)
        assert {key[0] for key in undisturbed} == {
            f"flights_{view}" for view in [*VIEWS, WATERMARK]
        }
        assert online == undisturbed, f"kill {number}: complete to {stood}, then to {until}"
    record_property("materializations killed by SIGKILL and made good by the next", len(lived.left))


@pytest.mark.long
@pytest.mark.answer
def test_kill_9_was_in_the_midst_of_writes_and_of_the_way(lived):
    assert any(torn for *_, torn in lived.left)
    assert lived.left[-1][1] < lived.until[-1]


def rows_as_of(march, view, minute, entities):
    rows = march.views[view]
    rows = rows[(rows["available_at"] <= minute) & rows["entity"].isin([*map(str, entities)])]
    return rows.groupby("entity", observed=True).tail(1)


@pytest.mark.long
def test_a_reader_meets_whole_rows_only_each_as_of_some_instant(march, lived):
    until = [minute for minute in lived.until if minute <= lived.left[-1][1]]
    whole = {
        row
        for view, entities in READ.items()
        for minute in until
        for row in elsewhere.seen(view, rows_as_of(march, view, minute, entities))
    }
    assert lived.read - whole == set()
    met = {view: sum(row[0] == view for row in lived.read) for view in READ}
    assert met["system"] >= KILLS
    assert min(met.values()) > len(READ["weather"])


def test_half_a_row_would_be_noticed(march):
    old, new = (rows_as_of(march, "origin", minute_of(NOW) + m, ["EWR"]) for m in (0, 60))
    half = new.assign(origin_late_7d_count=old["origin_late_7d_count"].to_numpy())
    whole = elsewhere.seen("origin", old) | elsewhere.seen("origin", new)
    assert elsewhere.seen("origin", half) - whole != set()


# The time zone of the process.

NIGHTS = {"spring": "2013-03-10", "autumn": "2013-11-03"}


@pytest.fixture(scope="module")
def nights(published_year, config, tmp_path_factory):
    """Two nights in which clocks change, as a process in New York joined and read them."""
    folder, views, asked = tmp_path_factory.mktemp("nights"), {}, {}
    begins = {night: pd.Timestamp(date, tz="UTC") for night, date in NIGHTS.items()}
    for night, begin in begins.items():
        raw = [
            published_year[name][published_year[name][column].between(begin - DAY, begin + DAY)]
            for name, column in (("flights", "sched_dep_utc"), ("weather", "observed_utc"))
        ]
        views[night] = windows.views(*raw, config)
        written(folder / night / "views", views[night], config)
        some = windows.requests(raw[0], config).sample(90, random_state=4)
        hours = np.resize([1.5, 2.5, 6.5, 8.5], len(some))
        some["predict_at"] = begin + pd.to_timedelta(hours, unit="h")
        asked[night] = some
    told = elsewhere.run(
        "joined_and_read",
        folder,
        {"TZ": "America/New_York"},
        config=config,
        serve={night: at_place(folder / night) for night in NIGHTS},
        nights={
            night: (minute_of(begin - 2 * DAY), asked[night]) for night, begin in begins.items()
        },
    )
    return SimpleNamespace(folder=folder, views=views, asked=asked, told=told)


@pytest.mark.long
@pytest.mark.answer
@pytest.mark.parametrize("night", NIGHTS)
def test_in_new_york_the_store_says_the_same_in_the_night_when_clocks_change(nights, config, night):
    offline, read = nights.told[night]
    expected = historical(nights.asked[night], nights.views[night], config)
    assert nights.told["zone"] == ("EST", "EDT")
    assert same(offline, expected)
    assert same(read, expected.loc[read.index])


@pytest.mark.long
@pytest.mark.answer
@pytest.mark.parametrize("night", NIGHTS)
def test_in_new_york_feasts_own_timestamps_are_wrong_and_ours_are_numbers(nights, night):
    """Its SQLite takes what is UTC for local time, so no answer may rest on `event_ts`."""
    from feast.protos.feast.types.Value_pb2 import Value

    folder = nights.folder / night
    stamps = elsewhere.online(folder, "event_ts")
    hours_off = {
        (stamps[key] - windows.instant(Value.FromString(value).int64_val).timestamp()) / 3600
        for key, value in elsewhere.online(folder).items()
        if key[2].endswith("_available_at")
    }
    assert hours_off == {4, 5}


# The registry, and where the online store is.


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where Feast's own files are, the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(feast_repository, "FILES", folder)
    return folder


def test_each_opening_makes_a_registry_of_its_own_and_leaves_none(
    march, config, tmp_path, temporary
):
    places = (at_place(tmp_path), march.folder / "views")
    with open_store(config, *places) as one, open_store(config, *places) as other:
        registries = {str(store._feast.config.registry.path) for store in (one, other)}
        assert len(registries) == 2
        assert all(Path(path).is_relative_to(temporary) for path in registries)
    assert list(temporary.glob(".registry.*")) == []


def test_no_registry_is_left_by_who_fails(march, config, tmp_path, temporary):
    with (
        pytest.raises(ZeroDivisionError),
        open_store(config, at_place(tmp_path), march.folder / "views"),
    ):
        _ = 1 / 0
    assert list(temporary.glob(".registry.*")) == []


def test_no_registry_is_left_where_the_online_store_cannot_be_opened(
    march, config, tmp_path, temporary
):
    (tmp_path / elsewhere.ONLINE).mkdir()
    with (
        pytest.raises(StorageFailed, match="unable to open database file"),
        open_store(config, at_place(tmp_path), march.folder / "views"),
    ):
        pass
    assert list(temporary.glob(".registry.*")) == []


def test_a_registry_that_lies_about_is_not_read(march, config, tmp_path, temporary):
    """It holds code, which Feast would run."""
    for name in ("registry.db", "data/registry.db", "feast-registry-1/registry.db"):
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a registry")
    with open_store(config, at_place(tmp_path), march.folder / "views") as store:
        assert store._feast.list_feature_services()


def test_the_service_is_named_by_what_the_features_mean(march, config, tmp_path):
    for changed in (config, config.model_copy(update={"weather_hours": 5})):
        with open_store(changed, at_place(tmp_path), march.folder / "views") as store:
            (service,) = store._feast.list_feature_services()
            assert service.name == service_version(changed.model_dump())
            (flight,) = store._feast.list_on_demand_feature_views()
            assert {field.name for field in flight.features} == {
                *(set(NUMERIC) - set(REQUEST)),
                *(f"last_{name}" for name in KNOWN_AT),
            }


def test_an_emptied_store_has_nothing_online_and_the_other_project_keeps_its_rows(
    march, live, config, tmp_path
):
    views = march.folder / "views"
    with open_store(config, at_place(tmp_path), views, project=REPLAY) as store:
        store.materialize(VIEWS, NOW - DAY, NOW)
        assert set(store.watermarks().values()) == {minute_of(NOW)}
    with open_store(config, at_place(tmp_path), views, project=REPLAY, empty=True) as store:
        assert set(store.watermarks().values()) == {windows.NEVER}
        assert len(store.rows("origin", ["EWR", "JFK", "LGA"])) == 0
        store.materialize(VIEWS, NOW - DAY, NOW)
        assert set(store.watermarks().values()) == {minute_of(NOW)}
    assert set(live.watermarks().values()) == {minute_of(NOW)}


# What Feast writes for as long as a process lives.

_OPENS = """
import os, signal, sys
from pipeline.features.online_store import open_store
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
with open_store(load(FeaturesConfig), load(ServeConfig)):
    print(len(list(__import__("pathlib").Path("state/feast").glob(".*.tmp"))), flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.long
def test_the_next_start_removes_what_a_killed_process_left(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    outside = tmp_path / "outside"
    outside.mkdir()

    def run(how):
        return subprocess.run(
            [sys.executable, "-c", _OPENS, how],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(outside)},
            capture_output=True,
            text=True,
            check=False,
        )

    def left():
        return sorted(path.name.split(".")[1] for path in tmp_path.glob("state/feast/.*.tmp"))

    killed = run("killed")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert left() == ["metrics", "registry"]
    ended = run("ends")
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
    assert left() == []
    assert list(outside.iterdir()) == []
