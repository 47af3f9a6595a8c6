"""One attempt to replace the champion: step by step, each written down, each safe to repeat.

Whoever is killed in between finds in the journal how far it came, and in the ledger who serves. A
refusal ends the attempt and leaves the champion; what is no refusal (a full disk, a locked
registry) ends the loop, which goes on from the same step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.monitor.monitored_model import live
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Move
from pipeline.register.register import run as register
from pipeline.registry import versions
from pipeline.retrain import journal, windows
from pipeline.retrain.data_guards import require_sound
from pipeline.retrain.policy import Attempt
from pipeline.rollout.canary import canary
from pipeline.rollout.shadow import shadow
from pipeline.rollout.traffic.source import Source
from pipeline.shared import dvc_lock, errors
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import EVALUATE, TRAIN, Kind, Training, Verdict, read_record
from pipeline.shared.errors import PipelineError, StorageFailed

Told = dict[str, object]
_SAID = 400
"""Characters of a refusal that are kept: what failed comes first."""
_RESULTS: dict[str, dict[type[PipelineError], str]] = {
    "data": {PipelineError: "refused data", errors.GraphFailed: "failed"},
    "guards": {PipelineError: "refused data"},
    "gate": {errors.GateRefused: "refused by the gate", PipelineError: "failed"},
    "register": {PipelineError: "failed"},
    "shadow": {errors.RolledBack: "taken out", errors.NotPromoted: "inconclusive"},
    "canary": {errors.RolledBack: "taken out", errors.NotPromoted: "inconclusive"},
}
"""What a refusal at a step makes of the attempt; anything else there makes it failed."""


@dataclass(frozen=True)
class Begun:
    """An attempt that goes on: since when, with how many ledger entries before it, how far."""

    at: pd.Timestamp
    as_of: str
    entries: int
    done: dict[str, Told]
    source: Source

    @property
    def fast_track(self) -> bool:
        """Whether the gate found nothing new in the challenger but the newest days."""
        return bool(self.done.get("gate", {}).get("fast_track"))

    def mine(self) -> list[Move]:
        """What the ledger has seen since it began."""
        return [entry.move for entry in rollout_ledger.entries()[self.entries :]]


def begun(at: pd.Timestamp, as_of: str, source: Source) -> Begun:
    """A new attempt, or the one that the journal holds unfinished."""
    done: dict[str, Told] = {}
    entries: int | None = None
    for event in journal.events():
        if event.kind == "attempt":
            entries, done = int(event.told["entries"]), {}
        elif event.kind == "ended":
            entries = None
        elif event.kind == "step" and entries is not None:
            done[event.told["step"]] = event.told
    if entries is None:
        put_back()
        entries, done = len(rollout_ledger.entries()), {}
        journal.add(at, "attempt", {"as_of": as_of, "entries": entries})
    return Begun(at, as_of, entries, done, source)


def put_back() -> None:
    """Have whole data again, those from before an attempt that was killed or refused at its data.

    Raises:
        PipelineError: the data from before are refused now.
    """
    as_of, whole = "", True
    for event in journal.events():
        if event.kind == "attempt":
            as_of, whole = event.told["as_of"], False
        whole = whole or (event.kind == "step" and event.told["step"] == "data")
    if not whole:
        windows.back(as_of)
        dvc_lock.repro("features")


def attempted(at: pd.Timestamp, as_of: str, say: Callable[[str], None], source: Source) -> Attempt:
    """Train on what has arrived by `as_of`, judge, register, shadow and canary; how it ended."""
    going_on = begun(at, as_of, source)
    for step, act in STEPS.items():
        if step in going_on.done and not _is_put_back(step, going_on):
            continue
        say(f"{step} ...")
        try:
            told = act(going_on)
        except StorageFailed:
            raise
        except PipelineError as refusal:
            return _ended(going_on, step, refusal)
        if step not in going_on.done:
            journal.add(at, "step", {"step": step, **told})
            going_on.done[step] = told
    return _ended(going_on, "", None)


def _is_put_back(step: str, going_on: Begun) -> bool:
    """Whether a step's work was undone when the loop began again."""
    return step == "calendar" and "data" not in going_on.done


def _ended(going_on: Begun, step: str, refusal: PipelineError | None) -> Attempt:
    """Write down how the attempt ended, and at which step; `why` is for people."""
    result = "promoted" if refusal is None else _result(step, refusal)
    trained = refusal is None or step not in ("calendar", "data", "guards")
    attempt = Attempt.model_validate(
        {
            "at": f"{going_on.at:%Y-%m-%dT%H:%MZ}",
            "as_of": going_on.as_of,
            "result": result,
            "trained": trained,
        }
    )
    words = "" if refusal is None else f"{type(refusal).__name__}: {' '.join(str(refusal).split())}"
    told = {"step": step, "why": words[:_SAID], **attempt.model_dump(exclude={"at"})}
    journal.add(going_on.at, "ended", told)
    return attempt


def _result(step: str, refusal: PipelineError) -> str:
    known = _RESULTS.get(step, {})
    return next((known[kind] for kind in type(refusal).__mro__ if kind in known), "failed")


def _calendar(going_on: Begun) -> Told:
    _, window = live()
    moves = windows.move(going_on.as_of, "scheduled", window.last)
    return {"learned_until": moves["train"]["refit_until"], "judged": moves["evaluate"]}


def _data(_: Begun) -> Told:
    dvc_lock.repro("features")
    return {}


def _guards(_: Begun) -> Told:
    checks = require_sound()
    return {"checks": {check.name: [check.found, check.limit] for check in checks}}


def figures_of(verdict: Verdict) -> dict[str, float]:
    """What the journal keeps of a verdict: by these a refresh is decided, slices apart."""
    kept = (Kind.EVIDENCE, Kind.CHAMPION, Kind.REFIT)
    return {c.name: c.found for c in verdict.checks if c.blocking and c.kind in kept}


def _gate(_: Begun) -> Told:
    dvc_lock.repro("evaluate")
    verdict = read_record(Verdict, EVALUATE / "verdict.json", "evaluate")
    training = read_record(Training, TRAIN / "training.json", "train")
    return {
        "kind": verdict.kind,
        "fast_track": verdict.fast_track,
        "model": training.digest,
        "rows": training.rows,
        "judged": verdict.window,
        "found": figures_of(verdict),
    }


def _register(_: Begun) -> Told:
    register()
    challenger = versions.aliased(load(RegisterConfig), versions.CHALLENGER)
    trained = read_record(Training, TRAIN / "training.json", "train").digest
    if challenger is None or challenger.digest != trained:
        raise errors.RegistryRefused(
            f"what was trained ({trained[:12]}) is no challenger, the challenger is "
            f"{challenger.digest[:12] if challenger else 'nobody'}: it is the champion again; "
            "wait for more labels, then `make retrain`"
        )
    return {"version": challenger.number}


def _shadow(going_on: Begun) -> Told:
    if going_on.fast_track:
        return {"left out": "the champion of last week with newer days: its canary is short, too"}
    mine = going_on.mine()
    if not any(m.event == "shadow passed" or m.rollout.endswith("canary") for m in mine):
        _require_not_over(mine)
        shadow(going_on.source, only_serving=True)
    return _when(going_on, "shadow passed")


def _canary(going_on: Begun) -> Told:
    mine = going_on.mine()
    if not any(move.event == "promoted" for move in mine) or rollout_ledger.is_unfinished(mine[-1]):
        _require_not_over(mine)
        # Drawn alike, so that the same data give the same journal again.
        canary(going_on.source, draw="loop", fast_track=going_on.fast_track)
    return _when(going_on, "promoted")


def _require_not_over(mine: list[Move]) -> None:
    """What the ledger says ended this attempt's rollout ended it, though nobody wrote it here."""
    if mine and mine[-1].event in ("rolled back", "shadow failed"):
        raise errors.RolledBack(
            f"{mine[-1].rollout} was {mine[-1].event} by {mine[-1].by}; see `make rollout`"
        )
    if mine and mine[-1].event in ("inconclusive", "paused", "shadow held"):
        raise errors.NotPromoted(f"{mine[-1].rollout} ended {mine[-1].event}; see `make rollout`")


def _when(going_on: Begun, event: str) -> Told:
    """When a transition of this attempt was, by the ledger."""
    move = next(move for move in going_on.mine() if move.event == event)
    return {"rollout": move.rollout, "on": f"{move.at:%Y-%m-%dT%H:%MZ}"}


STEPS: dict[str, Callable[[Begun], Told]] = {
    "calendar": _calendar,
    "data": _data,
    "guards": _guards,
    "gate": _gate,
    "register": _register,
    "shadow": _shadow,
    "canary": _canary,
}
"""In their order; a step that was done is not done again."""
