"""What a person sees while a rollout goes on: a line each look, a table where there is a screen."""

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
        """Begin to draw."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What was drawn last stays."""
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """A line that stays."""
        if self._live is not None:
            self._live.console.print(words, highlight=False)
        else:
            sys.stderr.write(f"{self.title}: {words}\n")

    def show(self, when: str, shares: dict[str, int], decision: Decision) -> None:
        """The weights, each metric with its numbers and interval, and what was decided."""
        if self._live is not None:
            self._live.update(_table(self.title, when, shares, decision), refresh=True)
        elif (line := summary_line(when, shares, decision)) not in self._said:
            self._said.append(line)
            self.say(line)


def summary_line(when: str, shares: dict[str, int], decision: Decision) -> str:
    """A look in a line: the weights, how many were seen, the nearest alarm, the outcome."""
    nearest = min((m for m in decision.metrics if m.p is not None and m.alpha), key=_distance)
    seen = nearest.challenger.of
    return (
        f"{when}  {weights(shares)}  {seen:>5,} requests of the challenger; nearest alarm "
        f"{nearest.name} p {nearest.p:.2g} (limit {nearest.alpha:g}) -> {decision.outcome}"
    )


def when(minute: int) -> str:
    """An instant of the traffic, for people."""
    return f"{instant(minute):%m-%d %H:%M}Z"


def weights(shares: dict[str, int]) -> str:
    """Shares in percent: "challenger 5 champion 90 control 5"."""
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
