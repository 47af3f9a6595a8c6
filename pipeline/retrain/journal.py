"""The journal: the loop's signals, decisions and steps in replay time, on a hash chain.

The loop resumes from it after a kill, and decisions are replayed from it. It contains no wall clock
and no chance: the same data, configs and code give the same journal.
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

JournalKind = Literal["day", "check", "attempt", "step", "ended"]
"""A day was monitored, the policy was consulted, an attempt began, did a step, or ended."""


class JournalEvent(Record):
    """One line of the journal: the instant in the replay, the kind, and its payload (`told`)."""

    at: str
    kind: JournalKind
    told: dict[str, Any]

    @property
    def day(self) -> str:
        """The date of `at`."""
        return self.at[:10]


def add(
    at: pd.Timestamp, kind: JournalKind, told: dict[str, Any], path: Path = JOURNAL
) -> JournalEvent:
    """Append a line; when this returns, it is on disk.

    Raises:
        LedgerRefused: it is older than the last one: the clock went backwards.
        ArtifactTampered: the journal was rewritten.
    """
    event = JournalEvent(at=f"{at:%Y-%m-%dT%H:%MZ}", kind=kind, told=_round(told))

    def forward(known: list[Link]) -> None:
        if known and event.at < (last := _event(known[-1]).at):
            raise LedgerRefused(
                f"{kind!r} is of {event.at}, the journal stands at {last}: time does not run "
                "backwards there; go on with a later UNTIL, or begin anew beside it: `mv state "
                "state-before`, then `make evaluate register`"
            )

    link(path, _WHAT, event.model_dump_json(), forward)
    return event


def events(path: Path = JOURNAL) -> list[JournalEvent]:
    """Every line, the oldest first.

    Raises:
        ArtifactTampered: a line was changed, removed or inserted.
    """
    return [_event(one) for one in chain(path, _WHAT)]


def last_hash(path: Path = JOURNAL) -> str:
    """The hash of the last line, which covers the whole journal."""
    links = chain(path, _WHAT)
    return links[-1].hash if links else ""


def _event(one: Link) -> JournalEvent:
    return JournalEvent.model_validate(json.loads(one.text))


def _round(told: Any) -> Any:
    """Round to six digits, so that machines that differ in the last bit agree on the journal."""
    if isinstance(told, float):
        return round(told, _DIGITS)
    if isinstance(told, dict):
        return {key: _round(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_round(value) for value in told]
    return told
