"""Retention: what is too old goes, all of it or nothing, and a record says what went."""

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pytest
import sqlalchemy as sa

from pipeline.features.windows import EPOCH, instant
from pipeline.records import rollout_ledger
from pipeline.records.request_log import prepare, read_predictions
from pipeline.records.request_log_writer import open_log
from pipeline.records.retention import prune, removals, remove_predictions
from pipeline.records.rollout_ledger import Move, Side
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ArtifactTampered, DayUnknown, RolloutRefused
from tests.patience import PATIENCE
from tests.records.test_request_log import answer

pytestmark = pytest.mark.answer("who-served")

DAYS = load(ServeConfig).log_days
NOW = pd.Timestamp("2013-09-01T00:00Z")
LIMIT = int((NOW - pd.Timedelta(days=DAYS) - EPOCH) // pd.Timedelta(minutes=1))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/log.db"


@pytest.fixture
def here(tmp_path, monkeypatch, url):
    """A folder with the configs, no ledger, and a log of ten answers, half of them too old."""
    from tests.rules.tree import ROOT

    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_LOG_URL", url)
    wrote(url, [LIMIT - 5 + number for number in range(10)])
    return SimpleNamespace(url=url)


def wrote(url, instants, first=0):
    with open_log(url, 5_000) as log:
        log.add([answer(first + n, predict_at=at) for n, at in enumerate(instants)])
    assert log.dropped == log.failed == 0


def test_what_is_older_than_the_setting_goes_and_a_record_says_what_went(here):
    line = prune(f"{NOW:%Y-%m-%dT%H:%MZ}")
    assert line.startswith("5 answers removed, ")
    assert f"ids 1 to 5: kept for {DAYS} days, to {instant(LIMIT):%Y-%m-%d %H:%M}Z" in line
    assert read_predictions(here.url)["predict_at"].tolist() == [LIMIT + n for n in range(5)]
    (record,) = removals(here.url).to_dict("records")
    assert (record["answers"], record["first_id"], record["last_id"]) == (5, 1, 5)
    assert (record["first_predict_at"], record["last_predict_at"]) == (LIMIT - 5, LIMIT - 1)
    assert (instant(record["at"]), record["before"]) == (NOW, LIMIT)


def test_nothing_is_too_old_twice(here):
    prune(f"{NOW:%Y-%m-%dT%H:%MZ}")
    assert prune(f"{NOW:%Y-%m-%dT%H:%MZ}").startswith("0 answers of before")
    assert len(removals(here.url)) == 1


def test_now_is_where_the_replay_stands(here):
    """At the end of April nothing of May is old."""
    assert prune().startswith("0 answers of before")


def test_no_log_has_nothing_to_remove(here, tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_LOG_URL", f"sqlite:///{tmp_path}/none.db")
    assert prune().startswith("0 answers of before")
    assert not (tmp_path / "none.db").exists()


def test_what_is_no_instant_is_refused(here):
    with pytest.raises(DayUnknown, match="'yesterday' is no instant"):
        prune("yesterday")


def test_ids_go_on_growing_though_the_newest_were_removed(url):
    wrote(url, [1, 2, 3])
    remove_predictions(url, before=10, at=20)
    assert read_predictions(url).empty
    wrote(url, [30], first=7)
    assert read_predictions(url)["id"].tolist() == [4]


def test_an_answer_without_a_flight_goes_with_those_that_came_after_it(url):
    wrote(url, [None, 1, None, 2, None, 30, None])
    assert remove_predictions(url, before=10, at=20)["answers"] == 4 - 1 + 1
    assert read_predictions(url)["id"].tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE removals SET answers = 0", "DELETE FROM removals", "DELETE FROM answers"],
)
def test_neither_the_rest_nor_the_record_is_removed_by_anybody_else(here, statement):
    prune(f"{NOW:%Y-%m-%dT%H:%MZ}")
    with (
        closing(sqlite3.connect(here.url.removeprefix("sqlite:///"))) as connection,
        pytest.raises(sqlite3.IntegrityError, match="are only ever added"),
    ):
        connection.execute(statement)


def test_what_was_removed_is_not_left_in_the_file(tmp_path, url):
    wrote(url, [1], first=4711)
    wrote(url, [30])
    assert any(b"r4711" in path.read_bytes() for path in tmp_path.iterdir())
    remove_predictions(url, before=10, at=20)
    assert not any(b"r4711" in path.read_bytes() for path in tmp_path.iterdir())


def _killed_at(url, beginning):
    def die(*told):
        if told[2].startswith(beginning):
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", die)
    remove_predictions(url, before=10, at=20)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "statement", ["DROP TRIGGER", "DELETE", "CREATE TRIGGER IF NOT EXISTS answers", "INSERT"]
)
def test_who_is_killed_on_the_way_leaves_everything_as_it_was(url, statement):
    wrote(url, [1, 2, 30])
    process = multiprocessing.get_context("spawn").Process(target=_killed_at, args=(url, statement))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    assert len(read_predictions(url)) == 3
    assert removals(url).empty
    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only ever added"),
    ):
        connection.execute("DELETE FROM answers")
    assert remove_predictions(url, before=10, at=20)["answers"] == 2
    assert read_predictions(url)["predict_at"].tolist() == [30]


def test_a_server_that_writes_meanwhile_loses_nothing(
    url, record_property: Callable[[str, object], None]
):
    wrote(url, [1] * 2_000, first=10_000)
    over = threading.Event()
    with open_log(url, 5_000) as log:

        def write():
            for number in range(300):
                log.add([answer(number, predict_at=30)])
                time.sleep(0.001)
            over.set()

        thread = threading.Thread(target=write)
        thread.start()
        taken = []
        while not over.is_set():
            if (record := remove_predictions(url, before=10, at=20)) is not None:
                taken.append(record["answers"])
        thread.join()
    assert (sum(taken), log.written, log.dropped) == (2_000, 300, 0)
    record_property("old answers removed while a server wrote", sum(taken))
    record_property(
        "answers lost of the 300 that it wrote meanwhile", 300 - len(read_predictions(url))
    )
    assert read_predictions(url)["request_id"].tolist() == [f"r{number}" for number in range(300)]


def begun(event, first):
    side = Side(version="1", release="f" * 64, features="flight_delay-0")
    move = {"at": first, "event": event, "rollout": "0002-canary", "champion": side}
    rollout_ledger.append(
        Move(**move, challenger=side, shares={"champion": 10_000}, first=first, by="a test")
    )


@pytest.mark.parametrize("event", sorted(rollout_ledger.UNFINISHED))
def test_what_a_rollout_that_goes_on_needs_is_not_removed(here, event):
    first = instant(LIMIT) - timedelta(hours=1)
    begun(event, first)
    with pytest.raises(RolloutRefused, match=rf"0002-canary is unfinished at '{event}'.*rollback"):
        prune(f"{NOW:%Y-%m-%dT%H:%MZ}")
    assert len(read_predictions(here.url)) == 10


def test_what_it_does_not_need_is(here):
    begun("canary", instant(LIMIT) + timedelta(hours=2))
    assert prune(f"{NOW:%Y-%m-%dT%H:%MZ}").startswith("5 answers removed")


def test_a_rollout_that_is_over_needs_nothing_more(here):
    begun("rolled back", instant(LIMIT) - timedelta(hours=1))
    assert prune(f"{NOW:%Y-%m-%dT%H:%MZ}").startswith("5 answers removed")


def test_a_log_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "log.db").write_bytes(b"no database at all, but as long as one needs to be")
    told = r"/log.db is no request log of 50 bytes \(it does not begin as a database does\)"
    with pytest.raises(ArtifactTampered, match=told):
        remove_predictions(f"sqlite:///{tmp_path}/log.db", 10, 20)


def test_a_fresh_log_has_removed_nothing(url):
    assert removals(url).empty
    prepare(url)
    assert removals(url).empty
