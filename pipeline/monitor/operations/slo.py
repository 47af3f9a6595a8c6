"""Service-level indicators from two looks at the metrics, and how fast the error budget burns.

What Prometheus computes all the time, here as plain functions of what was read twice: the same
shares by the same metrics, so that a table on a screen and an alert cannot mean different things.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.features.definitions import ALWAYS_THERE
from pipeline.monitor.operations.alerts import ANSWERS, FAILED, SECONDS, USERS
from pipeline.monitor.operations.rules import selectors
from pipeline.shared.config.monitor import Objectives
from pipeline.shared.config.serve import ServeConfig

if TYPE_CHECKING:
    from pipeline.shared.prometheus import Sample


@dataclass(frozen=True)
class Indicator:
    """A number of the service beside what it should be; `met` is None where it promises nothing."""

    name: str
    value: float | None
    unit: str
    limit: float | None = None
    met: bool | None = None


class Looked:
    """Two looks at the same metrics, so many seconds apart."""

    def __init__(self, before: "Iterable[Sample]", after: "Iterable[Sample]", seconds: float):
        """`after` is the later one; what it alone has began in between."""
        self._before = {_key(sample): sample.value for sample in before}
        self._after, self.seconds = list(after), seconds

    def now(self, expr: str) -> float | None:
        """The largest of the numbers that a selector reads; None where there are none."""
        return max((sample.value for sample in self._read(expr)), default=None)

    def grown(self, expr: str) -> float:
        """By how much counters have grown in all; one that fell began anew at zero."""
        grown = 0.0
        for sample in self._read(expr):
            before = self._before.get(_key(sample), 0.0)
            grown += sample.value - before if sample.value >= before else sample.value
        return grown

    def share(self, some: str, of: str) -> float | None:
        """The share of some among all; None where there was nothing."""
        every = self.grown(of)
        return self.grown(some) / every if every else None

    def _read(self, expr: str) -> "list[Sample]":
        (selector,) = selectors(expr)
        return [sample for sample in self._after if selector.selects(sample)]


def _key(sample: "Sample") -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def burn_rate(failed: float, slo: Objectives) -> float:
    """How many times faster than allowed the budget is spent: 1 spends it exactly in its time."""
    return failed / (1 - slo.availability)


def indicators(looked: Looked, slo: Objectives, serve: ServeConfig) -> list[Indicator]:
    """Every indicator, between two looks: what users got, what servers do, what goes in."""
    return [*_of_users(looked, slo), *_of_servers(looked, slo, serve), *_of_inputs(looked, slo)]


def _of_users(looked: Looked, slo: Objectives) -> list[Indicator]:
    failed = looked.share(FAILED, ANSWERS)
    slow_bound = f'{SECONDS}_bucket{{{USERS},le="{slo.latency_ms}"}}'
    fast = looked.share(slow_bound, f"{SECONDS}_count{{{USERS}}}")
    pace = None if failed is None else burn_rate(failed, slo)
    return [
        Indicator("throughput", looked.grown(ANSWERS) / looked.seconds, "requests/s"),
        _most("failed", failed, "share", 1 - slo.availability),
        _most("budget burns", pace, "times", 1),
        _least(f"within {slo.latency_ms} ms", fast, "share", slo.latency_share),
    ]


def _of_servers(looked: Looked, slo: Objectives, serve: ServeConfig) -> list[Indicator]:
    waiting, queued = looked.now("flight_waiting"), looked.now("flight_log_waiting")
    most = slo.max_waiting_share
    invalid = looked.grown("flight_invalid_predictions_total")
    return [
        _most("waiting for the store", waiting, "requests", most * serve.max_waiting),
        _most("waiting for the log", queued, "answers", most * serve.log_queue),
        _most("lost by the log", looked.grown("flight_log_dropped"), "answers", 0),
        _most("no probability", invalid, "requests", 0),
    ]


def _of_inputs(looked: Looked, slo: Objectives) -> list[Indicator]:
    """The worst view counts, as in the alerts: an average would hide it."""
    rows = "flight_risk_count"
    missing = [_lacking(looked, "missing", view, rows) for view in sorted(ALWAYS_THERE)]
    stale = [_lacking(looked, "stale", view, rows) for view in sorted(ALWAYS_THERE)]
    age = looked.now("flight_monitor_model_age_days")
    return [
        _most("worst view missing", _worst(missing), "share", slo.max_missing_share),
        _most("worst view stale", _worst(stale), "share", slo.max_stale_share),
        _most("model age", age, "days", slo.max_model_age_days),
    ]


def _lacking(looked: Looked, flag: str, view: str, rows: str) -> float | None:
    return looked.share(f'flight_features_total{{flag="{flag}",view="{view}"}}', rows)


def _worst(shares: list[float | None]) -> float | None:
    return max((share for share in shares if share is not None), default=None)


def _most(name: str, value: float | None, unit: str, limit: float) -> Indicator:
    return Indicator(name, value, unit, limit, None if value is None else value <= limit)


def _least(name: str, value: float | None, unit: str, limit: float) -> Indicator:
    return Indicator(name, value, unit, limit, None if value is None else value >= limit)


def table(found: Iterable[Indicator]) -> str:
    """The indicators as lines: the number, what it should be, whether it is."""
    words = {True: "kept", False: "BROKEN", None: ""}
    return "\n".join(_line(one, words[one.met]) for one in found)


def _line(one: Indicator, word: str) -> str:
    limit = "" if one.limit is None else f"limit {_number(one.limit)}"
    return f"  {one.name:<22} {_number(one.value):>9} {one.unit:<10} {limit:<14} {word}".rstrip()


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4g}"
