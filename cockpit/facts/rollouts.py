"""Rollouts as they were seen: weights, requests an arm, each guardrail's interval and its limit."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cockpit.facts.releases import Releases, is_open, percent
from cockpit.reading import Missing, read_config, read_json
from pipeline.records import analyses
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.rollout.analysis.decision import Decision, MetricResult
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.contracts import ROLLOUT

IN_FULL = 6
"""Rollouts that are read with every analysis; of older ones the ledger's entries are shown."""
HALF = 0.5
"""Of the events of two equal arms, the challenger's share by chance."""
METRICS = {
    "errors": "requests without a prediction",
    "slow": "slow responses",
    "missing": "responses without a feature view",
    "stale": "responses with a stale feature view",
    "fallback": "responses of another release",
    "score": "mean risk",
    "sample_ratio": "requests of each arm",
    "worse": "log loss less the champion's: worse by more than the margin",
    "passes": "log loss less the champion's: within the margin",
    "better": "log loss less the champion's: better",
}
"""Metrics of the plan in words."""
_TOO_WIDE = 0.5
"""The part of its axis that an interval covers at least if its events are too few to tell."""


@dataclass(frozen=True)
class Guardrail:
    """One metric at an analysis: both arms, the estimate with its interval, and its limit.

    For a rate the estimate is the challenger's share of the bad events: `limit` is its share by
    chance, above it is worse, and an interval wholly above it is the alarm. `both_ways` metrics
    have a limit that the interval may leave on neither side.
    """

    metric: MetricResult
    limit: float

    @property
    def name(self) -> str:
        """The metric's name in the plan."""
        return self.metric.name

    @property
    def words(self) -> str:
        """The metric in words."""
        return METRICS.get(self.name, self.name)

    @property
    def both_ways(self) -> bool:
        """Whether a deviation to either side counts."""
        return self.metric.direction == "both ways"

    @property
    def decides(self) -> bool:
        """Whether it can stop the rollout, or is reported only."""
        return self.metric.alpha > 0

    @property
    def silent(self) -> bool:
        """Whether there was no event at all, in either arm."""
        return self.metric.events == (0, 0)

    @property
    def is_rate(self) -> bool:
        """Whether it counts bad events; the other metrics are means, sizes and losses."""
        return self.metric.challenger.bad is not None

    @property
    def too_wide(self) -> bool:
        """Whether the interval of a rate still holds the limit and half of all shares."""
        low = 0.0 if self.metric.low is None else self.metric.low
        high = 1.0 if self.metric.high is None else self.metric.high
        return low <= self.limit <= high and high - low >= _TOO_WIDE


@dataclass(frozen=True)
class Analysis:
    """An interim analysis: instant, the challenger's weight in percent, and what it said."""

    at: datetime
    weight: float
    decision: Decision
    guardrails: list[Guardrail]

    @property
    def requests(self) -> tuple[int, int]:
        """Requests of the challenger and of the baseline so far."""
        found = next((g.metric for g in self.guardrails if g.name == "errors"), None)
        return (found.challenger.of, found.control.of) if found else (0, 0)

    @property
    def alarms(self) -> list[str]:
        """Guardrails with an alarm and circuit breakers that tripped, in words."""
        tripped = [one.name for one in self.decision.breakers if one.tripped]
        return tripped + [one.words for one in self.guardrails if one.metric.alarmed]


@dataclass(frozen=True)
class Rollout:
    """A rollout with its transitions and its analyses, oldest first."""

    name: str
    champion: Side
    challenger: Side
    entries: list[Entry]
    plan: RolloutConfig | Missing
    analyses: list[Analysis] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """shadow, canary or blue-green."""
        return self.name.partition("-")[2]

    @property
    def open(self) -> bool:
        """Whether a decision is still due."""
        return is_open(self.entries)

    @property
    def ending(self) -> str:
        """The newest event."""
        return self.entries[-1].move.event

    @property
    def alarms(self) -> list[str]:
        """The alarms of the newest analysis."""
        return self.last.alarms if self.last else []

    @property
    def last(self) -> Analysis | None:
        """The newest analysis."""
        return self.analyses[-1] if self.analyses else None

    @property
    def reasons(self) -> list[str]:
        """The reasons of the newest decision that has any."""
        decisions = [entry.move.decision or {} for entry in reversed(self.entries)]
        found = [one["reasons"] for one in decisions if one.get("reasons")]
        if self.open and self.last is not None:
            found.insert(0, self.last.decision.reasons)
        return list(found[0]) if found else []

    @property
    def requests(self) -> tuple[int, int]:
        """Requests of the challenger and of the baseline by the newest analysis."""
        return self.last.requests if self.last else (0, 0)

    @property
    def look_every(self) -> int:
        """Requests of both arms until the next analysis at the latest; 0 if nobody knows."""
        return 0 if isinstance(self.plan, Missing) else self.plan.canary.look_every

    @property
    def serving(self) -> dict[str, Any]:
        """A shadow's comparison of its mirrored requests, if it was one."""
        decisions = [entry.move.decision or {} for entry in self.entries]
        return next((one["serving"] for one in decisions if "serving" in one), {})


def read(folder: Path, releases: Releases) -> list[Rollout]:
    """Read every rollout of the ledger, the newest first; analyses of the newest ones only."""
    mine = [
        (name, entries)
        for name, entries in reversed(releases.rollouts.items())
        if entries[0].move.challenger is not None and entries[0].move.event != "promoted by hand"
    ]
    return [
        _read(folder, name, entries, in_full=place < IN_FULL)
        for place, (name, entries) in enumerate(mine)
    ]


def _read(folder: Path, name: str, entries: list[Entry], in_full: bool) -> Rollout:
    first = entries[0].move
    assert first.challenger is not None, "a rollout has a challenger"
    if not in_full:
        over = Missing(f"the plan of {name}", "it is long over", "make rollout")
        return Rollout(name, first.champion, first.challenger, entries, over)
    plan = _plan(folder, name)
    seen = analyses.read(folder / ROLLOUT / name)
    lines = [(one.at, one.shares, one.decision) for one in seen] or [
        (
            before.move.at,
            {str(a): s for a, s in before.move.shares.items()},
            entry.move.decision or {},
        )
        for before, entry in pairwise(entries)
    ]
    found = [_analysis(at, shares, decision, plan) for at, shares, decision in lines]
    whole = [one for one in found if one is not None]
    return Rollout(name, first.champion, first.challenger, entries, plan, whole)


def _plan(folder: Path, name: str) -> RolloutConfig | Missing:
    """The frozen plan beside the evidence; before the first decision, the config's."""
    path = folder / ROLLOUT / name / "plan.json"
    plan = read_json(RolloutConfig, path, "the rollout's plan", "make rollout")
    return read_config(folder, RolloutConfig) if isinstance(plan, Missing) else plan


def _analysis(
    at: datetime, shares: dict[Any, int], decision: dict[str, Any], plan: RolloutConfig | Missing
) -> Analysis | None:
    with suppress(ValidationError):
        read = Decision.model_validate(decision)
        guardrails = [Guardrail(metric, limit_of(metric, plan)) for metric in read.metrics]
        return Analysis(at, percent(shares.get("challenger", 0)), read, guardrails)
    return None


def limit_of(metric: MetricResult, plan: RolloutConfig | Missing) -> float:
    """The value that the interval of a metric may not lie beyond."""
    if metric.name == "sample_ratio":
        return HALF
    rule = None if isinstance(plan, Missing) else plan.canary.guardrails
    if (of := getattr(rule, metric.name, None)) is not None:
        return float(of.max_ratio / (1 + of.max_ratio))
    return 0.0 if metric.direction == "both ways" else HALF
