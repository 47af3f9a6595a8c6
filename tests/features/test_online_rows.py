"""The rows that a store keeps decoded are never older than what any process has written."""

import multiprocessing
from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.features import feast_client, windows
from pipeline.features.definitions import VIEWS
from pipeline.features.online_store import LIVE, MISSING, REPLAY, STALE, open_store, store_requests
from pipeline.features.windows import instant, minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.secrets import Address
from tests.features import oracle
from tests.features.oracle import flight
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.answer("feature-store")]
NOW = pd.Timestamp("2013-05-20 12:00Z")
FIRST = int(minutes(pd.Series([NOW]))[0])
WRITES = 300


def opened(place, project=LIVE):
    """A store over a file in a folder; each has a connection of its own."""
    url = {"online_url": Address(f"sqlite:///{place}/online.db")}
    serve = load(ServeConfig).model_copy(update=url)
    return open_store(load(FeaturesConfig), serve, place / "views", project)


@pytest.fixture(scope="module")
def rows():
    """One flight and one hour of weather: the rows of every view, and a request about them."""
    config = load(FeaturesConfig)
    flights = oracle.flights(flight("05-20 05:00", 9, 0), flight("05-20 14:00"))
    views = windows.views(flights, oracle.weather("05-20 05:00", humid=[1.0]), config)
    asked = store_requests(windows.requests(flights, config)[1:])
    return SimpleNamespace(views=views, asked=asked | {"predict_at": [FIRST]})


def written(store, rows, number):
    """Write weather known at the minute FIRST + number, and complete every view up to it."""
    known = FIRST + number
    weather = rows.views["weather"][:1].assign(known_at=known, available_at=known + 1)
    store.push("weather", weather)
    store.complete(VIEWS, instant(known))


def read(store, rows):
    """The number of the weather that is read, and that of the oldest watermark."""
    known = int(store.read(rows.asked).values["weather_known_at"][0])
    return known - FIRST, min(store.watermarks().values()) - FIRST


def _writes(place, project, rows, committed):
    with opened(place, project) as store:
        for number in range(1, WRITES + 1):
            written(store, rows, number)
            committed.value = number


@pytest.mark.long
@pytest.mark.parametrize("project", [LIVE, REPLAY], ids=["with a journal", "written ahead"])
def test_no_read_is_older_than_what_another_process_has_written(tmp_path, rows, project):
    start = multiprocessing.get_context("spawn")
    committed, met = start.Value("q", 0), set()
    with opened(tmp_path, project) as store:
        written(store, rows, 0)
        writer = start.Process(target=_writes, args=(tmp_path, project, rows, committed))
        writer.start()
        while writer.is_alive():
            before = committed.value
            found = read(store, rows)
            assert min(found) >= before
            met.add(found)
        writer.join(PATIENCE)
        assert writer.exitcode == 0
        assert read(store, rows) == (WRITES, WRITES)
    assert len(met) > WRITES / 10, "it hardly ever read between two writes"


def test_a_kept_row_is_read_once_until_a_write_of_another_connection(tmp_path, rows, monkeypatch):
    with opened(tmp_path) as reader, opened(tmp_path) as writer:
        calls, online_read = [], reader._provider.online_read
        monkeypatch.setattr(
            reader._provider, "online_read", lambda *of: calls.append(1) or online_read(*of)
        )
        for number in range(3):
            written(writer, rows, number)
            for _ in range(5):
                assert read(reader, rows) == (number, number)
        assert len(calls) == 3 * (len(VIEWS) + 1)


def test_a_row_that_is_written_by_the_reader_itself_is_read(tmp_path, rows):
    with opened(tmp_path) as store:
        for number in range(3):
            written(store, rows, number)
            assert read(store, rows) == (number, number)


def test_an_entity_that_had_no_row_has_one_as_soon_as_it_is_written(tmp_path, rows):
    with opened(tmp_path) as reader, opened(tmp_path) as writer:
        writer.complete(VIEWS, NOW)
        assert reader.read(rows.asked).flags["aircraft"].tolist() == [MISSING]
        writer.push("aircraft", rows.views["aircraft"][:1])
        assert reader.read(rows.asked).flags["aircraft"].tolist() == [""]


def test_a_kept_row_is_withheld_when_its_view_falls_behind(tmp_path, rows):
    later = FIRST + 1 + load(ServeConfig).max_lag_minutes
    with opened(tmp_path) as store:
        written(store, rows, 0)
        assert store.read(rows.asked).flags["weather"].tolist() == [""]
        behind = store.read(rows.asked | {"predict_at": [later]})
        assert behind.flags["weather"].tolist() == [STALE]


def test_a_kept_row_is_missing_when_it_is_too_old(tmp_path, rows):
    lifetime = timedelta(hours=load(FeaturesConfig).weather_hours)
    with opened(tmp_path) as store:
        written(store, rows, 0)
        flags = []
        for age in (lifetime, lifetime + timedelta(minutes=1)):
            at = NOW + age
            store.complete(VIEWS, at)
            request = rows.asked | {"predict_at": minutes(pd.Series([at])).tolist()}
            flags += store.read(request).flags["weather"].tolist()
    assert flags == ["", MISSING]


def test_a_store_that_does_not_ask_for_changes_reads_an_old_value(tmp_path, rows, monkeypatch):
    with opened(tmp_path) as reader, opened(tmp_path) as writer:
        monkeypatch.setattr(reader._rows, "_count_changes", lambda: (0, 0))
        written(writer, rows, 0)
        assert read(reader, rows) == (0, 0)
        written(writer, rows, 1)
        assert read(reader, rows) == (0, 0)


def test_of_a_server_no_row_is_kept(tmp_path, rows, monkeypatch):
    with opened(tmp_path) as store:
        server = SimpleNamespace(online_store=SimpleNamespace(type="redis"))
        monkeypatch.setattr(store._rows, "_config", server)
        assert store._rows._count_changes() is None
        monkeypatch.undo()
        monkeypatch.setattr(store._rows, "_count_changes", lambda: None)
        for number in range(3):
            written(store, rows, number)
            assert read(store, rows) == (number, number)


def test_the_number_of_kept_rows_has_a_limit(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(feast_client, "MOST_ROWS", 30)
    with opened(tmp_path) as store:
        for number in range(200):
            store.read(rows.asked | {"tailnum": [f"N{number}"]})
            assert store._rows._size() <= 30 + len(VIEWS) + len(VIEWS)
