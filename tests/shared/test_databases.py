"""A database that another program holds, or that is none: a refusal with the file's name."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from pipeline.monitor.performance import label_ledger
from pipeline.records import request_log, rollout_ledger
from pipeline.register import register
from pipeline.registry import versions
from pipeline.retrain import journal
from pipeline.shared import databases
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactTampered, StorageFailed

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def held(path):
    """As a database browser holds a file while somebody edits in it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # from readers of a write-ahead log too
        connection.execute("BEGIN EXCLUSIVE")
        yield


def asked_who_is_champion():
    return versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)


REGISTRY = ("state/mlflow.db", "registry", asked_who_is_champion)
USES = [
    REGISTRY,
    ("state/mlflow.db", "registry", lambda: register.relocate()),
    ("state/rollout/ledger.db", "ledger", rollout_ledger.entries),
    ("state/retrain/journal.db", "journal", journal.events),
    ("state/monitor/labels.db", "label ledger", label_ledger.read_events),
    ("state/log.db", "request log", lambda: request_log.read_predictions("sqlite:///state/log.db")),
    ("state/log.db", "request log", lambda: request_log.last_id("sqlite:///state/log.db")),
]
IDS = ["registry", "relocation", "ledger", "journal", "labels", "log", "end of the log"]


def begun():
    """The databases that a registered project does not have yet."""
    request_log.prepare("sqlite:///state/log.db")
    journal.add(pd.Timestamp("2013-05-01"), "day", {})
    with label_ledger.open_database(
        label_ledger.LABEL_LEDGER, label_ledger._SCHEMA, "label ledger"
    ):
        pass


@pytest.mark.parametrize(("path", "what", "use"), USES, ids=IDS)
def test_a_database_that_another_program_holds_is_named(registered, path, what, use, monkeypatch):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.5)
    begun()
    use()
    named = re.escape(path)
    with (
        held(path),
        pytest.raises(StorageFailed, match=f"{named}, the {what}, is locked by another program"),
    ):
        use()
    use()


@pytest.mark.parametrize(("path", "what", "use"), USES, ids=IDS)
@pytest.mark.parametrize("broken", ["another file", "half of it"])
def test_a_file_that_is_no_database_is_named_and_nothing_is_to_be_deleted(
    registered, path, what, use, broken
):
    begun()
    content = Path(path).read_bytes()
    Path(path).write_bytes(b"no database " * 100 if broken == "another file" else content[:6000])
    before = Path(path).read_bytes()
    told = rf"{re.escape(path)} is (no {what} of|not what was written)"
    with pytest.raises(ArtifactTampered, match=told) as refused:
        use()
    assert "make clean" not in str(refused.value)
    assert Path(path).read_bytes() == before
