"""The journal: what the loop saw, decided and did, in the replay's time, on a chain of hashes.

It is how the loop goes on after it was killed, and what its decisions are made again from. Nothing
in it comes from a wall clock or from chance: the same data, configs and code give the same journal.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipeline.records.hash_chain import Link, chain, link
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LedgerRefused

JOURNAL = Path("state/retrain/journal.db")
_WHAT = "journal"
_DIGITS = 6

Kind = Literal["day", "check", "attempt", "step", "ended"]
"""A day was watched, the policy was asked, an attempt began, came one step further, and ended."""


class Event(Record):
    """One line of the journal: when in the replay, what kind, and what there is to say of it."""

    at: str
    kind: Kind
    told: dict[str, Any]

    @property
    def day(self) -> str:
        """The date of `at`."""
        return self.at[:10]


def add(at: pd.Timestamp, kind: Kind, told: dict[str, Any], path: Path = JOURNAL) -> Event:
    """Write a line; when this returns, it is on disk.

    Raises:
        LedgerRefused: it lies before the last one: the clock went backwards.
        ArtifactTampered: what is there was rewritten.
    """
    event = Event(at=f"{at:%Y-%m-%dT%H:%MZ}", kind=kind, told=_rounded(told))

    def forward(known: list[Link]) -> None:
        if known and event.at < (last := _event(known[-1]).at):
            raise LedgerRefused(
                f"{kind!r} is of {event.at}, the journal stands at {last}: time does not run "
                "backwards there; go on with a later UNTIL, or begin anew beside it: `mv state "
                "state-before`, then `make evaluate register`"
            )

    link(path, _WHAT, event.model_dump_json(), forward)
    return event


def events(path: Path = JOURNAL) -> list[Event]:
    """Every line, the oldest first.

    Raises:
        ArtifactTampered: a line was changed, taken out, or put in by other means.
    """
    return [_event(one) for one in chain(path, _WHAT)]


def last_hash(path: Path = JOURNAL) -> str:
    """The hash that stands for the whole journal: equal where every line is."""
    links = chain(path, _WHAT)
    return links[-1].hash if links else ""


def _event(one: Link) -> Event:
    return Event.model_validate(json.loads(one.text))


def _rounded(told: Any) -> Any:
    """Six digits, so that another machine's last bit does not make another journal."""
    if isinstance(told, float):
        return round(told, _DIGITS)
    if isinstance(told, dict):
        return {key: _rounded(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_rounded(value) for value in told]
    return told
