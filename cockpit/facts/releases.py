"""The releases that served, from the rollout ledger: now, since when, and by which decision."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cockpit.reading import Chain, Missing, read_chain, unless_changed
from pipeline.records.rollout_ledger import (
    LEDGER,
    UNFINISHED,
    WHOLE,
    Entry,
    Move,
    Side,
    champion,
    is_unfinished,
    serving_shares,
)

_WHAT = "the rollout ledger"
_COMMAND = "make run"


@dataclass(frozen=True)
class Service:
    """A span of time with fixed shares of the traffic; `until` is None while it lasts."""

    since: datetime
    until: datetime | None
    shares: list[tuple[Side, int]]
    entry: int


@dataclass(frozen=True)
class Releases:
    """Every transition of the ledger, oldest first; `flaw` says why there may be more."""

    entries: list[Entry]
    flaw: str = ""

    @property
    def last(self) -> Move:
        """The newest transition."""
        return self.entries[-1].move

    @property
    def champion(self) -> Side:
        """The champion now."""
        return champion(self.last)

    @property
    def reign(self) -> Entry:
        """The transition by which the champion became champion."""
        begun = self.entries[-1]
        for entry in reversed(self.entries):
            if champion(entry.move).release != self.champion.release:
                break
            begun = entry
        return begun

    @property
    def services(self) -> list[Service]:
        """The shares of the traffic, transition by transition."""
        ends = [entry.move.at for entry in self.entries[1:]] + [None]
        return [
            Service(entry.move.at, end, serving_shares(entry.move), entry.number)
            for entry, end in zip(self.entries, ends, strict=True)
        ]

    @property
    def rollouts(self) -> dict[str, list[Entry]]:
        """The transitions of each rollout by its name, registrations included."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.move.rollout, []).append(entry)
        return found

    def shadow_of(self, release: str) -> Entry | None:
        """The newest shadow of a release that was decided."""
        return self._newest(release, ("shadow passed", "shadow held", "shadow failed"))

    def canary_of(self, release: str) -> Entry | None:
        """The newest canary of a release that was decided."""
        return self._newest(release, ("promoted", "rolled back", "paused", "inconclusive"))

    def _newest(self, release: str, events: tuple[str, ...]) -> Entry | None:
        found = [
            entry
            for entry in self.entries
            if entry.move.event in events
            and entry.move.challenger is not None
            and entry.move.challenger.release == release
            and not entry.move.challenger.fault
        ]
        return found[-1] if found else None


def read(folder: Path) -> Releases | Missing:
    """Read the ledger of a project's folder."""
    path = folder / LEDGER
    return unless_changed(path, lambda: _read(path))


def _read(path: Path) -> Releases | Missing:
    chain = read_chain(path, _WHAT, _COMMAND)
    if isinstance(chain, Missing):
        return chain
    entries, flaw = _entries(chain)
    if not entries:
        return Missing(_WHAT, flaw or "it has 0 entries", "make repair" if flaw else _COMMAND)
    return Releases(entries, flaw)


def _entries(chain: Chain) -> tuple[list[Entry], str]:
    found: list[Entry] = []
    for link in chain.links:
        try:
            move = Move.model_validate_json(link.text)
        except ValidationError:
            return found, f"entry {link.number} was written by another version of this project"
        found.append(Entry(number=link.number, move=move, before=link.before, hash=link.hash))
    return found, chain.flaw


def reasons(move: Move) -> list[str]:
    """Why a transition was made, in the words of its decision."""
    decision: dict[str, Any] = move.decision or {}
    return list(decision.get("reasons", []))


def is_open(entries: list[Entry]) -> bool:
    """Whether a rollout still waits for a decision."""
    return bool(entries) and (
        entries[-1].move.event in UNFINISHED or is_unfinished(entries[-1].move)
    )


def percent(share: int) -> float:
    """A share of the traffic in percent."""
    return 100 * share / WHOLE
