"""The progress display of a rollout: a live table on a terminal, a line an analysis elsewhere."""

import sys
from dataclasses import dataclass, field
from typing import Any

from pipeline.features.windows import instant
from pipeline.rollout.analysis.decision import ArmSummary, Decision, Metric
from pipeline.rollout.traffic.routes import ARMS


@dataclass
class Progress:
    """A live table on a terminal, lines elsewhere."""

    title: str
    _live: Any = None
    _said: list[str] = field(default_factory=list)

    def __enter__(self) -> "Progress":
        """Start the live table, on a terminal only."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop updating; the last table stays on the screen."""
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """Print a permanent line."""
        if self._live is not None:
            self._live.console.print(words, highlight=False)
        else:
            sys.stderr.write(f"{self.title}: {words}\n")

    def show(self, when: str, shares: dict[str, int], decision: Decision) -> None:
        """Show the weights, each metric with its numbers and interval, and the decision."""
        if self._live is not None:
            self._live.update(_table(self.title, when, shares, decision), refresh=True)
        elif (line := summary_line(when, shares, decision)) not in self._said:
            self._said.append(line)
            self.say(line)


def summary_line(when: str, shares: dict[str, int], decision: Decision) -> str:
    """An analysis in one line: weights, number of requests, nearest alarm, outcome."""
    nearest = min((m for m in decision.metrics if m.p is not None and m.alpha), key=_distance)
    seen = nearest.challenger.of
    return (
        f"{when}  {weights(shares)}  {seen:>5,} requests of the challenger; nearest alarm "
        f"{nearest.name} p {nearest.p:.2g} (limit {nearest.alpha:g}) -> {decision.outcome}"
    )


def when(minute: int) -> str:
    """Format an instant of the traffic."""
    return f"{instant(minute):%m-%d %H:%M}Z"


def weights(shares: dict[str, int]) -> str:
    """Format shares in percent: "challenger 5 champion 90 control 5"."""
    return " ".join(f"{arm} {shares.get(arm, 0) / 100:g}" for arm in ARMS if shares.get(arm))


def _distance(metric: Metric) -> float:
    return (1.0 if metric.p is None else metric.p) / metric.alpha


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


def _row(metric: Metric) -> list[str]:
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
