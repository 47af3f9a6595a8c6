"""What the page on who served promises, on ledgers of a few entries."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.rollout.history import run, who_served
from pipeline.shared import ledger
from pipeline.shared.errors import ArtifactTampered, DayUnknown, LedgerRefused
from pipeline.shared.ledger import WHOLE, Move, Side

NOON = datetime(2013, 5, 18, 12, tzinfo=UTC)
OLD = Side(version="1", release="a" * 64, features="flight_delay_aaaaaaaaaaaa")
NEW = Side(version="2", release="b" * 64, features="flight_delay_bbbbbbbbbbbb")
CHAMPION, CHALLENGER = {"champion": WHOLE}, {"challenger": WHOLE}
pytestmark = pytest.mark.answer("who-served")


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


@pytest.mark.parametrize("instant", ["2013-05-18T11:59Z", "2013-05-18T12:00", "noon"])
def test_before_the_first_entry_and_at_no_instant_nobody_served(instant):
    written(("registered", CHAMPION))
    with pytest.raises(DayUnknown):
        who_served(instant)


def test_time_does_not_run_backwards_in_the_ledger():
    written(("registered", CHAMPION), ("promoted", CHALLENGER))
    with pytest.raises(LedgerRefused, match="time does not run backwards"):
        written(("rolled back", CHAMPION))


@pytest.mark.parametrize("change", ["UPDATE ledger SET hash = ''", "DELETE FROM ledger"])
def test_the_database_refuses_to_change_an_entry(change):
    written(("registered", CHAMPION))
    refused = pytest.raises(sqlite3.IntegrityError, match="only appended to")
    with closing(sqlite3.connect(ledger.LEDGER)) as database, refused:
        database.execute(change)
    assert run().startswith("1 transitions, all hashes hold")


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
