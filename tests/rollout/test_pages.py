"""What the pages on rollbacks and on who served promise, on ledgers of a few entries."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest

from pipeline.rollout.history import run, who_served
from pipeline.rollout.promotion import mended
from pipeline.rollout.rollback import rollback
from pipeline.rollout.rollout import FAILED, UNFINISHED
from pipeline.shared import ledger
from pipeline.shared.errors import ArtifactTampered, DayUnknown, LedgerRefused, RolloutRefused
from pipeline.shared.ledger import WHOLE, Move, Side

module = import_module("pipeline.rollout.rollback")  # the package has its function
NOON = datetime(2013, 5, 18, 12, tzinfo=UTC)
OLD = Side(version="1", release="a" * 64, features="flight_delay_aaaaaaaaaaaa")
NEW = Side(version="2", release="b" * 64, features="flight_delay_bbbbbbbbbbbb")
CHAMPION, CHALLENGER = {"champion": WHOLE}, {"challenger": WHOLE}
about_rollback = pytest.mark.answer("rollback")
about_serving = pytest.mark.answer("who-served")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(*events, sides=(OLD, NEW)):
    """A ledger with these events and shares, an hour apart from noon on."""
    for hours, (event, shares) in enumerate(events):
        at = NOON + timedelta(hours=hours)
        champion, challenger = sides
        ledger.append(
            Move(
                at=at,
                event=event,
                rollout="0002-canary",
                champion=champion,
                challenger=challenger,
                shares=shares,
                by="a test",
            )
        )


@pytest.fixture
def acted(monkeypatch):
    """A rollback whose registry is a list, whose releases load, and for which nothing serves."""
    done = []
    monkeypatch.setattr(module, "require_answers", lambda side: done.append(("loaded", side)))
    monkeypatch.setattr(module, "point_at", lambda side, *_: done.append(("alias", side)))
    monkeypatch.setattr(module.ledger, "now", lambda _: ledger.entries()[-1].move.at)
    monkeypatch.setattr(module.clock, "arrived_at", lambda _: None)
    monkeypatch.setattr(module, "load", lambda _: SimpleNamespace(as_of="2013-05"))
    monkeypatch.setattr(module.lineage, "who", lambda: "a test")
    return done


@about_rollback
@pytest.mark.parametrize("event", sorted(UNFINISHED | {"promoted", "baked", "promoted by hand"}))
def test_from_every_state_in_which_a_challenger_has_a_part_it_leads_to_the_one_before(acted, event):
    written((event, CHALLENGER))
    assert rollback().startswith("version 1 (aaaaaaaa) with features ")
    assert acted == [("loaded", OLD), ("alias", OLD)]
    last = ledger.entries()[-1].move
    assert (last.event, last.shares, last.champion) == ("rolled back", CHAMPION, OLD)


@about_rollback
def test_a_rollback_twice_changes_nothing_more(acted):
    written(("promoted", CHALLENGER))
    rollback()
    told, entries = list(acted), ledger.entries()
    assert "nothing to take back" in rollback()
    assert (acted, ledger.entries()) == (told, entries)


@about_rollback
@pytest.mark.parametrize("event", sorted(FAILED | {"paused", "inconclusive", "switched back"}))
def test_where_the_champion_serves_all_already_there_is_nothing_to_take_back(acted, event):
    written((event, CHAMPION))
    assert "nothing to take back" in rollback()
    assert acted == []


@about_rollback
def test_the_first_champion_stays_since_nobody_was_before(acted):
    written(("registered", CHAMPION), sides=(OLD, None))
    with pytest.raises(RolloutRefused, match="there is none to go back to"):
        rollback()
    assert acted == []


@about_rollback
def test_a_version_that_does_not_load_is_refused_before_anything_changes(acted, monkeypatch):
    def torn(side):
        raise ArtifactTampered(side.version)

    monkeypatch.setattr(module, "require_answers", torn)
    written(("promoted", CHALLENGER))
    with pytest.raises(ArtifactTampered, match="1"):
        rollback()
    assert [entry.move.event for entry in ledger.entries()] == ["promoted"]
    assert acted == []


@about_rollback
@pytest.mark.parametrize(
    ("event", "shares", "serves"),
    [("rolled back", CHAMPION, OLD), ("promoted", CHALLENGER, NEW), ("canary", None, None)],
)
def test_an_alias_that_was_left_behind_is_brought_to_where_the_ledger_is(
    monkeypatch, event, shares, serves
):
    pointed = []
    monkeypatch.setattr(
        "pipeline.rollout.promotion.point_at", lambda side, *_: pointed.append(side)
    )
    written((event, shares or {"champion": 9_000, "control": 500, "challenger": 500}))
    mended(ledger.entries())
    assert pointed == ([serves] if serves else [])


@about_serving
def test_who_served_is_told_for_every_instant_with_its_share():
    written(
        ("registered", CHAMPION),
        ("canary", {"champion": 9_000, "control": 500, "challenger": 500}),
        ("promoted", CHALLENGER),
    )
    told = [who_served(f"2013-05-18T{hour}:59Z") for hour in (12, 13, 14)]
    assert told[0].startswith("at 2013-05-18 12:59Z: version 1 (aaaaaaaa) 100%")
    assert "version 1 (aaaaaaaa) 95% and version 2 (bbbbbbbb) 5%" in told[1]
    assert "version 2 (bbbbbbbb) 100%" in told[2]
    assert "by a test (entry 3)" in told[2]


@about_serving
@pytest.mark.parametrize("instant", ["2013-05-18T11:59Z", "2013-05-18T12:00", "noon"])
def test_before_the_first_entry_and_at_no_instant_nobody_served(instant):
    written(("registered", CHAMPION))
    with pytest.raises(DayUnknown):
        who_served(instant)


@about_serving
def test_time_does_not_run_backwards_in_the_ledger():
    written(("registered", CHAMPION), ("promoted", CHALLENGER))
    with pytest.raises(LedgerRefused, match="time does not run backwards"):
        written(("rolled back", CHAMPION))


@about_serving
@pytest.mark.parametrize("change", ["UPDATE ledger SET hash = ''", "DELETE FROM ledger"])
def test_the_database_refuses_to_change_an_entry(change):
    written(("registered", CHAMPION))
    refused = pytest.raises(sqlite3.IntegrityError, match="only appended to")
    with closing(sqlite3.connect(ledger.LEDGER)) as database, refused:
        database.execute(change)
    assert run().startswith("1 transitions, all hashes hold")


@about_serving
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger SET entry = replace(entry, 'a test', 'nobody') WHERE number = 2",
        "DELETE FROM ledger WHERE number = 2",
        "INSERT INTO ledger SELECT 4, entry, hash FROM ledger WHERE number = 2",
    ],
)
def test_an_entry_that_was_changed_past_the_database_is_told(change):
    written(("registered", CHAMPION), ("promoted", CHALLENGER), ("baked", CHALLENGER))
    with closing(sqlite3.connect(ledger.LEDGER)) as database:
        database.executescript(f"DROP TRIGGER no_change; DROP TRIGGER no_loss; {change}")
    with pytest.raises(ArtifactTampered, match="is not what was written there"):
        who_served("2013-05-18T23:00Z")
