"""What a ledger is good for: nobody rewrites it unseen, and it says who served when."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.records import rollout_ledger
from pipeline.records.hash_chain import NOTHING
from pipeline.shared.errors import ArtifactTampered, DayUnknown, LedgerRefused
from pipeline.shared.files import text_hash
from tests.patience import PATIENCE
from tests.rules.tree import ROOT
from tests.shared.moves import NEW, OLD, START, move, registered

pytestmark = pytest.mark.answer("who-served")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/rollout/ledger.db"


@pytest.fixture
def kept(path):
    """A ledger of a rollout that was promoted."""
    for one in (registered(), move(), move("step", 60, step=1), move("promoted", 120)):
        rollout_ledger.append(one, path)
    return path


def sql(path, *statements, without_triggers=True):
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in ("no_change", "no_loss") if without_triggers else ():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


def test_what_was_appended_is_read_in_its_order(kept):
    found = rollout_ledger.entries(kept)
    assert [entry.number for entry in found] == [1, 2, 3, 4]
    assert [entry.move.event for entry in found] == ["registered", "canary", "step", "promoted"]
    assert found[1].move == move()
    assert found[0].before == NOTHING
    assert [entry.before for entry in found[1:]] == [entry.hash for entry in found[:-1]]


def test_where_nothing_was_released_there_are_no_entries_and_no_file(path):
    assert rollout_ledger.entries(path) == []
    assert rollout_ledger.entry_at(START, path) is None
    assert not path.exists()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM ledger", "UPDATE ledger SET entry = '{}' WHERE number = 2"]
)
def test_the_database_refuses_to_change_or_lose_an_entry(kept, statement):
    with pytest.raises(sqlite3.IntegrityError, match="only appended to"):
        sql(kept, statement, without_triggers=False)
    assert len(rollout_ledger.entries(kept)) == 4


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE ledger SET entry = replace(entry, 'canary', 'promoted') WHERE number = 2", 2),
        ("UPDATE ledger SET hash = lower(hex(randomblob(32))) WHERE number = 4", 4),
        ("UPDATE ledger SET hash = NULL WHERE number = 3", 3),
        ("DELETE FROM ledger WHERE number = 2", 3),
        ("DELETE FROM ledger WHERE number = 1", 2),
        ("INSERT INTO ledger SELECT 5, entry, hash FROM ledger WHERE number = 4", 5),
        ("INSERT INTO ledger SELECT 0, entry, hash FROM ledger WHERE number = 1", 0),
    ],
    ids=["changed", "another hash", "no hash", "taken out", "first out", "put in", "put before"],
)
def test_an_entry_that_was_rewritten_by_other_means_is_told_with_its_number(
    kept, statement, number
):
    sql(kept, statement)
    with pytest.raises(ArtifactTampered, match=f"entry {number} of .* is not what was written"):
        rollout_ledger.entries(kept)


def test_entries_that_changed_places_are_told(kept):
    sql(
        kept,
        "UPDATE ledger SET number = 9 WHERE number = 2",
        "UPDATE ledger SET number = 2 WHERE number = 3",
        "UPDATE ledger SET number = 3 WHERE number = 9",
    )
    with pytest.raises(ArtifactTampered, match="entry 2"):
        rollout_ledger.entries(kept)


def test_an_entry_with_its_own_hash_made_again_does_not_fit_the_next(kept):
    first = rollout_ledger.entries(kept)[0]
    told = first.move.model_copy(update={"by": "nobody"}).model_dump_json()
    digest = text_hash(f"{NOTHING} 1 {told}")
    sql(kept, f"UPDATE ledger SET entry = '{told}', hash = '{digest}' WHERE number = 1")
    with pytest.raises(ArtifactTampered, match="entry 2"):
        rollout_ledger.entries(kept)


def test_nothing_is_appended_to_a_ledger_that_was_rewritten(kept):
    sql(kept, "DELETE FROM ledger WHERE number = 2")
    with pytest.raises(ArtifactTampered):
        rollout_ledger.append(move("baked", 500), kept)


def test_a_file_that_is_no_database_is_told_and_not_written_over(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this was a ledger once" * 100)
    for touch in (
        lambda: rollout_ledger.entries(path),
        lambda: rollout_ledger.append(move(), path),
    ):
        with pytest.raises(ArtifactTampered, match="is no ledger"):
            touch()
    assert path.read_bytes() == b"this was a ledger once" * 100


def test_time_does_not_run_backwards(kept):
    with pytest.raises(LedgerRefused, match=r"2013-05-01 01:59Z, the ledger stands at .* 02:00Z"):
        rollout_ledger.append(move("baked", 119), kept)
    assert rollout_ledger.append(move("baked", 120), kept).number == 5


_APPENDS = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from pipeline.records import rollout_ledger as ledger
from tests.shared.moves import move
for number in range(25):
    ledger.append(move(by=f"{sys.argv[2]} {number}"), Path(sys.argv[1]))
"""


def test_two_processes_that_append_at_once_make_one_chain(path):
    command = [sys.executable, "-c", _APPENDS, str(path)]
    both = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b")]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    found = [entry.move.by for entry in rollout_ledger.entries(path)]
    assert [one for one in found if one[0] == "a"] == [f"a {number}" for number in range(25)]
    assert [one for one in found if one[0] == "b"] == [f"b {number}" for number in range(25)]


def test_only_its_owner_may_read_it(kept):
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_who_served_at_an_instant_is_said_by_the_last_transition_up_to_it(kept):
    def at(minutes):
        entry = rollout_ledger.entry_at(START + timedelta(minutes=minutes), kept)
        return entry and entry.move.event

    assert [at(-61), at(-60), at(-1)] == [None, "registered", "registered"]
    assert [at(0), at(59), at(60), at(119), at(10**6)] == [
        "canary",
        "canary",
        "step",
        "step",
        "promoted",
    ]


def test_of_two_transitions_at_one_instant_the_later_one_counts(kept):
    rollout_ledger.append(move("rolled back", 120), kept)
    assert rollout_ledger.entry_at(START + timedelta(minutes=120), kept).move.event == "rolled back"


def test_the_control_is_the_champion_and_who_has_no_share_does_not_serve():
    assert rollout_ledger.serving_shares(move()) == [(OLD, 9_500), (NEW, 500)]
    assert rollout_ledger.serving_shares(move(shares={"challenger": 10_000})) == [(NEW, 10_000)]
    assert rollout_ledger.serving_shares(registered()) == [(OLD, 10_000)]


def test_a_releases_transitions_are_those_in_which_it_had_a_part(kept):
    assert [one.event for one in rollout_ledger.moves_of("b" * 64, kept)] == [
        "canary",
        "step",
        "promoted",
    ]
    assert len(rollout_ledger.moves_of("a" * 64, kept)) == 4
    assert rollout_ledger.moves_of("c" * 64, kept) == []


def test_a_rollout_is_counted_once_however_many_transitions_it_had(kept):
    assert rollout_ledger.count_rollouts(kept) == 2


def test_now_is_when_the_data_arrived_or_where_the_ledger_stands(kept, path):
    stands, later = START + timedelta(minutes=120), START + timedelta(days=9)
    assert rollout_ledger.now(START, kept) == stands
    assert rollout_ledger.now(later, kept) == later
    assert rollout_ledger.now(START, path.with_name("none.db")) == START


@pytest.mark.parametrize(
    "text", ["2013-05-18T10:00Z", "2013-05-18T06:00-04:00", "2013-05-18 10:00+00:00"]
)
def test_an_instant_is_read_in_utc_from_whatever_zone(text):
    assert rollout_ledger.parse_instant(text) == datetime(2013, 5, 18, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2013-05-18T10:00", "2013-05-18", "yesterday", "", "25:00Z"])
def test_an_instant_without_a_zone_is_none(text):
    with pytest.raises(DayUnknown, match="no instant with a zone"):
        rollout_ledger.parse_instant(text)


def test_a_side_with_a_fault_is_another_challenger_and_says_so():
    faulty = NEW.model_copy(update={"fault": "slow"})
    assert faulty.name != NEW.name
    assert faulty.label == "version 2 (bbbbbbbb, with an injected fault: slow)"
    assert NEW.label == "version 2 (bbbbbbbb)"
