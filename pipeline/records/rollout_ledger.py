"""The ledger: which release served from when on, who decided it, and on what evidence.

Only ever appended to: the database refuses changes, and each entry carries the hash of the one
before it, so that a ledger rewritten by other means is told when it is read. Instants are the
replay's, not the wall clock's: time runs forward in it.
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
BEGINNING = datetime(2013, 1, 1, tzinfo=UTC)
"""Before anything happens in the replay."""
WHOLE = 10_000
"""All traffic; shares are told in ten-thousandths."""
Event = Literal[
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
"""After these somebody is still deciding."""

Arm = Literal["champion", "control", "challenger"]


class Side(Record):
    """A release in a rollout: the version's number, its sealed record, its feature service.

    `fault` names what was injected into it for a demonstration; nothing, as a rule.
    """

    version: str
    release: Sha256
    features: str
    fault: str = ""

    @property
    def name(self) -> str:
        """What a rollout remembers it by: a fault that was injected is another challenger."""
        return self.release + (f"+{self.fault}" if self.fault else "")

    @property
    def shown(self) -> str:
        """As a person names it."""
        injected = f", with an injected fault: {self.fault}" if self.fault else ""
        return f"version {self.version} ({self.release[:8]}{injected})"


class Move(Record):
    """What a transition says: what happened, when, and who serves how much from then on.

    `shares` gives each side's part of the traffic in ten-thousandths, "control" among them: a
    second set of the champion. `first` is when the traffic of a rollout begins. `plan` and
    `evidence` are hashes of what was decided by and from.
    """

    at: datetime
    event: Event
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
    """A move in its place: its number, the hash before it, and its own."""

    number: int
    move: Move
    before: Sha256
    hash: Sha256


def append(move: Move, path: Path = LEDGER) -> Entry:
    """Add a transition; when this returns, it is on disk.

    Raises:
        LedgerRefused: it lies before the last one.
        ArtifactTampered: what is there was rewritten.
    """

    def forward(known: list[Link]) -> None:
        last = _entry(known[-1]).move if known else None
        if last is not None and move.at < last.at:
            raise LedgerRefused(
                f"{move.event!r} is of {move.at:%Y-%m-%d %H:%M}Z, the ledger stands at "
                f"{last.at:%Y-%m-%d %H:%M}Z: time does not run backwards there; begin "
                "later, or anew beside it: `mv state state-before`, then `make evaluate register`"
            )

    return _entry(link(path, "ledger", move.model_dump_json(), forward))


def entries(path: Path = LEDGER) -> list[Entry]:
    """Every transition, the oldest first; none where nothing was ever released.

    Raises:
        ArtifactTampered: an entry was changed, taken out, or put in by other means.
    """
    return [_entry(one) for one in chain(path, "ledger")]


def _entry(one: Link) -> Entry:
    move = Move.model_validate_json(one.told)
    return Entry(number=one.number, move=move, before=one.before, hash=one.hash)


def count_rollouts(path: Path = LEDGER) -> int:
    """How many rollouts and registrations there have been: they are numbered in their names."""
    return max((int(entry.move.rollout.partition("-")[0]) for entry in entries(path)), default=0)


def is_unfinished(move: Move) -> bool:
    """Whether a rollout goes on after a move; a canary's promotion has yet to bake."""
    bakes = move.event == "promoted" and move.rollout.endswith("-canary")
    return bakes or move.event in UNFINISHED


def champion(move: Move) -> Side:
    """Who is champion after a move: all traffic at a challenger alone makes none of it."""
    promoted = move.event in ("promoted", "baked", "promoted by hand")
    return move.challenger if promoted and move.challenger else move.champion


def now(arrived: datetime, path: Path = LEDGER) -> datetime:
    """The replay's instant: when the last month had arrived, or where the ledger stands."""
    return max([arrived, *(entry.move.at for entry in entries(path)[-1:])])


def parse_instant(text: str) -> datetime:
    """An instant as it is typed, in UTC.

    Raises:
        DayUnknown: it is none, or has no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise DayUnknown(f"{text!r} is no instant with its zone; make it one, as 2013-05-18T10:00Z")
    return found.astimezone(UTC)


def entry_at(instant: datetime, path: Path = LEDGER) -> Entry | None:
    """The last transition up to an instant: it says who served then; None before the first."""
    earlier = [entry for entry in entries(path) if entry.move.at <= instant]
    return earlier[-1] if earlier else None


def moves_of(release: str, path: Path = LEDGER) -> list[Move]:
    """Every transition in which a release had a part."""
    moves = [entry.move for entry in entries(path)]
    sides = [(move, (move.champion, move.challenger)) for move in moves]
    return [move for move, both in sides if any(s and s.release == release for s in both)]


def serving_shares(move: Move) -> list[tuple[Side, int]]:
    """Who answers after a move, and how much of the traffic; the control is the champion."""
    ours = move.shares.get("champion", 0) + move.shares.get("control", 0)
    theirs = move.shares.get("challenger", 0)
    sides = [(move.champion, ours), (move.challenger, theirs)]
    return [(side, share) for side, share in sides if side is not None and share]


def main_side(move: Move) -> Side:
    """Who answers most after a move; the champion where nobody was said to."""
    return max(serving_shares(move), key=lambda pair: pair[1], default=(move.champion, 0))[0]
