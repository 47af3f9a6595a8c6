"""A rollout's guardrails: each interval against its limit, worse to the right; and over time.

Bad events share one axis, which goes from all of the baseline's to all of the challenger's. Means,
sizes and circuit breakers have other units, so they are a table beside it.
"""

from dataclasses import dataclass

from cockpit.facts.rollout_words import breaker
from cockpit.facts.rollouts import Analysis, Guardrail, Rollout
from cockpit.pictures.scale import Scale, area, line

WIDTH, LEFT, RIGHT, ROW = 640, 8, 8, 26
COURSE_LEFT, _COURSE_RIGHT, _COURSE_TOP, _COURSE_END = 64, 412, 8, 126
"""The picture of a guardrail over time; its left margin holds the words of the axis."""
_VERDICTS = {
    "alarm": "ALARM",
    "fine": "no alarm",
    "early": "no alarm: too few to tell",
    "tripped": "CIRCUIT BREAKER",
    "silent": "none in either arm",
}
_ALONE = {
    "sample_ratio": {"fine": "no alarm: an even split", "alarm": "ALARM: not an even split"},
    "score": {"reported": "no guardrail: a new model may predict other risks"},
}
"""Verdicts on the metrics that count no bad events, where their words are others."""
_LOSSES = {
    "worse": ("alarm", "SHOWN: stopped"),
    "passes": ("fine", "shown: passes"),
    "better": ("fine", "shown"),
}
"""State and verdict of a shadow's tests on labels, once one has shown what it asks."""
_ORDER = (*_LOSSES, *_ALONE)


@dataclass(frozen=True)
class Row:
    """One kind of bad event: words and both arms' counts beside its interval.

    `state` is "tripped" (its circuit breaker stopped the rollout), "alarm", "fine", "early" (too
    few events or requests to tell) or "silent" (no event in either arm).
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
    title: str


@dataclass(frozen=True)
class Figure:
    """A number of each arm that counts no bad events, or a tripped breaker, with its verdict."""

    words: str
    challenger: str
    baseline: str
    verdict: str
    state: str


@dataclass(frozen=True)
class Course:
    """One guardrail over the analyses: its interval narrows, and its limit stands."""

    words: str
    band: str
    line: str
    points: list[tuple[float, float]]
    limit: float
    level: str
    ends: tuple[str, str]
    alarmed: bool
    title: str


def rows(analysis: Analysis | None) -> list[Row]:
    """The guardrails on bad events: those with an alarm first, those without an event last."""
    if analysis is None:
        return []
    tripped = {one.name for one in analysis.decision.breakers if one.tripped}
    found = [
        _row(one, f"{one.name} in a row" in tripped) for one in analysis.guardrails if one.is_rate
    ]
    order = ("tripped", "alarm", "fine", "early", "silent")
    return sorted(found, key=lambda row: order.index(row.state))


def _row(one: Guardrail, tripped: bool) -> Row:
    metric, scale = one.metric, Scale(0.0, 2 * one.limit, LEFT, WIDTH - RIGHT)
    low = metric.low if metric.low is not None else scale.low
    high = metric.high if metric.high is not None else scale.high
    interval = f"{low:.3f} to {high:.3f}"
    state = "tripped" if tripped else _state(one)
    ours, theirs = metric.challenger, metric.control
    return Row(
        name=one.name,
        words=one.words,
        counts=f"{ours.bad:,} of {ours.of:,} beside {theirs.bad:,} of {theirs.of:,}",
        state=state,
        verdict=_VERDICTS[state],
        low=scale(low),
        high=scale(high),
        estimate=None if metric.estimate is None else scale(metric.estimate),
        limit=scale(one.limit),
        title=f"challenger's share of the events: {interval}, limit {one.limit:.3f}",
    )


def _state(one: Guardrail) -> str:
    if one.metric.alarmed:
        return "alarm"
    if not one.decides:
        return "reported"
    if one.silent:
        return "silent"
    few = not one.metric.enough or (one.is_rate and one.too_wide)
    return "early" if few else "fine"


def others(analysis: Analysis | None) -> list[Figure]:
    """Tripped circuit breakers, then the metrics that count no bad events."""
    if analysis is None:
        return []
    found = [
        Figure(
            f"circuit breaker: {breaker(one.name, one.found, one.allowed)}",
            f"{one.found:,}",
            "",
            "STOPPED IT",
            "alarm",
        )
        for one in analysis.decision.breakers
        if one.tripped
    ]
    alone = [one for one in analysis.guardrails if not one.is_rate]
    return found + [_figure(one) for one in sorted(alone, key=lambda one: _ORDER.index(one.name))]


def _figure(one: Guardrail) -> Figure:
    if one.name in _LOSSES:
        return _loss_figure(one)
    ours, theirs = one.metric.challenger, one.metric.control
    shown = [f"{arm.of:,}" if arm.mean is None else f"{arm.mean:.3f}" for arm in (ours, theirs)]
    state = _state(one)
    verdict = _ALONE.get(one.name, {}).get(state) or _VERDICTS.get(state, state)
    return Figure(one.words, shown[0], shown[1], verdict, state)


def _loss_figure(one: Guardrail) -> Figure:
    found = one.metric
    interval = f"{found.estimate:+.4f} nats, {found.low:+.4f} to {found.high:+.4f}"
    state, verdict = _LOSSES[one.name] if found.alarmed else ("early", "not shown")
    return Figure(one.words, interval, f"{found.seen} days", verdict, state)


def courses(rollout: Rollout) -> list[Course]:
    """The course of every guardrail that saw events, over the requests of both arms."""
    if rollout.last is None:
        return []
    found = [
        _course(rollout.analyses, one)
        for one in rollout.last.guardrails
        if one.decides and one.is_rate and not one.silent
    ]
    return [one for one in found if one is not None]


def _course(analyses: list[Analysis], last: Guardrail) -> Course | None:
    """A guardrail from its first event on; None if fewer than two analyses saw any."""
    seen = [
        (sum(analysis.requests), found)
        for analysis in analyses
        for found in analysis.guardrails
        if found.name == last.name and found.metric.estimate is not None
    ]
    if len(seen) < 2:
        return None
    x = Scale(seen[0][0], seen[-1][0], COURSE_LEFT, _COURSE_RIGHT)
    y = Scale(0.0, 2 * last.limit, _COURSE_END, _COURSE_TOP)
    high = [(x(n), y(1.0 if g.metric.high is None else g.metric.high)) for n, g in seen]
    low = [(x(n), y(0.0 if g.metric.low is None else g.metric.low)) for n, g in seen]
    points = [(x(n), y(g.metric.estimate or 0.0)) for n, g in seen]
    return Course(
        words=last.words,
        band=area(high, low),
        line=line(points),
        points=points if len(points) <= 12 else points[-1:],
        limit=y(last.limit),
        level=f"{1 - last.metric.alpha:.1%}",
        ends=(f"{seen[0][0]:,}", f"{seen[-1][0]:,} requests of both arms"),
        alarmed=last.metric.alarmed,
        title=f"{last.words}: interval {last.metric.low} to {last.metric.high}",
    )
