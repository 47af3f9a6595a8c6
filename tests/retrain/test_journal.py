import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from pipeline.retrain import journal
from pipeline.shared.errors import ArtifactTampered, LedgerRefused

pytestmark = pytest.mark.answer("when-to-retrain")

FIRST, LATER = (pd.Timestamp(f"2013-06-{day} 10:00", tz="UTC") for day in (17, 24))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def written(path, excess=0.0301):
    journal.add(FIRST, "day", {"day": "2013-06-16", "excess": excess}, path)
    journal.add(FIRST, "check", {"decision": {"action": "hold", "reasons": ["quiet"]}}, path)
    journal.add(LATER, "ended", {"result": "promoted"}, path)


def rewritten(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"DROP TRIGGER no_change; DROP TRIGGER no_loss; {statement}")


def test_what_was_written_is_read_in_its_order(path):
    written(path)
    events = journal.events(path)
    assert [event.kind for event in events] == ["day", "check", "ended"]
    assert (events[0].day, events[2].at) == ("2013-06-17", "2013-06-24T10:00Z")
    assert events[1].told["decision"]["action"] == "hold"


def test_a_clock_that_goes_backwards_is_refused_and_nothing_is_written(path):
    written(path)
    with pytest.raises(LedgerRefused, match=r"'day' is of 2013-06-17T10:00Z, .* 2013-06-24T10:00Z"):
        journal.add(FIRST, "day", {}, path)
    assert len(journal.events(path)) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET entry = replace(entry, 'hold', 'retrain')",
        "DELETE FROM ledger WHERE number = 2",
        "UPDATE ledger SET hash = 'f' WHERE number = 1",
    ],
    ids=["changed", "taken out", "hash"],
)
def test_a_line_that_was_rewritten_is_told(path, statement):
    written(path)
    rewritten(path, statement)
    with pytest.raises(
        ArtifactTampered, match=r"entry \d of .*journal\.db is not what was written"
    ):
        journal.events(path)


def test_the_database_itself_refuses_to_change_a_line(path):
    written(path)
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only appended to"),
    ):
        connection.execute("UPDATE ledger SET entry = ''")


def test_the_same_lines_give_the_same_journal_and_a_last_bit_changes_nothing(path, tmp_path):
    written(path)
    same, other = tmp_path / "same.db", tmp_path / "other.db"
    written(same, 0.0301 + 1e-12)
    written(other, 0.0302)
    assert journal.last_hash(path) == journal.last_hash(same) != journal.last_hash(other)


def test_there_is_nothing_in_a_journal_that_was_never_written(path):
    assert journal.events(path) == []
    assert journal.last_hash(path) == ""
    assert not path.exists()
