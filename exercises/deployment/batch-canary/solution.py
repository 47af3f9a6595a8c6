"""A canary of a nightly batch: a share of the routes is served by the challenger.

The batch writes one table a night, a day ahead of its flights. Everything is kept as texts by name:

- "state.json": the canary, a `State`.
- "scores/<night>.json": what both models said of the night's flights, a `Scores`.
- "served/<night>.json": the table that users read, a list of `Row`, sorted by flight.

One assignment is atomic, several are not: the process may be killed between any two, and the next
call goes on from what is there. Nights are texts such as "2013-05-01", and order as such. JSON has
sorted keys, so that equal content gives equal texts.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.records.rollout_ledger import WHOLE
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.contracts import Record
from pipeline.shared.errors import ArtifactMissing, RolloutRefused
from pipeline.shared.files import members, write_text
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

Files = MutableMapping[str, str]
Status = Literal["running", "rolled back", "promoted"]
Outcome = Literal["hold", "advance", "promote", "rollback"]
STATE = "state.json"


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
    resume(files)
    before = _state(files) if STATE in files else None
    if before is not None and before.status == "running":
        raise RolloutRefused(f"{before.challenger} is running: judge it, or roll it back first")
    if before is not None and (before.status, before.challenger) == ("rolled back", challenger):
        raise RolloutRefused(f"{challenger} was rolled back: {before.reason}; train another one")
    return _write(files, State(champion=champion, challenger=challenger))


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
    resume(files)
    state, ordered = _state(files), _checked(flights)
    known = _scores(files).get(night)
    own = known is not None and known.challenger == state.challenger
    step = known.step if known is not None and own else state.step
    scores = Scores(challenger=state.challenger, step=step, flights=ordered)
    files[_scores_of(night)] = _text(scores.model_dump())  # the evidence first: a table needs it
    if state.status == "running" and (why := _fault(scores, plan)):
        rollback(files, night, why)
        return _state(files)
    if state.status == "promoted" and not own:
        share = WHOLE
    elif state.status == "rolled back" and (night >= state.since or not own):
        share = 0
    else:
        share = plan.steps[step]
    files[_table_of(night)] = _table(scores, state, share, plan.salt)
    return state


def _checked(flights: Sequence[Flight]) -> list[Flight]:
    """The flights in order, with None for a risk of the challenger that is none."""
    names = [one.flight for one in flights]
    if twice := len(names) - len(set(names)):
        raise RolloutRefused(f"{twice} of {len(names)} flights are there twice: score each once")
    if wrong := [one.flight for one in flights if not _is_risk(one.champion)]:
        raise RolloutRefused(
            f"the champion has no risk for {len(wrong)} of {len(names)} flights, {wrong[0]} first: "
            "nothing of the night is written"
        )
    ordered = sorted(flights, key=lambda one: one.flight)
    return [
        one if _is_risk(one.challenger) else one.model_copy(update={"challenger": None})
        for one in ordered
    ]


def _is_risk(value: float | None) -> bool:
    return value is not None and 0 <= value <= 1  # NaN is neither


def _dealt(scores: Scores, share: int, salt: str) -> list[Flight]:
    """The flights of the routes that are the challenger's."""
    route = Route({"challenger": share, "champion": WHOLE - share}, salt)
    arms = {one.route: arm_of(one.route, route) for one in scores.flights}
    return [one for one in scores.flights if arms[one.route] == "challenger"]


def _fault(scores: Scores, plan: Plan) -> str:
    """What is wrong with a night before any label; "" if nothing."""
    mine = _dealt(scores, plan.steps[scores.step], plan.salt)
    pairs = [(one.challenger, one.champion) for one in mine if one.challenger is not None]
    if (invalid := len(mine) - len(pairs)) > plan.max_invalid:
        return f"{invalid} of {len(mine)} risks are none, allowed are {plan.max_invalid}"
    ours, theirs = np.array(pairs or [(0.0, 0.0)], dtype="float64").mean(axis=0)
    if abs(ours - theirs) > plan.max_shift:
        return f"mean risk {ours:.3f} where the champion's is {theirs:.3f}, {plan.max_shift} apart"
    return ""


def _table(scores: Scores, state: State, share: int, salt: str) -> str:
    """The table of a night, with the challenger's risks for its share of the routes."""
    mine = {one.flight for one in _dealt(scores, share, salt) if one.challenger is not None}
    rows = []
    for one in scores.flights:
        risk = one.challenger if one.flight in mine else None
        release = state.champion if risk is None else state.challenger
        rows.append(
            Row(flight=one.flight, risk=one.champion if risk is None else risk, release=release)
        )
    return _text([row.model_dump() for row in rows])


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
    resume(files)
    state = _running(files)
    worse, of_night = _losses(files, state, night, labels, plan)
    nights = sorted(set(of_night))
    if not nights:
        return Finding(outcome="hold", nights=[], flights=0, point=None, low=None, high=None)
    found = difference(np.array(worse), np.array(of_night), plan.bootstrap)
    outcome: Outcome = "hold"
    if len(nights) >= plan.nights and found.low > plan.margin:
        outcome = "rollback"
        rollback(files, night, f"log loss {found} above the champion's, allowed {plan.margin}")
    elif len(nights) >= plan.nights and found.high <= plan.margin:
        is_last = state.step + 1 == len(plan.steps)
        outcome = "promote" if is_last else "advance"
        after = {"status": "promoted"} if is_last else {"step": state.step + 1}
        _write(files, state.model_copy(update=after))
    return Finding(
        outcome=outcome,
        nights=nights,
        flights=len(worse),
        point=found.point,
        low=found.low,
        high=found.high,
    )


def _losses(
    files: Files, state: State, before: str, labels: Mapping[str, int], plan: Plan
) -> tuple[list[float], list[str]]:
    """The paired losses of the labelled flights of mature nights, and the night of each."""
    worse: list[float] = []
    of_night: list[str] = []
    for night, scores in _scores(files).items():
        present = (scores.challenger, scores.step) == (state.challenger, state.step)
        if night >= before or not present or _table_of(night) not in files:
            continue
        ours = {row.flight for row in served(files, night) if row.release == state.challenger}
        known = [one for one in scores.flights if one.flight in ours and one.flight in labels]
        if not ours or len(known) < plan.coverage * len(ours):
            continue
        late = np.array([labels[one.flight] for one in known])
        ours_said = np.array([one.challenger for one in known], dtype="float64")
        theirs_said = np.array([one.champion for one in known], dtype="float64")
        worse += (log_loss(late, ours_said) - log_loss(late, theirs_said)).tolist()
        of_night += [night] * len(known)
    return worse, of_night


def rollback(files: Files, night: str, reason: str) -> list[str]:
    """The challenger taken out: the nights from `night` on whose tables were made anew, in order.

    Tables of earlier nights stay as they are: users have acted by them. The others are made from
    the scores, by the champion alone; each table is whole at every instant. Once anything has
    changed, no call publishes a risk of the challenger for these nights any more.

    Raises:
        RolloutRefused: no canary is running.
    """
    state = _running(files)
    after = {"status": "rolled back", "since": night, "reason": reason}
    _write(files, state.model_copy(update=after))  # first: from here on any call goes on with it
    return resume(files)


def resume(files: Files) -> list[str]:
    """The rest of a rollback that was killed: the nights whose tables were made anew, in order.

    None where nothing is left to do.
    """
    state = _state(files) if STATE in files else None
    if state is None or state.status != "rolled back":
        return []
    rewritten = []
    for night, scores in _scores(files).items():
        if night < state.since or scores.challenger != state.challenger:
            continue
        text = _table(scores, state, 0, "")
        if files.get(_table_of(night)) != text:
            files[_table_of(night)] = text
            rewritten.append(night)
    return rewritten


def served(files: Files, night: str) -> list[Row]:
    """The table of a night.

    Raises:
        ArtifactMissing: the night has none.
    """
    if _table_of(night) not in files:
        raise ArtifactMissing(f"{_table_of(night)} is missing: publish the night first")
    return [Row.model_validate(row) for row in json.loads(files[_table_of(night)])]


def _state(files: Files) -> State:
    if STATE not in files:
        raise RolloutRefused("no canary was started: `start` one")
    return State.model_validate_json(files[STATE])


def _running(files: Files) -> State:
    if (state := _state(files)).status != "running":
        raise RolloutRefused(f"no canary is running: {state.challenger} is {state.status}")
    return state


def _write(files: Files, state: State) -> State:
    files[STATE] = _text(state.model_dump())
    return state


def _scores(files: Files) -> dict[str, Scores]:
    """The scores of every night, in the order of nights."""
    names = sorted(name for name in files if name.startswith("scores/"))
    nights = [name.removeprefix("scores/").removesuffix(".json") for name in names]
    return {n: Scores.model_validate_json(files[_scores_of(n)]) for n in nights}


def _scores_of(night: str) -> str:
    return f"scores/{night}.json"


def _table_of(night: str) -> str:
    return f"served/{night}.json"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)
