"""A rollout's guardrails: each interval against its limit, worse to the right; and over time."""

from dataclasses import dataclass

from cockpit.facts.rollouts import Analysis, Guardrail, Rollout
from cockpit.pictures.scale import Scale, area, line
from cockpit.reading import Missing
from pipeline.rollout.analysis.decision import Breaker

WIDTH, LEFT, RIGHT, ROW = 640, 8, 8, 26
SMALL_WIDTH, SMALL_HEIGHT, _MARGIN = 220, 92, 8
_REACH = 0.02
"""Half of the narrowest scale of a metric that counts both ways."""
_VERDICTS = {
    "alarm": "ALARM",
    "fine": "no alarm",
    "early": "too few to tell",
    "silent": "none in either arm",
    "reported": "reported; a new model may differ",
}


@dataclass(frozen=True)
class Row:
    """One guardrail: words and counts beside a picture of its own scale, limit in the middle.

    `state` is "tripped" (a circuit breaker), "alarm", "fine", "early" (too few requests to tell),
    "silent" (no event in either arm) or "reported" (it cannot stop).
    """

    name: str
    words: str
    counts: str
    state: str
    verdict: str
    low: float
    high: float
    estimate: float | None
    limit: float
    both_ways: bool
    title: str


@dataclass(frozen=True)
class Course:
    """One guardrail over the analyses: its interval narrows, and its limit stands."""

    words: str
    band: str
    line: str
    limit: float
    ends: tuple[str, str]
    alarmed: bool
    title: str


@dataclass(frozen=True)
class StepState:
    """One step of a canary's plan: its weight, what it wants and has, and where it stands."""

    weight: float
    state: str
    requests: tuple[int, int]
    days: tuple[float, float]


def rows(analysis: Analysis | None) -> list[Row]:
    """Tripped breakers and guardrails: those that stopped it first, reported ones last."""
    if analysis is None:
        return []
    found = [_tripped(one) for one in analysis.decision.breakers if one.tripped]
    found += [_row(one) for one in analysis.guardrails]
    order = ("tripped", "alarm", "fine", "early", "silent", "reported")
    return sorted(found, key=lambda row: order.index(row.state))


def _tripped(one: Breaker) -> Row:
    """A circuit breaker beyond its limit: from the limit, in the middle, to what was found."""
    reach = 1.15 * max(one.allowed, one.found - one.allowed, 1)
    scale = Scale(one.allowed - reach, one.allowed + reach, LEFT, WIDTH - RIGHT)
    return Row(
        name=one.name,
        words=one.name,
        counts=f"{one.found:,}, allowed {one.allowed:,}",
        state="tripped",
        verdict="STOPPED IT",
        low=scale(one.allowed),
        high=scale(one.found),
        estimate=scale(one.found),
        limit=scale(one.allowed),
        both_ways=False,
        title=f"circuit breaker: {one.found:,} found, {one.allowed:,} allowed",
    )


def _row(one: Guardrail) -> Row:
    metric, scale = one.metric, _scale(one)
    low = metric.low if metric.low is not None else scale.low
    high = metric.high if metric.high is not None else scale.high
    interval = f"{low:.3f} to {high:.3f}"
    return Row(
        name=one.name,
        words=one.words,
        counts=_counts(one),
        state=_state(one),
        verdict=_VERDICTS[_state(one)],
        low=scale(low),
        high=scale(high),
        estimate=None if metric.estimate is None else scale(metric.estimate),
        limit=scale(one.limit),
        both_ways=one.both_ways,
        title=f"{metric.unit}: {interval}, limit {one.limit:g}; alarm if it lies beyond",
    )


def _scale(one: Guardrail) -> Scale:
    """The metric's scale, with its limit in the middle."""
    if not one.both_ways:
        return Scale(0.0, 2 * one.limit, LEFT, WIDTH - RIGHT)
    ends = [v for v in (one.metric.low, one.metric.high, one.metric.estimate) if v is not None]
    reach = max([_REACH, *(abs(value - one.limit) * 1.15 for value in ends)])
    return Scale(one.limit - reach, one.limit + reach, LEFT, WIDTH - RIGHT)


def _state(one: Guardrail) -> str:
    if one.metric.alarmed:
        return "alarm"
    if not one.decides:
        return "reported"
    if one.silent:
        return "silent"
    return "fine" if one.metric.enough else "early"


def _counts(one: Guardrail) -> str:
    ours, theirs = one.metric.challenger, one.metric.control
    if ours.bad is not None:
        return f"{ours.bad:,} of {ours.of:,} beside {theirs.bad:,} of {theirs.of:,}"
    if ours.mean is not None and theirs.mean is not None:
        return f"{ours.mean:.3f} beside {theirs.mean:.3f}"
    return f"{ours.of:,} beside {theirs.of:,}"


def courses(rollout: Rollout) -> list[Course]:
    """The course of every guardrail that saw an event, over the challenger's requests."""
    last = rollout.last
    if last is None or len(rollout.analyses) < 2:
        return []
    return [
        _course(rollout.analyses, one)
        for one in last.guardrails
        if one.decides and not one.silent and not one.both_ways
    ]


def _course(analyses: list[Analysis], last: Guardrail) -> Course:
    seen = [
        (analysis.requests[0], found)
        for analysis in analyses
        if (found := next((g for g in analysis.guardrails if g.name == last.name), None))
    ]
    x = Scale(0, max(count for count, _ in seen), _MARGIN, SMALL_WIDTH - _MARGIN)
    y = Scale(0.0, 2 * last.limit, SMALL_HEIGHT - _MARGIN, _MARGIN)
    upper = [(x(count), y(g.metric.high or 1.0)) for count, g in seen]
    lower = [(x(count), y(g.metric.low or 0.0)) for count, g in seen]
    known = [(x(n), y(g.metric.estimate)) for n, g in seen if g.metric.estimate is not None]
    return Course(
        words=last.words,
        band=area(upper, lower),
        line=line(known),
        limit=y(last.limit),
        ends=("0", f"{seen[-1][0]:,} requests"),
        alarmed=last.metric.alarmed,
        title=f"{last.words}: interval {last.metric.low} to {last.metric.high}",
    )


def steps(rollout: Rollout) -> list[StepState]:
    """The steps of a canary's plan, those that are over, the present one, and those to come."""
    if isinstance(rollout.plan, Missing) or rollout.kind != "canary":
        return []
    plan = rollout.plan.canary.steps
    last = rollout.last
    at = last.decision.at if last else None
    reached = at.step if at else 0
    promoted = rollout.ending in ("promoted", "baked")
    found = []
    for number, step in enumerate(plan):
        seen = [a for a in rollout.analyses if a.decision.at and a.decision.at.step == number]
        here = seen[-1] if seen else None
        if number < reached or promoted:
            state = "over"
        elif number > reached:
            state = "to come" if rollout.open else "not reached"
        else:
            state = "open" if rollout.open else "stopped"
        requests = min((g.metric.seen for g in here.guardrails[:1]), default=0) if here else 0
        days = here.decision.at.days_at_step if here and here.decision.at else 0.0
        wants = (step.min_requests, step.days)
        found.append(StepState(step.set_weight, state, (requests, wants[0]), (days, wants[1])))
    return found
