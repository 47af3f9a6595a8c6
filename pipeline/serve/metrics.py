"""The door to Prometheus: what a server counts, in a registry of its own.

Importing Feast tells the client library to keep its numbers in files that processes share. Here a
process counts for itself, whatever was imported before: the proxy knows which process is which.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    generate_latest,
    start_http_server,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from pipeline.features.definitions import VIEWS
from pipeline.features.transform import NEVER

values.ValueClass = values.MutexValue

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
RISKS = tuple(round(0.05 * step, 2) for step in range(1, 21))
MINUTES = (15, 30, 60, 120, 180, 360, 720, 1440, 10_080)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """What one server counts."""

    def __init__(self) -> None:
        """Everything from zero."""
        self.registry = own = CollectorRegistry()
        self._requests = Counter(
            "flight_requests", "Requests by route and status", ["route", "code"], registry=own
        )
        self._seconds = Histogram(
            "flight_seconds", "Seconds a request", ["route"], buckets=SECONDS, registry=own
        )
        self._features = Counter(
            "flight_features", "Rows by view and flag", ["view", "flag"], registry=own
        )
        self._age = Histogram(
            "flight_features_age_minutes",
            "Minutes between T and when the newest event behind a view's values was known",
            ["view"],
            buckets=MINUTES,
            registry=own,
        )
        self._risk = Histogram("flight_risk", "Risks answered", buckets=RISKS, registry=own)
        self._invalid = Counter(
            "flight_invalid_predictions", "Requests for which the model gave none", registry=own
        )
        self._aged = {view: self._age.labels(view) for view in VIEWS}

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def risks(self, risk: np.ndarray) -> None:
        """Count the risks of an answer."""
        for one in risk.tolist():
            self._risk.observe(one)

    def features(
        self, predict_at: list[int], known_at: np.ndarray, flags: list[dict[str, str]]
    ) -> None:
        """Count how old each view's values were at T, and which were missing or stale."""
        for at, known, lacking in zip(predict_at, known_at.tolist(), flags, strict=True):
            for view, minute in zip(VIEWS, known, strict=True):
                if minute != NEVER:
                    self._aged[view].observe(at - minute)
            for view, flag in lacking.items():
                self._features.labels(view, flag).inc()

    def invalid(self) -> None:
        """Count an answer that was no probability."""
        self._invalid.inc()

    def shown(self, name: str, about: str, number: Callable[[], float]) -> None:
        """Show a number that somebody else keeps, as it is when it is asked for."""
        Gauge(name, about, registry=self.registry).set_function(number)

    def model(self, **labels: str) -> None:
        """Say which model answers."""
        Info("flight_model", "The release that answers", registry=self.registry).info(labels)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return bytes(generate_latest(self.registry))

    def value(self, name: str, **labels: str) -> Any:
        """One number, by the name that Prometheus shows; None if nothing was counted."""
        return self.registry.get_sample_value(name, labels)


class Sample(NamedTuple):
    """One number as Prometheus is shown it."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str) -> list[Sample]:
    """Every number of what a server, a proxy or a job shows to Prometheus, by its name there.

    The client's parser gives every counter the ending `_total`, which Envoy's counters do not have.
    """
    bare = set(re.findall(r"^# TYPE (\S+?)(?<!_total) counter", text, re.MULTILINE))
    return [
        Sample(family.name if family.name in bare else s.name, s.labels, s.value)
        for family in text_string_to_metric_families(text)
        for s in family.samples
    ]


class Shown(NamedTuple):
    """A number that is read when Prometheus asks for it, and what it means."""

    name: str
    about: str
    value: float
    labels: Mapping[str, str] = MappingProxyType({})


class _Asked:
    """Asks for the numbers anew whenever they are read."""

    def __init__(self, read: Callable[[], Iterable[Shown]]):
        self._read = read

    def describe(self) -> list[Any]:
        """Nothing is said before it is asked for."""
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        """The numbers as they are now."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, about, value, labels in self._read():
            made = GaugeMetricFamily(name, about, labels=list(labels))
            families.setdefault(name, made).add_metric(list(labels.values()), value)
        return list(families.values())


def registry_of(read: Callable[[], Iterable[Shown]]) -> CollectorRegistry:
    """A registry of what is read whenever it is asked for."""
    registry = CollectorRegistry()
    registry.register(_Asked(read))
    return registry


def shown_text(read: Callable[[], Iterable[Shown]]) -> str:
    """What is read, as Prometheus reads it."""
    return generate_latest(registry_of(read)).decode()


@contextlib.contextmanager
def exposed(read: Callable[[], Iterable[Shown]], port: int, host: str) -> Iterator[int]:
    """Show what is read at a port (0 for any) of a host; the port. Ended with the block."""
    server, thread = start_http_server(port, host, registry_of(read))
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
