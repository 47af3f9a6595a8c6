"""A canary of a nightly batch: a share of the routes is served by the challenger.

The batch writes one table a night, a day ahead of its flights. Everything is kept as texts by name:

- "state.json": the canary, a `State`.
- "scores/<night>.json": what both models said of the night's flights, a `Scores`.
- "served/<night>.json": the table that users read, a list of `Row`, sorted by flight.

One assignment is atomic, several are not: the process may be killed between any two, and the next
call goes on from what is there. Nights are texts such as "2013-05-01", and order as such. JSON has
sorted keys, so that equal content gives equal texts.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.contracts import Record
from pipeline.shared.files import members, write_text

Files = MutableMapping[str, str]
Status = Literal["running", "rolled back", "promoted"]
Outcome = Literal["hold", "advance", "promote", "rollback"]


class Plan(Record):
    """What is fixed before the first night.

    `steps` are the challenger's shares of the routes, in ten-thousandths. A step needs so many
    mature `nights`: those on which at least `coverage` of the challenger's flights have a label.
    A night may have `max_invalid` risks of the challenger that are none, and its mean risk may
    differ by `max_shift` from the champion's. `margin` is in nats of log loss.
    """

    salt: str
    steps: tuple[int, ...] = Field(min_length=1)
    nights: int = Field(gt=0)
    coverage: float = Field(gt=0, le=1)
    max_invalid: int = Field(ge=0)
    max_shift: float = Field(gt=0)
    margin: float = Field(ge=0)
    bootstrap: Bootstrap


class State(Record):
    """Where the canary is; `step` is a place in the plan's steps.

    After a rollback, nights from `since` on are the champion's alone, for a `reason`; both are ""
    before.
    """

    champion: str
    challenger: str
    step: int = 0
    status: Status = "running"
    since: str = ""
    reason: str = ""


class Flight(Record):
    """A flight of a night, and what each model says of it."""

    flight: str
    route: str
    champion: float
    challenger: float | None


class Scores(Record):
    """The flights of a night, sorted by name, and the canary and the step that they were dealt by.

    A risk of the challenger that is none (missing, NaN, below 0, above 1) is None.
    """

    challenger: str
    step: int
    flights: list[Flight]


class Row(Record):
    """A flight as it is served: its risk, and the release that the risk is of."""

    flight: str
    risk: float
    release: str


class Finding(Record):
    """What the labels say: the mature nights of the step, and the challenger's loss on them.

    `point`, `low` and `high` are of its log loss less the champion's on the same flights, as
    `paired_difference.difference` gives them over nights; None without a mature night.
    """

    outcome: Outcome
    nights: list[str]
    flights: int
    point: float | None
    low: float | None
    high: float | None


class Folder(MutableMapping[str, str]):
    """Texts by name as files below a folder, each written whole or not at all."""

    def __init__(self, path: Path) -> None:
        """`path` may not exist yet."""
        self._path = path

    def __getitem__(self, name: str) -> str:
        """The text of a name.

        Raises:
            KeyError: there is none.
        """
        try:
            return (self._path / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise KeyError(name) from error

    def __setitem__(self, name: str, text: str) -> None:
        """Write a text; a killed process leaves the one of before."""
        write_text(self._path / name, text)

    def __delitem__(self, name: str) -> None:
        """Remove a text."""
        (self._path / name).unlink()

    def __iter__(self) -> Iterator[str]:
        """Every name, in order."""
        return (path.relative_to(self._path).as_posix() for path in members(self._path))

    def __len__(self) -> int:
        """How many there are."""
        return len(members(self._path))


def start(files: Files, champion: str, challenger: str) -> State:
    """A new canary, at the first step; what a killed rollback left is finished first.

    Raises:
        RolloutRefused: one is running, or the last one rolled back this very challenger.
    """
    raise NotImplementedError("not written yet")


def publish(files: Files, night: str, flights: Sequence[Flight], plan: Plan) -> State:
    """The night's scores and then its table, and where the canary is afterwards.

    The challenger serves the routes that `routes.arm_of` deals to "challenger", with the share of
    the step and the rest for "champion"; all others, and a flight of which its risk is none, are
    served by the champion. A night that is published again keeps the step of its first time. After
    a promotion, new nights are the challenger's on every route; after a rollback, nights from
    `since` on are the champion's.

    While the canary runs, the night is looked at before anything of it is served: more than
    `max_invalid` risks that are none among the challenger's routes, or a mean of the others that is
    more than `max_shift` from the champion's mean on the same flights, is a `rollback` from this
    night on.

    What a killed process left of a rollback is finished first. Equal flights, in any order, give
    equal texts.

    Raises:
        RolloutRefused: no canary was started, a flight is there twice, or a risk of the champion is
            none; nothing of the night is written.
    """
    raise NotImplementedError("not written yet")


def judge(files: Files, night: str, labels: Mapping[str, int], plan: Plan) -> Finding:
    """What the labels (1 late, 0 not, by flight) say, and the step that follows from it.

    Counted are the flights that the challenger served on nights before `night`, in this canary, at
    its present step. A night that is not mature is left out whole: late flights' labels come last.
    A night without a flight of the challenger is none.

    With fewer mature nights than the plan's the outcome is "hold". With enough of them it is
    "rollback" if `low` is above the margin, and `rollback` is called from `night` on; "advance", or
    "promote" at the last step, if `high` is not above it; else "hold".

    What a killed process left of a rollback is finished first.

    Raises:
        RolloutRefused: no canary is running.
    """
    raise NotImplementedError("not written yet")


def rollback(files: Files, night: str, reason: str) -> list[str]:
    """The challenger taken out: the nights from `night` on whose tables were made anew, in order.

    Tables of earlier nights stay as they are: users have acted by them. The others are made from
    the scores, by the champion alone; each table is whole at every instant. Once anything has
    changed, no call publishes a risk of the challenger for these nights any more.

    Raises:
        RolloutRefused: no canary is running.
    """
    raise NotImplementedError("not written yet")


def resume(files: Files) -> list[str]:
    """The rest of a rollback that was killed: the nights whose tables were made anew, in order.

    None where nothing is left to do.
    """
    raise NotImplementedError("not written yet")


def served(files: Files, night: str) -> list[Row]:
    """The table of a night.

    Raises:
        ArtifactMissing: the night has none.
    """
    raise NotImplementedError("not written yet")
