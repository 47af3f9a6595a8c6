"""The progress display of a rollout: a live table on a terminal, a line a step elsewhere.

Every analysis is in the rollout's folder, by `pipeline.records.analyses`.
"""

import math
import sys
from dataclasses import dataclass, field
from typing import Any

from pipeline.features.windows import instant
from pipeline.rollout.analysis.decision import ArmSummary, Decision, MetricResult
from pipeline.rollout.traffic.routes import ARMS

_NEAR = 0.1
"""The share of an alarm's evidence from which on it is named."""


@dataclass
class Progress:
    """A live table on a terminal; elsewhere lines: one a step, for the analyses that held."""

    title: str
    _live: Any = None
    _held: list[str] = field(default_factory=list)
    """What each analysis since the last line has found."""

    def __enter__(self) -> "Progress":
        """Start the live table, on a terminal only."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop updating; the last table stays on the screen, and no analysis is left unsaid."""
        self._say_held()
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """Print a permanent line."""
        if self._live is not None:
            self._live.console.print(words, highlight=False)
        else:
            sys.stderr.write(f"{self.title}: {words}\n")

    def show(self, when: str, shares: dict[str, int], decision: Decision) -> None:
        """Show the weights, each metric with its numbers and interval, and the decision.

        Without a table, analyses that hold are counted until one decides otherwise.
        """
        if self._live is not None:
            self._live.update(_table(self.title, when, shares, decision), refresh=True)
        elif decision.outcome == "hold":
            self._held.append(summary_line(when, shares, decision, len(self._held) + 1))
        else:
            self._say_held()
            self.say(summary_line(when, shares, decision))

    def _say_held(self) -> None:
        """Print the newest of the analyses that held, with their number."""
        if self._held:
            self.say(self._held[-1])
            self._held.clear()


def summary_line(when: str, shares: dict[str, int], decision: Decision, analyses: int = 1) -> str:
    """Format analyses in one line, by the last: weights, requests, outcome, nearest alarm."""
    seen = max((metric.challenger.of for metric in decision.metrics), default=0)
    return (
        f"{when}  {weights(shares)}: {analyses} {'analysis' if analyses == 1 else 'analyses'}, "
        f"{seen:,} requests: {decision.outcome}; {nearest_alarm(decision)}"
    )


def nearest_alarm(decision: Decision) -> str:
    """The test or the breaker that lacks the least of its alarm, with its number and its limit."""
    tests = [(_nearness(m), f"{m.name} p {m.p:.2g} (limit {m.alpha:g})") for m in _tests(decision)]
    near, words = max(tests + _counts(decision), default=(0.0, ""))
    return f"nearest alarm {words}" if near >= _NEAR else "no alarm is near"


def _counts(decision: Decision) -> list[tuple[float, str]]:
    """Each breaker's nearness and its words.

    A run of bad requests counts only once it lasts; where all were bad, it is under way.
    """
    all_bad = {
        f"{metric.name} in a row": metric.challenger.of
        for metric in decision.metrics
        if metric.challenger.bad == metric.challenger.of
    }
    found = []
    for breaker in decision.breakers:
        count = max(breaker.found, all_bad.get(breaker.name, 0))
        words = f"{breaker.name}: {count:,}, allowed {breaker.allowed:,}"
        if count > breaker.allowed and not breaker.tripped:
            words = f"{breaker.name}: {count:,}, not for long enough yet"
        found.append((count / (breaker.allowed + 1), words))
    return found


def when(minute: int) -> str:
    """Format an instant of the traffic."""
    return f"{instant(minute):%m-%d %H:%M}Z"


def weights(shares: dict[str, int]) -> str:
    """Format shares in percent: "challenger 5 champion 90 control 5"."""
    return " ".join(f"{arm} {shares.get(arm, 0) / 100:g}" for arm in ARMS if shares.get(arm))


def _tests(decision: Decision) -> list[MetricResult]:
    """The metrics that can alarm."""
    return [metric for metric in decision.metrics if metric.p is not None and metric.alpha]


def _nearness(metric: MetricResult) -> float:
    """The evidence so far as a share of what the alarm takes, in logarithms of p: 0 at p = 1."""
    smallest = sys.float_info.min
    return math.log(max(metric.p or 0.0, smallest)) / math.log(metric.alpha)


def _table(title: str, when: str, shares: dict[str, int], decision: Decision) -> Any:
    from rich.table import Table

    table = Table(title=f"{title}  {when}  {weights(shares)}  -> {decision.outcome}")
    for column in ("metric", "challenger", "control", "estimate", "interval", "p", "limit"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric in decision.metrics:
        style = "bold red" if metric.alarmed else None
        table.add_row(*_row(metric), style=style)
    for breaker in decision.breakers:
        style = "bold red" if breaker.tripped else "dim"
        found = [breaker.name, str(breaker.found), "", "", "", "", str(breaker.allowed)]
        table.add_row(*found, style=style)
    return table


def _row(metric: MetricResult) -> list[str]:
    interval = "" if metric.low is None else f"{metric.low:.3f} .. {metric.high:.3f}"
    return [
        metric.name,
        _side(metric.challenger),
        _side(metric.control),
        "" if metric.estimate is None else f"{metric.estimate:.3f}",
        interval,
        "" if metric.p is None else f"{metric.p:.2g}",
        f"{metric.alpha:g}",
    ]


def _side(side: ArmSummary) -> str:
    if side.bad is not None:
        return f"{side.bad:,} of {side.of:,}"
    return f"{side.of:,}" if side.mean is None else f"{side.mean:.3f} of {side.of:,}"
