"""Service-level indicators from two scrapes of the metrics, and how fast the error budget burns.

What Prometheus computes all the time, here as plain functions of what was read twice: the same
shares by the same metrics, so that a table on a screen and an alert cannot mean different things.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.features.definitions import ALWAYS_THERE
from pipeline.shared.config.monitor import Objectives
from pipeline.shared.config.serve import ServeConfig

if TYPE_CHECKING:
    from pipeline.shared.prometheus import Sample


@dataclass(frozen=True)
class Metric:
    """A metric by its name, and by labels that its samples have to have."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def selects(self, sample: "Sample") -> bool:
        """Whether a sample is one of it."""
        return sample.name == self.name and self.labels.items() <= sample.labels.items()


USERS = {"envoy_http_conn_manager_prefix": "users"}
"""The proxy's door for users; it has another for its own administration."""
ANSWERS = Metric("envoy_http_downstream_rq_xx", USERS)
FAILED = Metric("envoy_http_downstream_rq_xx", USERS | {"envoy_response_code_class": "5"})
"""What a caller did wrong (4xx) is no failure of ours."""
_RESPONSE_TIME = "envoy_http_downstream_rq_time"
"""In milliseconds, whatever its suffix."""


@dataclass(frozen=True)
class Indicator:
    """A number of the service beside what it should be; `met` is None where it promises nothing."""

    name: str
    value: float | None
    unit: str
    limit: float | None = None
    met: bool | None = None


class Scrapes:
    """Two scrapes of the same metrics, so many seconds apart."""

    def __init__(self, before: "Iterable[Sample]", after: "Iterable[Sample]", seconds: float):
        """`after` is the later one; what it alone has began in between."""
        self._before = {_key(sample): sample.value for sample in before}
        self._after, self.seconds = list(after), seconds

    def now(self, metric: Metric) -> float | None:
        """The largest of a metric's numbers; None where there are none."""
        return max((sample.value for sample in self._read(metric)), default=None)

    def grown(self, metric: Metric) -> float:
        """By how much counters have grown in all; one that fell began anew at zero."""
        grown = 0.0
        for sample in self._read(metric):
            before = self._before.get(_key(sample), 0.0)
            grown += sample.value - before if sample.value >= before else sample.value
        return grown

    def share(self, some: Metric, of: Metric) -> float | None:
        """The share of some among all; None where there was nothing."""
        every = self.grown(of)
        return self.grown(some) / every if every else None

    def _read(self, metric: Metric) -> "list[Sample]":
        return [sample for sample in self._after if metric.selects(sample)]


def _key(sample: "Sample") -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def burn_rate(failed: float, slo: Objectives) -> float:
    """How many times faster than allowed the budget is spent: 1 spends it exactly in its time."""
    return failed / (1 - slo.availability)


def indicators(scrapes: Scrapes, slo: Objectives, serve: ServeConfig) -> list[Indicator]:
    """Every indicator, between two scrapes: what users got, what servers do, what goes in."""
    return [*_of_users(scrapes, slo), *_of_servers(scrapes, slo, serve), *_of_inputs(scrapes, slo)]


def _of_users(scrapes: Scrapes, slo: Objectives) -> list[Indicator]:
    failed = scrapes.share(FAILED, ANSWERS)
    fast = scrapes.share(
        Metric(f"{_RESPONSE_TIME}_bucket", USERS | {"le": str(slo.latency_ms)}),
        Metric(f"{_RESPONSE_TIME}_count", USERS),
    )
    pace = None if failed is None else burn_rate(failed, slo)
    return [
        Indicator("throughput", scrapes.grown(ANSWERS) / scrapes.seconds, "requests/s"),
        _most("failed", failed, "share", 1 - slo.availability),
        _most("budget burns", pace, "times", 1),
        _least(f"within {slo.latency_ms} ms", fast, "share", slo.latency_share),
    ]


def _of_servers(scrapes: Scrapes, slo: Objectives, serve: ServeConfig) -> list[Indicator]:
    waiting = scrapes.now(Metric("serve_waiting"))
    queued = scrapes.now(Metric("serve_log_waiting"))
    most = slo.max_waiting_share
    lost = scrapes.grown(Metric("serve_log_dropped"))
    invalid = scrapes.grown(Metric("serve_invalid_predictions_total"))
    return [
        _most("waiting for the store", waiting, "requests", most * serve.max_waiting),
        _most("waiting for the log", queued, "answers", most * serve.log_queue),
        _most("lost by the log", lost, "answers", 0),
        _most("no probability", invalid, "requests", 0),
    ]


def _of_inputs(scrapes: Scrapes, slo: Objectives) -> list[Indicator]:
    """The worst view counts, as in the alerts: an average would hide it."""
    missing, stale = (_worst(scrapes, flag) for flag in ("missing", "stale"))
    age = scrapes.now(Metric("monitor_model_age_days"))
    return [
        _most("worst view missing", missing, "share", slo.max_missing_share),
        _most("worst view stale", stale, "share", slo.max_stale_share),
        _most("model age", age, "days", slo.max_model_age_days),
    ]


def _worst(scrapes: Scrapes, flag: str) -> float | None:
    lacking = (Metric("serve_features_total", {"flag": flag, "view": v}) for v in ALWAYS_THERE)
    shares = [scrapes.share(one, Metric("serve_risk_count")) for one in lacking]
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
