"""The decision of a canary: advance, promote, hold, pause or roll back, from its requests alone.

A challenger is compared with a baseline ("control") of the same size at the same time, never with
the champion's other traffic or with yesterday: hours differ by more than models. The evidence runs
through every request and over all steps, so it stays valid at any number of interim analyses.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.rollout.analysis import guardrails
from pipeline.rollout.analysis.decision import (
    ArmSummary,
    Breaker,
    Decision,
    MetricResult,
    Outcome,
    Position,
    Start,
    plan_hash,
)
from pipeline.rollout.analysis.guardrails import COMPARED_ARMS, RATES, Requests, compared_requests
from pipeline.rollout.analysis.stalls import Arms, longest_run
from pipeline.rollout.traffic import resources
from pipeline.shared.config.rollout import CanaryPlan, RolloutConfig
from pipeline.usecase.chosen import USECASE


@dataclass(frozen=True)
class CanarySignals:
    """The inputs of an outcome: plan, position, requests, metrics and breakers."""

    plan: CanaryPlan
    at: Position
    requests: Requests
    metrics: list[MetricResult]
    breakers: list[Breaker]


def decide_canary(
    plan: RolloutConfig, start: Start, observed: pd.DataFrame, at: Position
) -> Decision:
    """Decide on the canary's requests so far, by a plan that was fixed before.

    `observed` has a row per request at the edge: NAME, arm, step, at (its start in seconds), code
    (HTTP, 0 without a response), seconds, release (the one that responded), logged (whether the
    servers' log has the prediction), risk (NaN without one), missing, stale, parity (|served -
    recomputed|, of a batch the largest, NaN if not compared), and the columns of the plan's slices.
    """
    canary = plan.canary
    requests = compared_requests(observed, start, canary)
    metrics = _metrics(requests, canary, start.same_model, at.step)
    breakers = _breakers(requests, canary, at.alive)
    outcome, reasons = _outcome(CanarySignals(canary, at, requests, metrics, breakers))
    return Decision(
        plan=plan_hash(plan),
        start=start,
        at=at,
        outcome=outcome,
        reasons=reasons,
        metrics=metrics,
        breakers=breakers,
        slices=guardrails.slice_rates(requests),
    )


def decide_bake(
    plan: RolloutConfig, start: Start, observed: pd.DataFrame, at: Position
) -> Decision:
    """Decide whether a new champion breaks a limit during its bake, where no baseline is left.

    The old champion, kept warm, still serves strangers, so their requests cannot count against the
    new one.
    """
    canary = plan.canary
    breakers = _breakers(compared_requests(observed, start, canary), canary, at.alive)
    tripped = [f"{b.name}: {b.found}, allowed {b.allowed}" for b in breakers if b.tripped]
    return Decision(
        plan=plan_hash(plan),
        start=start,
        at=at,
        outcome="rollback" if tripped else "hold",
        reasons=tripped or ["no limit is broken"],
        metrics=[],
        breakers=breakers,
    )


def _metrics(
    requests: Requests, canary: CanaryPlan, same_model: bool, step: int
) -> list[MetricResult]:
    least = canary.steps[step].min_requests
    return [
        *(
            guardrails.rate(requests, name, getattr(canary.guardrails, name), step, least)
            for name in RATES
        ),
        guardrails.score(requests, canary, same_model, step, least),
        guardrails.sample_ratio(requests, canary, step, least),
    ]


def _breakers(requests: Requests, canary: CanaryPlan, alive: bool) -> list[Breaker]:
    """The circuit breakers: limits without a minimum sample size, on the challenger's requests."""
    rule, mine = canary.breakers, requests.is_challenger
    failed = np.cumsum(
        np.append(np.zeros(rule.failing.of, dtype=int), requests.bad["errors"][mine])
    )
    worst = int(np.max(failed[rule.failing.of :] - failed[: -rule.failing.of], initial=0))
    risk = requests.risk[mine & requests.is_answered & requests.is_logged]
    unlike = int(np.count_nonzero(requests.parity[mine] > rule.parity_tolerance))
    return [
        _breaker("challenger process gone", int(not alive), 0),
        _breaker(f"failed of {rule.failing.of} in a row", worst, rule.failing.failed - 1),
        *(
            _breaker(f"{name} in a row", _in_a_row(requests, name, canary), rule.in_a_row.bad - 1)
            for name in RATES
        ),
        _breaker(
            "answers that are no probability",
            int(np.count_nonzero(~((risk >= 0) & (risk <= 1)))),
            rule.invalid_allowed,
        ),
        _breaker("answers unlike the recomputed ones", unlike, rule.parity_allowed),
        *resources.breakers(requests.resources, mine, rule.resources),
    ]


def _in_a_row(requests: Requests, name: str, canary: CanaryPlan) -> int:
    rule, known = canary.breakers.in_a_row, requests.known[name] | requests.bad[name]
    arms = Arms(requests.bad[name][known], requests.start[known], requests.is_challenger[known])
    return longest_run(arms, rule.seconds, rule.control_bad)


def _breaker(name: str, found: int, allowed: int) -> Breaker:
    return Breaker(name=name, found=found, allowed=allowed, tripped=found > allowed)


def _outcome(signals: CanarySignals) -> tuple[Outcome, list[str]]:
    """The first outcome that applies: rollback comes first, and doubt before advancing."""
    if tripped := [breaker for breaker in signals.breakers if breaker.tripped]:
        return "rollback", [f"{b.name}: {b.found}, allowed {b.allowed}" for b in tripped]
    if flaws := _flaws(signals):
        return "pause", flaws
    if alarmed := [metric for metric in signals.metrics if metric.alarmed]:
        uneven = all(metric.name == "sample_ratio" for metric in alarmed)
        return "pause" if uneven else "rollback", [_alarm(metric) for metric in alarmed]
    plan, at, lacking = signals.plan, signals.at, _missing_evidence(signals)
    last = at.step == len(plan.steps) - 1
    if last and not lacking:
        return "promote", ["no alarm in any step, and every step had its requests and days"]
    if at.days >= plan.max_days:
        over = f"{at.days:g} days of at most {plan.max_days:g} in step {at.step}"
        return "inconclusive", [over, *lacking]
    if lacking:
        return "hold", lacking
    to = plan.steps[at.step + 1].set_weight
    return "advance", [f"no alarm, and the step had its requests and days: on to {to}%"]


def _flaws(signals: CanarySignals) -> list[str]:
    """The reasons why the arms cannot be compared at all."""
    found, run = [], _longest_run(signals.requests.is_challenger)
    if run > signals.plan.max_run:
        found.append(
            f"{run} requests in a row are one arm's, by chance at most {signals.plan.max_run}: "
            "challenger and control are not concurrent"
        )
    if switched := signals.requests.switched_names:
        found.append(f"{switched} {USECASE.noun} were in both arms, allowed 0: arms must be sticky")
    return found + _count_unlogged(signals)


def _count_unlogged(signals: CanarySignals) -> list[str]:
    """The arms with too many responses that the servers' log lacks: their evidence is missing."""
    requests, rule, found = signals.requests, signals.plan.unlogged, []
    for name, mine in zip(
        COMPARED_ARMS, (requests.is_challenger, ~requests.is_challenger), strict=True
    ):
        answered = mine & requests.is_answered
        lost, of = np.count_nonzero(answered & ~requests.is_logged), np.count_nonzero(answered)
        if lost > max(rule.fewest, rule.share * of):
            found.append(
                f"{lost} of {of} answers of the {name} are not in the servers' log, allowed are "
                f"{rule.fewest}, or {rule.share:.0%}: the evidence is missing"
            )
    return found


def _longest_run(arm: np.ndarray) -> int:
    changes = np.flatnonzero(np.diff(arm)) + 1
    return int(np.diff(np.concatenate([[0], changes, [len(arm)]])).max())


def _missing_evidence(signals: CanarySignals) -> list[str]:
    """The evidence that the step still lacks: requests, days, samples of a required metric."""
    at, requests, step = signals.at, signals.requests, signals.plan.steps[signals.at.step]
    here, needed = requests.step == at.step, step.min_requests
    smaller = min(requests.per_arm(here))
    compared, _ = requests.per_arm(here & ~np.isnan(requests.parity))
    found = []
    if smaller < needed:
        found.append(f"{smaller} requests of the smaller arm in step {at.step}, needed {needed}")
    if at.days_at_step < step.days:
        found.append(f"{at.days_at_step:g} days in step {at.step}, needed {step.days:g}")
    found += [
        f"{metric.name} seen {metric.seen} times in the arm that shows less, needed {needed}"
        for metric in signals.metrics
        if metric.required and not metric.enough
    ]
    for name, mine in zip(
        COMPARED_ARMS, (requests.is_challenger, ~requests.is_challenger), strict=True
    ):
        if resources.is_unread(requests.resources, mine):
            found.append(f"0 readings of what the {name}'s process takes by now, needed 1")
    if compared < needed:
        found.append(f"{compared} answers compared with recomputed ones, needed {needed}")
    return found


def _alarm(metric: MetricResult) -> str:
    challenger, control = _format_arm(metric.challenger), _format_arm(metric.control)
    ours, theirs = metric.events or (0, 0)
    events = f" ({ours} and {theirs} events)" if metric.events else ""
    return (
        f"{metric.name}: challenger {challenger}, control {control}{events}; "
        f"p {metric.p:.2g}, alpha {metric.alpha:g}"
    )


def _format_arm(side: ArmSummary) -> str:
    if side.bad is not None:
        return f"{side.bad:,} of {side.of:,}"
    return f"{side.of:,}" if side.mean is None else f"{side.mean:.4g} over {side.of:,}"
