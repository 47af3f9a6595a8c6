"""The canary: the challenger serves a growing share of traffic, step by step, until it is decided.

Every change of traffic, with the evidence for it, is in the ledger.
"""

from collections.abc import Iterator

from pipeline.features.windows import DAY
from pipeline.records.rollout_ledger import Entry
from pipeline.rollout import canary_plot
from pipeline.rollout.analysis import canary as analysis
from pipeline.rollout.analysis.decision import Decision, Start
from pipeline.rollout.controller import Stage, open_stage
from pipeline.rollout.interim_analyses import BASELINE, COLD, Canary, freeze_start, shares_at
from pipeline.rollout.progress import when
from pipeline.rollout.state import (
    ALL_CHALLENGER,
    ALL_CHAMPION,
    NO_INJECTION,
    Injection,
    begin,
    hold_rollout,
    minute_of,
)
from pipeline.rollout.traffic.live_traffic import Source
from pipeline.shared.errors import NotPromoted, PipelineError, RolledBack

_ENDS = {"rollback": "rolled back", "pause": "paused", "inconclusive": "inconclusive"}
"""The outcomes that end a canary for the champion, and their events in the ledger."""


def canary(
    source: Source,
    injection: Injection = NO_INJECTION,
    force: bool = False,
    draw: str = "",
    fast_track: bool = False,
) -> str:
    """Serve a growing share of the traffic from the challenger, and decide on the evidence.

    `injection` is a fault in its server, for a demonstration. An interrupted canary resumes where
    it stopped. With `draw` a replay assigns the same users again; without it the assignment is a
    new draw. `fast_track` uses the plan's shorter steps, for a refresh of last week's champion.

    Raises:
        RolledBack: the challenger was worse than the baseline, or broke a limit.
        NotPromoted: no evidence against it, and not enough for it.
        RolloutRefused: another rollout is in progress, or this challenger was rolled back before.
    """
    with hold_rollout():
        rollout, known = begin("canary", injection, force, draw, fast_track)
        arms = {"champion": rollout.champion, "control": rollout.champion}
        arms["challenger"] = rollout.challenger
        plan = rollout.plan.canary
        days = int(plan.max_days + plan.bake_days) + 1
        with open_stage(rollout, days, arms, known, source) as stage:
            minutes = stage.send()
            course = _resume(stage, known) if known else _start(stage, minutes)
            if course.promoted is not None:
                return _bake(course, minutes, course.promoted)
            return _run_steps(course, minutes)


def _run_steps(course: Canary, minutes: Iterator[int]) -> str:
    """Run the steps until the canary is decided."""
    stage = course.stage
    for minute in minutes:
        if not course.analysis_is_due(minute):
            continue
        stage.require_going_on()
        decision, observed = course.analyse(minute)
        if decision.outcome == "hold":
            continue
        kept = stage.rollout.save_evidence(observed, decision)
        if decision.outcome == "promote":
            stage.change("promoted", minute, ALL_CHALLENGER, **kept)
            return _bake(course, minutes, minute)
        if decision.outcome != "advance":
            stage.change(_ENDS[decision.outcome], minute, ALL_CHAMPION, **kept)
            raise _refusal(course, decision)
        course.steps.append((minute, course.step + 1))
        shares = shares_at(stage.rollout, course.step)
        stage.change("step", minute, shares, step=course.step, **kept)
    raise NotPromoted(
        f"{stage.rollout.name}: the traffic ended in step {course.step} of "
        f"{len(stage.rollout.plan.canary.steps)}, undecided; the champion stays: see `make rollout`"
    )


def _start(stage: Stage, minutes: Iterator[int]) -> Canary:
    """Start the first step, once the champion's latency is known well enough."""
    minute = next(minute for minute in minutes if len(stage.replies) >= COLD + BASELINE)
    start = freeze_start(stage, stage.observations())
    decision = {"start": start.model_dump()}
    stage.change("canary", minute, shares_at(stage.rollout, 0), decision=decision)
    return Canary(stage, start, [(minute, 0)], [], minute, len(stage.replies))


def _resume(stage: Stage, known: list[Entry]) -> Canary:
    """Resume an interrupted canary with all its evidence; in its bake, if it was promoted."""
    moves = [entry.move for entry in known if entry.move.event in ("canary", "step")]
    start = Start.model_validate((moves[0].decision or {})["start"])
    steps: list[tuple[float, int]] = [(minute_of(move.at), move.step) for move in moves]
    course = Canary(stage, start, steps, analysed_at=int(steps[-1][0]))
    where, last = f"step {moves[-1].step}", known[-1].move
    if last.event == "promoted":
        where, course.promoted = "the bake", minute_of(last.at)
        decision = Decision.model_validate(last.decision)
        course.decisions.append((course.promoted, shares_at(stage.rollout, course.step), decision))
    stage.progress.say(f"goes on in {where}: ledger and logs are where they were")
    return course


def _bake(course: Canary, minutes: Iterator[int], promoted: int) -> str:
    """Observe the new champion with the old one kept warm; only a broken limit ends the bake."""
    stage, plan = course.stage, course.stage.rollout.plan
    for minute in minutes:
        alive = stage.servers.starts("challenger") == 1
        over = minute - promoted >= plan.canary.bake_days * DAY
        if alive and not over and len(stage.replies) - course.analysed_requests < BASELINE:
            continue
        stage.require_going_on()
        course.analysed_requests = len(stage.replies)
        observed = course.observations()
        decision = analysis.decide_bake(plan, course.start, observed, course.at(minute))
        if decision.outcome == "rollback":
            kept = stage.rollout.save_evidence(observed, decision)
            stage.change("rolled back", minute, ALL_CHAMPION, **kept)
            raise _refusal(course, decision)
        if over:
            stage.change("baked", minute, ALL_CHALLENGER)
            return _promotion(course)
    raise NotPromoted(
        f"{stage.rollout.name}: the traffic ended before the promotion baked; see `make rollout`"
    )


def _promotion(course: Canary) -> str:
    stage, decision = course.stage, course.decisions[-1][2]
    errors = decision.metric("errors")
    canary_plot.plot(stage.rollout.folder / "rollout.png", stage.rollout.name, course.decisions)
    return (
        f"{stage.rollout.title}: {stage.rollout.challenger.label} is champion, after "
        f"{errors.challenger.of:,} requests beside {errors.control.of:,} of the control and "
        f"{len(course.decisions)} looks; provisional until labels mature; users: "
        f"{stage.failures} failures of {len(stage.replies):,} -> {stage.rollout.folder}/"
    )


def _refusal(course: Canary, decision: Decision) -> PipelineError:
    """The refusal that ends a challenger's canary."""
    stage, (minute, shares, _) = course.stage, course.decisions[-1]
    canary_plot.plot(stage.rollout.folder / "rollout.png", stage.rollout.name, course.decisions)
    met = int((course.observations()["arm"] == "challenger").sum())
    words = (
        f"{stage.rollout.name}: {stage.rollout.challenger.label} at {when(minute)} with "
        f"{shares['challenger'] / 100:g}% of traffic: {decision.outcome}: "
        f"{'; '.join(decision.reasons)}; it met {met} of {len(stage.replies):,} requests, users "
        f"saw {stage.failures} failures; {stage.rollout.champion.label} serves all -> "
        f"{stage.rollout.folder}/; `make replay-decision` decides it again"
    )
    return RolledBack(words) if decision.outcome == "rollback" else NotPromoted(words)
