"""The canary: the challenger serves a growing share of traffic, step by step, until it is decided.

Every change of traffic, with the evidence for it, is in the ledger.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.features.windows import DAY_MINUTES, instant
from pipeline.records.rollout_ledger import Entry
from pipeline.rollout.analysis import canary as analysis
from pipeline.rollout.analysis.decision import Decision, Start
from pipeline.rollout.controller import Controller, open_controller
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
from pipeline.shared import plots
from pipeline.shared.errors import NotPromoted, PipelineError, RolledBack

_ENDS = {"rollback": "rolled back", "pause": "paused", "inconclusive": "inconclusive"}
"""The outcomes that end a canary for the champion, and their events in the ledger."""


def run_canary(
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
        with open_controller(rollout, days, arms, known, source) as controller:
            minutes = controller.traffic.send()
            course = _resume(controller, known) if known else _start(controller, minutes)
            if course.promoted is not None:
                return _bake(course, minutes, course.promoted)
            return _run_steps(course, minutes)


def _run_steps(course: Canary, minutes: Iterator[int]) -> str:
    """Run the steps until the canary is decided."""
    rollout, transitions = course.rollout, course.controller.transitions
    for minute in minutes:
        if not course.analysis_is_due(minute):
            continue
        transitions.require_going_on()
        decision, observed = course.analyse(minute)
        if decision.outcome == "hold":
            continue
        kept = rollout.save_evidence(observed, decision)
        if decision.outcome == "promote":
            transitions.make("promoted", minute, ALL_CHALLENGER, **kept)
            return _bake(course, minutes, minute)
        if decision.outcome != "advance":
            transitions.make(_ENDS[decision.outcome], minute, ALL_CHAMPION, **kept)
            raise _refusal(course, decision)
        course.steps.append((minute, course.step + 1))
        shares = shares_at(rollout, course.step)
        transitions.make("step", minute, shares, step=course.step, **kept)
    raise NotPromoted(
        f"{rollout.name}: the traffic ended in step {course.step} of "
        f"{len(rollout.plan.canary.steps)}, undecided; the champion stays: see `make rollout`"
    )


def _start(controller: Controller, minutes: Iterator[int]) -> Canary:
    """Start the first step, once the champion's latency is known well enough."""
    rollout, replies = controller.rollout, controller.traffic.replies
    minute = next(minute for minute in minutes if len(replies) >= COLD + BASELINE)
    start = freeze_start(rollout, controller.reader.observations(), controller.servers.folder)
    decision = {"start": start.model_dump()}
    controller.transitions.make("canary", minute, shares_at(rollout, 0), decision=decision)
    return Canary(controller, start, [(minute, 0)], [], minute, len(replies))


def _resume(controller: Controller, known: list[Entry]) -> Canary:
    """Resume an interrupted canary with all its evidence; in its bake, if it was promoted."""
    moves = [entry.move for entry in known if entry.move.event in ("canary", "step")]
    start = Start.model_validate((moves[0].decision or {})["start"])
    steps: list[tuple[float, int]] = [(minute_of(move.at), move.step) for move in moves]
    course = Canary(controller, start, steps, analysed_at=int(steps[-1][0]))
    where, last = f"step {moves[-1].step}", known[-1].move
    if last.event == "promoted":
        where, course.promoted = "the bake", minute_of(last.at)
        decision = Decision.model_validate(last.decision)
        course.decisions.append((course.promoted, shares_at(course.rollout, course.step), decision))
    controller.progress.say(f"goes on in {where}: ledger and logs are where they were")
    return course


def _bake(course: Canary, minutes: Iterator[int], promoted: int) -> str:
    """Observe the new champion with the old one kept warm; only a broken limit ends the bake."""
    rollout, transitions = course.rollout, course.controller.transitions
    replies = course.controller.traffic.replies
    for minute in minutes:
        over = minute - promoted >= rollout.plan.canary.bake_days * DAY_MINUTES
        enough = len(replies) - course.analysed_requests >= BASELINE
        if course.challenger_lives and not over and not enough:
            continue
        transitions.require_going_on()
        course.analysed_requests = len(replies)
        observed = course.observations()
        decision = analysis.decide_bake(rollout.plan, course.start, observed, course.at(minute))
        if decision.outcome == "rollback":
            kept = rollout.save_evidence(observed, decision)
            transitions.make("rolled back", minute, ALL_CHAMPION, **kept)
            raise _refusal(course, decision)
        if over:
            transitions.make("baked", minute, ALL_CHALLENGER)
            return _promotion(course)
    raise NotPromoted(
        f"{rollout.name}: the traffic ended before the promotion baked; see `make rollout`"
    )


def _promotion(course: Canary) -> str:
    rollout, traffic = course.rollout, course.controller.traffic
    errors = course.decisions[-1][2].metric("errors")
    plot_analyses(rollout.folder / "rollout.png", rollout.name, course.decisions)
    return (
        f"{rollout.title}: {rollout.challenger.label} is champion, after "
        f"{errors.challenger.of:,} requests beside {errors.control.of:,} of the control and "
        f"{len(course.decisions)} looks; provisional until labels mature; users: "
        f"{traffic.failures} failures of {len(traffic.replies):,} -> {rollout.folder}/"
    )


def _refusal(course: Canary, decision: Decision) -> PipelineError:
    """The refusal that ends a challenger's canary."""
    rollout, traffic = course.rollout, course.controller.traffic
    minute, shares, _ = course.decisions[-1]
    plot_analyses(rollout.folder / "rollout.png", rollout.name, course.decisions)
    met = int((course.observations()["arm"] == "challenger").sum())
    words = (
        f"{rollout.name}: {rollout.challenger.label} at {when(minute)} with "
        f"{shares['challenger'] / 100:g}% of traffic: {decision.outcome}: "
        f"{'; '.join(decision.reasons)}; it met {met} of {len(traffic.replies):,} requests, users "
        f"saw {traffic.failures} failures; {rollout.champion.label} serves all -> "
        f"{rollout.folder}/; `make replay-decision` decides it again"
    )
    return RolledBack(words) if decision.outcome == "rollback" else NotPromoted(words)


def plot_analyses(
    path: Path, title: str, decisions: list[tuple[int, dict[str, int], Decision]]
) -> None:
    """Plot the weight and the distance to each alarm at every interim analysis, as a PNG file."""
    figure = plots.blank(9, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    at = [instant(minute).to_pydatetime() for minute, _, _ in decisions]
    above.step(at, [shares.get("challenger", 0) / 100 for _, shares, _ in decisions], where="post")
    above.set(ylabel="challenger, % of traffic", title=f"{title}: {decisions[-1][2].outcome}")
    for metric in decisions[-1][2].metrics:
        if metric.alpha:
            values = [decision.metric(metric.name).p for _, _, decision in decisions]
            near = [(1.0 if p is None else max(p, 1e-12)) / metric.alpha for p in values]
            below.plot(at, near, marker=".", label=metric.name)
    below.axhline(1, color="black", linestyle="--", linewidth=1)
    below.set(yscale="log", ylabel="anytime p / its limit (below 1: alarm)")
    below.legend(ncols=4, fontsize="small")
    below.tick_params(axis="x", rotation=20)
    plots.save(figure, path)
