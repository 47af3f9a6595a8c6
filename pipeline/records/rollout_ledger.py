"""The rollout ledger: each release's time in service, its decision and the evidence for it.

Append-only: the database refuses changes, and each entry carries the hash of the one before it, so
reading detects a rewritten ledger. Instants are the replay's, not the wall clock's, and only move
forward.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline.records.hash_chain import Link, chain, link
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import Record
from pipeline.shared.errors import DayUnknown, LedgerRefused

LEDGER = Path("state/rollout/ledger.db")
WHOLE = 10_000
"""All traffic: shares are in ten-thousandths."""
LedgerEvent = Literal[
    "registered",
    "promoted by hand",
    "shadow",
    "shadow passed",
    "shadow held",
    "shadow failed",
    "canary",
    "step",
    "paused",
    "inconclusive",
    "rolled back",
    "promoted",
    "baked",
    "blue-green",
    "switched",
    "switched back",
]

UNFINISHED = {"shadow", "canary", "step", "blue-green", "switched", "switched back"}
"""Events after which a decision is still due."""

Arm = Literal["champion", "control", "challenger"]


class Side(Record):
    """A release in a rollout: the version's number, its manifest's digest, its feature service.

    `fault` names the fault that a demonstration injected into it, if any.
    """

    version: str
    release: Sha256
    features: str
    fault: str = ""

    @property
    def name(self) -> str:
        """The key of a challenger: with an injected fault it counts as another one."""
        return self.release + (f"+{self.fault}" if self.fault else "")

    @property
    def label(self) -> str:
        """The version as people read it."""
        injected = f", with an injected fault: {self.fault}" if self.fault else ""
        return f"version {self.version} ({self.release[:8]}{injected})"


class Move(Record):
    """One transition: the event, its instant, and the traffic shares from then on.

    `shares` gives each arm's part of the traffic in ten-thousandths; "control" is the baseline, a
    second set of the champion. `first` is the instant at which a rollout's traffic begins. `plan`
    and `evidence` are digests of the plan and the evidence of a decision.
    """

    at: datetime
    event: LedgerEvent
    rollout: str
    champion: Side
    challenger: Side | None = None
    shares: dict[Arm, int]
    mirrored: bool = False
    step: int = 0
    salt: str = ""
    first: datetime | None = None
    plan: Sha256 | None = None
    evidence: dict[str, Sha256] = Field(default_factory=dict)
    decision: dict[str, Any] | None = None
    by: str


class Entry(Record):
    """A move in the ledger: its number, the previous hash and its own."""

    number: int
    move: Move
    before: Sha256
    hash: Sha256


def beginning() -> datetime:
    """The instant before anything happens in the replay."""
    from pipeline.usecase.chosen import USECASE  # with NumPy, which readers of the ledger lack

    return datetime.fromisoformat(USECASE.begins).replace(tzinfo=UTC)


def append(move: Move, path: Path = LEDGER) -> Entry:
    """Append a transition; on return it is on disk.

    Raises:
        LedgerRefused: it is earlier than the last one.
        ArtifactTampered: the ledger was rewritten.
    """

    def forward(known: list[Link]) -> None:
        last = _entry(known[-1]).move if known else None
        if last is not None and move.at < last.at:
            raise LedgerRefused(
                f"{move.event!r} is of {move.at:%Y-%m-%d %H:%M}Z, the ledger stands at "
                f"{last.at:%Y-%m-%d %H:%M}Z: time does not run backwards there; start "
                "later, or again: `mv state state-before`, then `make evaluate register`"
            )

    return _entry(link(path, "ledger", move.model_dump_json(), forward))


def entries(path: Path = LEDGER) -> list[Entry]:
    """All transitions, oldest first; empty before the first release.

    Raises:
        ArtifactTampered: an entry was changed, removed or inserted.
    """
    return [_entry(one) for one in chain(path, "ledger")]


def _entry(one: Link) -> Entry:
    move = Move.model_validate_json(one.text)
    return Entry(number=one.number, move=move, before=one.before, hash=one.hash)


def count_rollouts(path: Path = LEDGER) -> int:
    """Count rollouts and registrations so far: their names begin with a number."""
    return max((int(entry.move.rollout.partition("-")[0]) for entry in entries(path)), default=0)


def is_unfinished(move: Move) -> bool:
    """Whether a rollout is in progress after a move; a canary's promotion still has to bake."""
    bakes = move.event == "promoted" and move.rollout.endswith("-canary")
    return bakes or move.event in UNFINISHED


def champion(move: Move) -> Side:
    """The champion after a move: only a promotion makes a challenger champion, not its traffic."""
    promoted = move.event in ("promoted", "baked", "promoted by hand")
    return move.challenger if promoted and move.challenger else move.champion


def now(arrived: datetime, path: Path = LEDGER) -> datetime:
    """The replay's present: the arrival of the last month, or the last move if that is later."""
    return max([arrived, *(entry.move.at for entry in entries(path)[-1:])])


def parse_instant(text: str) -> datetime:
    """Parse an instant, in UTC.

    Raises:
        DayUnknown: the text is no instant, or has no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise DayUnknown(
            f"{text!r} is no instant with a zone, as 2013-05-18T10:00Z is; correct it, as in "
            "`make who-served AT=2013-05-18T10:00Z`"
        )
    return found.astimezone(UTC)


def entry_at(instant: datetime | None, path: Path = LEDGER) -> Entry | None:
    """The last transition, up to an instant or of all: who serves then; None before the first."""
    earlier = [e for e in entries(path) if instant is None or e.move.at <= instant]
    return earlier[-1] if earlier else None


def moves_of(release: str, path: Path = LEDGER) -> list[Move]:
    """All transitions that involve a release."""
    moves = [entry.move for entry in entries(path)]
    sides = [(move, (move.champion, move.challenger)) for move in moves]
    return [move for move, both in sides if any(s and s.release == release for s in both)]


def serving_shares(move: Move) -> list[tuple[Side, int]]:
    """The serving sides after a move with their shares; the baseline counts as the champion."""
    ours = move.shares.get("champion", 0) + move.shares.get("control", 0)
    theirs = move.shares.get("challenger", 0)
    sides = [(move.champion, ours), (move.challenger, theirs)]
    return [(side, share) for side, share in sides if side is not None and share]


def main_side(move: Move) -> Side:
    """The side with the largest share after a move; the champion without any shares."""
    return max(serving_shares(move), key=lambda pair: pair[1], default=(move.champion, 0))[0]
