"""One attempt to replace the champion: each step is journaled and safe to repeat.

After a kill, the journal says which steps are done and the ledger which release serves. A refusal
ends the attempt and leaves the champion; any other failure (a full disk, a locked registry) ends
the loop, which resumes at the same step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.monitor.monitored_model import live_champion
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Move
from pipeline.register.register import run as register
from pipeline.registry import versions
from pipeline.retrain import journal, training_windows
from pipeline.retrain.data_guards import require_sound_rows
from pipeline.retrain.policy import Attempt
from pipeline.rollout.canary import run_canary
from pipeline.rollout.shadow import run_shadow
from pipeline.rollout.traffic.live_traffic import Source
from pipeline.shared import dvc_lock, errors
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import EVALUATE, TRAIN, Kind, Training, Verdict, read_record
from pipeline.shared.errors import PipelineError, StorageFailed

Payload = dict[str, object]
_REASON_LENGTH = 400
"""Characters of a refusal that the journal keeps; the cause comes first."""
_RESULTS: dict[str, dict[type[PipelineError], str]] = {
    "data": {PipelineError: "refused data", errors.GraphFailed: "failed"},
    "guards": {PipelineError: "refused data"},
    "gate": {errors.GateRefused: "refused by the gate", PipelineError: "failed"},
    "register": {PipelineError: "failed"},
    "shadow": {errors.RolledBack: "taken out", errors.NotPromoted: "inconclusive"},
    "canary": {errors.RolledBack: "taken out", errors.NotPromoted: "inconclusive"},
}
"""The result of an attempt by step and refusal; any other refusal makes it "failed"."""


@dataclass(frozen=True)
class OpenAttempt:
    """An unfinished attempt: its start, the ledger entries before it, and the steps done."""

    at: pd.Timestamp
    as_of: str
    entries: int
    done: dict[str, Payload]
    source: Source

    @property
    def fast_track(self) -> bool:
        """Whether the gate found the challenger to be a refresh: the same recipe on newer days."""
        return bool(self.done.get("gate", {}).get("fast_track"))

    def moves(self) -> list[Move]:
        """The ledger's transitions since the attempt began."""
        return [entry.move for entry in rollout_ledger.entries()[self.entries :]]


def open_attempt(at: pd.Timestamp, as_of: str, source: Source) -> OpenAttempt:
    """Resume the unfinished attempt of the journal, or start a new one."""
    done: dict[str, Payload] = {}
    entries: int | None = None
    for event in journal.events():
        if event.kind == "attempt":
            entries, done = int(event.told["entries"]), {}
        elif event.kind == "ended":
            entries = None
        elif event.kind == "step" and entries is not None:
            done[event.told["step"]] = event.told
    if entries is None:
        restore_data()
        entries, done = len(rollout_ledger.entries()), {}
        journal.add(at, "attempt", {"as_of": as_of, "entries": entries})
    return OpenAttempt(at, as_of, entries, done, source)


def restore_data() -> None:
    """Restore the data from before an attempt that was killed or refused at its data step.

    Raises:
        PipelineError: the earlier data are refused now.
    """
    as_of, whole = "", True
    for event in journal.events():
        if event.kind == "attempt":
            as_of, whole = event.told["as_of"], False
        whole = whole or (event.kind == "step" and event.told["step"] == "data")
    if not whole:
        training_windows.undo(as_of)
        dvc_lock.repro("features")


def run_attempt(
    at: pd.Timestamp, as_of: str, say: Callable[[str], None], source: Source
) -> Attempt:
    """Train on data up to `as_of`, evaluate, register, shadow and canary; return the result."""
    attempt = open_attempt(at, as_of, source)
    for step, act in STEPS.items():
        if step in attempt.done and not _was_undone(step, attempt):
            continue
        say(f"{step} ...")
        try:
            payload = act(attempt)
        except StorageFailed:
            raise
        except PipelineError as refusal:
            return _record_end(attempt, step, refusal)
        if step not in attempt.done:
            journal.add(at, "step", {"step": step, **payload})
            attempt.done[step] = payload
    return _record_end(attempt, "", None)


def _was_undone(step: str, attempt: OpenAttempt) -> bool:
    """Whether `restore_data` undid a completed step when the loop restarted."""
    return step == "calendar" and "data" not in attempt.done


def _record_end(attempt: OpenAttempt, step: str, refusal: PipelineError | None) -> Attempt:
    """Journal the attempt's result and its last step; `why` is for people."""
    result = "promoted" if refusal is None else _result(step, refusal)
    trained = refusal is None or step not in ("calendar", "data", "guards")
    record = Attempt.model_validate(
        {
            "at": f"{attempt.at:%Y-%m-%dT%H:%MZ}",
            "as_of": attempt.as_of,
            "result": result,
            "trained": trained,
        }
    )
    words = "" if refusal is None else f"{type(refusal).__name__}: {' '.join(str(refusal).split())}"
    payload = {"step": step, "why": words[:_REASON_LENGTH], **record.model_dump(exclude={"at"})}
    journal.add(attempt.at, "ended", payload)
    return record


def _result(step: str, refusal: PipelineError) -> str:
    known = _RESULTS.get(step, {})
    return next((known[kind] for kind in type(refusal).__mro__ if kind in known), "failed")


def _calendar(attempt: OpenAttempt) -> Payload:
    _, window = live_champion()
    moves = training_windows.move(attempt.as_of, "scheduled", window.last)
    return {"learned_until": moves["train"]["refit_until"], "judged": moves["evaluate"]}


def _data(_: OpenAttempt) -> Payload:
    dvc_lock.repro("features")
    return {}


def _guards(_: OpenAttempt) -> Payload:
    checks = require_sound_rows()
    return {"checks": {check.name: [check.found, check.limit] for check in checks}}


def gate_figures(verdict: Verdict) -> dict[str, float]:
    """The verdict's figures for the journal: those that decide on a refresh, without slices."""
    kept = (Kind.EVIDENCE, Kind.CHAMPION, Kind.REFIT)
    return {c.name: c.found for c in verdict.checks if c.blocking and c.kind in kept}


def _gate(_: OpenAttempt) -> Payload:
    dvc_lock.repro("evaluate")
    verdict = read_record(Verdict, EVALUATE / "verdict.json", "evaluate")
    training = read_record(Training, TRAIN / "training.json", "train")
    return {
        "kind": verdict.kind,
        "fast_track": verdict.fast_track,
        "model": training.digest,
        "rows": training.rows,
        "judged": verdict.window,
        "found": gate_figures(verdict),
    }


def _register(_: OpenAttempt) -> Payload:
    register()
    challenger = versions.version_of_alias(load(RegisterConfig), versions.CHALLENGER)
    trained = read_record(Training, TRAIN / "training.json", "train").digest
    if challenger is None or challenger.digest != trained:
        raise errors.RegistryRefused(
            f"the trained model ({trained[:12]}) is not the challenger "
            f"({challenger.digest[:12] if challenger else 'none'}): it equals the champion; "
            "wait for more labels, then `make retrain`"
        )
    return {"version": challenger.number}


def _shadow(attempt: OpenAttempt) -> Payload:
    if attempt.fast_track:
        return {"left out": "the champion of last week with newer days: its canary is short, too"}
    moves = attempt.moves()
    if not any(m.event == "shadow passed" or m.rollout.endswith("canary") for m in moves):
        _require_not_over(moves)
        run_shadow(attempt.source, only_serving=True)
    return _transition(attempt, "shadow passed")


def _canary(attempt: OpenAttempt) -> Payload:
    """Run or resume the canary, unless it was promoted and its bake is over."""
    moves = attempt.moves()
    if not any(move.event == "promoted" for move in moves) or rollout_ledger.is_unfinished(
        moves[-1]
    ):
        _require_not_over(moves)
        # A fixed draw, so that the same data give the same journal.
        run_canary(attempt.source, draw="loop", fast_track=attempt.fast_track)
    return _transition(attempt, "promoted")


def _require_not_over(moves: list[Move]) -> None:
    """Refuse to continue a rollout that the ledger says has ended, though the journal lacks it."""
    if moves and moves[-1].event in ("rolled back", "shadow failed"):
        raise errors.RolledBack(
            f"{moves[-1].rollout} was {moves[-1].event} by {moves[-1].by}; see `make rollout`"
        )
    if moves and moves[-1].event in ("inconclusive", "paused", "shadow held"):
        raise errors.NotPromoted(f"{moves[-1].rollout} ended {moves[-1].event}; see `make rollout`")


def _transition(attempt: OpenAttempt, event: str) -> Payload:
    """The rollout and instant of this attempt's transition, from the ledger."""
    move = next(move for move in attempt.moves() if move.event == event)
    return {"rollout": move.rollout, "on": f"{move.at:%Y-%m-%dT%H:%MZ}"}


STEPS: dict[str, Callable[[OpenAttempt], Payload]] = {
    "calendar": _calendar,
    "data": _data,
    "guards": _guards,
    "gate": _gate,
    "register": _register,
    "shadow": _shadow,
    "canary": _canary,
}
"""The steps in order; a step that is done is not repeated."""
