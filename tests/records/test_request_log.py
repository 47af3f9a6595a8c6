import multiprocessing
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest

from pipeline.features.definitions import NUMERIC, VIEWS
from pipeline.features.windows import NEVER
from pipeline.records import request_log as module
from pipeline.records.request_log import (
    LoggedPrediction,
    features_of,
    known_at_of,
    pack,
    read_predictions,
)
from pipeline.records.request_log_writer import Log, open_log
from pipeline.shared.errors import StorageFailed
from tests.patience import PATIENCE, until

VALUES = np.arange(len(NUMERIC), dtype="float32")[None] / 3
KNOWN = np.array([[NEVER, *range(1, len(VIEWS))]])


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/state/serve/log.db"


def answer(number, arm="champion", **changes):
    told = {
        "request_id": f"r{number}",
        "row": 0,
        "arm": arm,
        "version": "1",
        "release": "f" * 64,
        "name": "2013-04-18/UA/1545/EWR",
        "predict_at": 199_000,
        "features": pack(VALUES, "<f4")[0],
        "known_at": pack(KNOWN, "<i8")[0],
        "flags": '{"system": "missing"}',
        "risk": 0.25,
        "answered_at": 1.5,
        "seconds": 0.002,
    }
    return LoggedPrediction(**told | changes)


@pytest.mark.answer("who-served")
def test_what_was_answered_is_read_again_as_it_was(url):
    with open_log(url, 10) as log:
        log.add([answer(1), answer(2, features=None, known_at=None, name=None)])
    found = read_predictions(url)
    assert found["request_id"].tolist() == ["r1", "r2"]
    assert found.iloc[0]["risk"] == 0.25
    assert np.array_equal(features_of(found)[0], VALUES[0])
    assert np.isnan(features_of(found)[1]).all()
    assert known_at_of(found).tolist() == [KNOWN[0].tolist(), [NEVER] * len(VIEWS)]


@pytest.mark.answer("model-server")
def test_many_answers_are_written_once_each_in_their_order_and_counted(
    url, record_property: Callable[[str, object], None]
):
    with open_log(url, 5_000) as log:
        log.add([answer(number) for number in range(1_737)])
        log.add([answer(number, risk=0.9) for number in range(1_700, 1_800)])
    assert (log.written, log.duplicates, log.dropped, log.failed) == (1_800, 37, 0, 0)
    found = read_predictions(url)
    assert found["request_id"].tolist() == [f"r{number}" for number in range(1_800)]
    assert (found["risk"] == 0.25).sum() == 1_737
    record_property("answers written once each, of 1,837 that were given", len(found))


def test_a_reader_goes_on_where_it_was(url):
    with open_log(url, 10) as log:
        log.add([answer(1), answer(2, "control"), answer(3)])
    first = read_predictions(url, limit=2)
    assert read_predictions(url, since=first["id"].max())["request_id"].tolist() == ["r3"]
    assert read_predictions(url, arm="control")["request_id"].tolist() == ["r2"]


def test_no_log_has_no_answers(url):
    assert read_predictions(url).empty


@pytest.mark.answer("who-served")
def test_an_answer_is_logged_once_however_often_it_is_given(url):
    with open_log(url, 10) as log:
        log.add([answer(1), answer(1, risk=0.9), answer(1, "control"), answer(1, row=1)])
    assert (log.written, log.duplicates, log.dropped) == (3, 1, 0)
    assert read_predictions(url)["risk"].tolist() == [0.25] * 3


@pytest.mark.answer("model-server")
def test_answers_beyond_the_limit_are_counted_not_kept_and_none_is_waited_for(
    url, monkeypatch, record_property: Callable[[str, object], None]
):
    go_on = threading.Event()
    original = Log._insert_all
    monkeypatch.setattr(Log, "_insert_all", lambda *args: go_on.wait() and original(*args))
    with open_log(url, 100) as log:
        began = time.perf_counter()
        for number in range(250):
            log.add([answer(number)])
        took = time.perf_counter() - began  # had one waited, the test would never end
        assert (log.waiting, log.dropped) == (100, 150)
        go_on.set()
    assert len(read_predictions(url)) == log.written == 100
    record_property("ms an answer waits for a log that stands still", 1_000 * took / 250)


def test_it_is_written_soon_without_being_closed(url):
    with open_log(url, 10) as log:
        log.add([answer(1)])
        until(lambda: not read_predictions(url).empty)
        assert len(read_predictions(url)) == 1


@pytest.mark.parametrize("statement", ["UPDATE answers SET risk = 0", "DELETE FROM answers"])
@pytest.mark.answer("who-served")
def test_no_answer_is_changed_or_removed(url, statement):
    with open_log(url, 10) as log:
        log.add([answer(1)])
    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection,
        pytest.raises(sqlite3.IntegrityError, match="answers are only ever added"),
    ):
        connection.execute(statement)


def test_nobody_else_reads_it(url):
    with open_log(url, 10) as log:
        log.add([answer(1)])
        path = module._file(url)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def _write(url, arm):
    with open_log(url, 5_000) as log:
        for number in range(1_000):
            log.add([answer(number, arm)])
            if number % 100 == 0:
                time.sleep(0.01)
    os._exit(0 if (log.written, log.dropped, log.failed) == (1_000, 0, 0) else 1)


@pytest.mark.long
@pytest.mark.slow
def test_three_servers_write_to_one_file_at_once(url):
    context = multiprocessing.get_context("spawn")
    arms = ("champion", "control", "challenger")
    writers = [context.Process(target=_write, args=(url, arm)) for arm in arms]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = read_predictions(url)
    assert found["arm"].value_counts().to_dict() == dict.fromkeys(arms, 1_000)
    assert found["id"].is_monotonic_increasing


@pytest.mark.answer("model-server")
def test_a_log_that_cannot_be_written_is_tried_again_and_then_counted(url, capsys):
    with open_log(url, 10) as log:
        log.add([answer(1)])
        while not log.written:
            time.sleep(0.01)
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
            other.execute("ALTER TABLE answers RENAME TO gone")
        log.add([answer(2)])
        while log.failed < 2:
            time.sleep(0.01)
    assert (log.written, log.dropped) == (1, 1)
    assert capsys.readouterr().err.count("the request log cannot be written") == 1


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageFailed, match=r"cannot write .*log\.db"),
        open_log(f"sqlite:///{tmp_path}/file/log.db", 10),
    ):
        pass


def test_a_server_that_is_not_there_is_refused_without_its_password(tmp_path):
    url = "postgresql://me:" + "hidden@127.0.0.1:1/log"
    with (
        pytest.raises(StorageFailed, match=r"\*\*\*@127.0.0.1:1/log") as refusal,
        open_log(url, 10),
    ):
        pass
    assert "hidden" not in str(refusal.value)
