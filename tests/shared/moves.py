"""Transitions as a rollout writes them; a test changes the one thing that it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.records.rollout_ledger import Move, Side

START = datetime(2013, 5, 1, tzinfo=UTC)
OLD = Side(version="1", release="a" * 64, features="flight_delay-1")
NEW = Side(version="2", release="b" * 64, features="flight_delay-1")


def move(event: str = "canary", minutes: float = 0, **changes: Any) -> Move:
    """A transition so many minutes after START."""
    told: dict[str, Any] = {
        "at": START + timedelta(minutes=minutes),
        "event": event,
        "rollout": "0002-canary",
        "champion": OLD,
        "challenger": NEW,
        "shares": {"champion": 9_000, "control": 500, "challenger": 500},
        "by": "canary for somebody",
    }
    return Move.model_validate(told | changes)


def registered(**changes: Any) -> Move:
    """The first champion's transition."""
    first = {"rollout": "0001-register", "challenger": None, "shares": {"champion": 10_000}}
    return move("registered", -60, **first | changes)
