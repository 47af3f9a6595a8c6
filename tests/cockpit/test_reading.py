"""State is read as it is, and never written; what is not there comes with its command."""

import json
import sqlite3
from contextlib import closing

import pytest

from cockpit import reading
from cockpit.facts.month import Signals
from cockpit.reading import Missing
from pipeline.records import rollout_ledger
from pipeline.records.hash_chain import copy_path
from tests.cockpit.life import fingerprint
from tests.shared.moves import move, registered


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.db"
    for one in (registered(), move(), move("promoted", 60)):
        rollout_ledger.append(one, path)
    return path


def read(path):
    return reading.read_chain(path, "the ledger", "make run")


def test_a_chain_is_read_whole_and_nothing_is_written(ledger):
    before = fingerprint(ledger.parent)
    chain = read(ledger)
    assert ([link.number for link in chain.links], chain.flaw) == ([1, 2, 3], "")
    assert fingerprint(ledger.parent) == before


def test_a_chain_that_is_not_there_is_missing_with_the_command_that_makes_it(tmp_path):
    assert read(tmp_path / "ledger.db") == Missing(
        "the ledger", "ledger.db is not there yet", "make run"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough for a header" * 9])
def test_a_broken_database_is_read_from_its_copy(ledger, content):
    ledger.write_bytes(content)
    chain = read(ledger)
    assert len(chain.links) == 3
    assert chain.flaw.startswith("ledger.db: ")


def test_a_lost_database_is_read_from_its_copy_and_said_to_be_lost(ledger):
    ledger.unlink()
    chain = read(ledger)
    assert len(chain.links) == 3
    assert "is lost" in chain.flaw


def test_a_rewritten_entry_ends_what_is_believed(ledger):
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(
            "DROP TRIGGER no_change; UPDATE ledger SET entry = replace(entry, '500', '9500') "
            "WHERE number = 2"
        )
    chain = read(ledger)
    assert len(chain.links) == 1
    assert chain.flaw == "entry 2 is not what was written there"


def test_a_chain_that_was_cut_is_held_against_its_copy(ledger):
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript("DROP TRIGGER no_loss; DELETE FROM ledger WHERE number = 3")
    assert read(ledger).flaw == "it holds 2 entries, its copy 3"


@pytest.mark.parametrize("copied", [True, False])
def test_a_locked_database_is_not_waited_for(ledger, copied):
    if not copied:
        copy_path(ledger).unlink()
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        chain = read(ledger)
    if copied:
        assert (len(chain.links), chain.flaw) == (3, "")
    else:
        assert chain.why == "ledger.db is locked by another program"
        assert chain.command.startswith("fuser ")


def test_a_database_with_a_write_ahead_log_gets_no_files_beside_it(tmp_path):
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE answers (id)")
        connection.execute("INSERT INTO answers VALUES (1)")
    assert list(tmp_path.iterdir()) == [path]
    with reading.open_database(path) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)
        assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_writer_has_not_folded_in_yet_is_read_too(tmp_path):
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE answers (id)")
        writer.execute("INSERT INTO answers VALUES (1)")
        with reading.open_database(path) as connection:
            assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)


def test_nothing_can_be_written_by_it(ledger):
    with (
        reading.open_database(ledger) as connection,
        pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only|query_only"),
    ):
        connection.execute("DELETE FROM ledger")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "signals.json is not there yet"),
        ('{"at": "2013-05-01T10:00:00Z", "vers', "signals.json is half-written or no JSON"),
        ("[]", "signals.json is of another kind: as a whole"),
        (
            '{"at": "2013-05-01T10:00:00Z", "version": "1"}',
            "signals.json is of another kind: release",
        ),
    ],
)
def test_json_that_is_no_report_is_missing_and_says_why(tmp_path, content, why):
    path = tmp_path / "signals.json"
    if content is not None:
        path.write_text(content)
    found = reading.read_json(Signals, path, "the month's report", "make monitor")
    assert found == Missing("the month's report", why, "make monitor")


def test_json_of_a_later_version_is_read_for_what_is_shown(tmp_path):
    path = tmp_path / "signals.json"
    told = {"at": "2013-05-01T10:00:00Z", "version": "1", "release": "a" * 64, "new": 1}
    path.write_text(json.dumps(told))
    assert reading.read_json(Signals, path, "", "").version == "1"
