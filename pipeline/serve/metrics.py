"""The door to Prometheus: what a server counts, in a registry of its own.

Counting is a part of every answer, so it is done in plain numbers, by the event loop alone and so
without locks; the client library's own objects are made of them when somebody asks.

Importing Feast tells that library to keep its numbers in files that processes share. Here a
process counts for itself, whatever was imported before: the proxy knows which process is which.
"""

import contextlib
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Info,
    generate_latest,
    start_http_server,
)
from prometheus_client import values as kept
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from pipeline.features.definitions import VIEWS
from pipeline.features.transform import NEVER

kept.ValueClass = kept.MutexValue

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
RISKS = tuple(round(0.05 * step, 2) for step in range(1, 21))
MINUTES = (15, 30, 60, 120, 180, 360, 720, 1440, 10_080)
CONTENT_TYPE = CONTENT_TYPE_LATEST
_AT_ONCE = 256
"""So many arrays are put into their buckets together: for a few values NumPy takes as long."""


class Buckets:
    """How many values were at most each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]):
        """The last bucket, above all bounds, takes the rest."""
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0
        self._arrays: list[np.ndarray] = []

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_all(self, values: np.ndarray) -> None:
        """Count an array's values; NaN is none. It must not be changed afterwards."""
        self._arrays.append(values)
        if len(self._arrays) >= _AT_ONCE:
            self._put()

    def _put(self) -> None:
        if self._arrays:
            values = np.concatenate(self._arrays).astype("float64")
            self._arrays.clear()
            values = values[~np.isnan(values)]
            found = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
            self._counts = [a + b for a, b in zip(self._counts, found.tolist(), strict=True)]
            self._sum += float(values.sum())

    def into(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Put it into what Prometheus reads, where each bucket holds those below it too."""
        self._put()
        names = map(floatToGoString, (*self._bounds, float("inf")))
        family.add_metric(labels, [*zip(names, accumulate(self._counts), strict=True)], self._sum)


class Metrics:
    """What one server counts."""

    def __init__(self) -> None:
        """Everything from zero."""
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: defaultdict[str, Buckets] = defaultdict(lambda: Buckets(SECONDS))
        self._features: Counter[tuple[str, str]] = Counter()
        self._age = {view: Buckets(MINUTES) for view in VIEWS}
        self._risk, self._invalid = Buckets(RISKS), 0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests[route, code] += 1
        self._seconds[route].add(seconds)

    def risks(self, risk: np.ndarray) -> None:
        """Count the risks of an answer."""
        self._risk.add_all(risk)

    def features(
        self, predict_at: list[int], known_at: np.ndarray, flags: list[dict[str, str]]
    ) -> None:
        """Count how old each view's values were at T, and which were missing or stale."""
        ages = np.where(known_at == NEVER, np.nan, np.array(predict_at)[:, None] - known_at)
        for buckets, column in zip(self._age.values(), ages.T, strict=True):
            buckets.add_all(column)
        for lacking in flags:
            for found in lacking.items():
                self._features[found] += 1

    def invalid(self) -> None:
        """Count an answer that was no probability."""
        self._invalid += 1

    def collect(self) -> Iterator[Metric]:
        """What was counted, as the registry asks for it."""
        requests = [((route, str(code)), n) for (route, code), n in self._requests.items()]
        yield _counter("requests", "Requests by route and status", ["route", "code"], requests)
        yield _histogram("seconds", "Seconds a request", "route", self._seconds)
        yield _counter(
            "features", "Rows by view and flag", ["view", "flag"], self._features.items()
        )
        about = "Minutes between T and when the newest event behind a view's values was known"
        yield _histogram("features_age_minutes", about, "view", self._age)
        yield _histogram("risk", "Risks answered", "", {"": self._risk})
        told = "Requests for which the model gave none"
        yield _counter("invalid_predictions", told, [], [((), self._invalid)])

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


def _counter(
    name: str, about: str, labels: list[str], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"flight_{name}", about, labels=labels)
    for values, count in counts:
        family.add_metric(values, float(count))
    return family


def _histogram(
    name: str, about: str, label: str, found: Mapping[str, Buckets]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"flight_{name}", about, labels=[label] if label else [])
    for value, buckets in found.items():
        buckets.into(family, [value] if label else [])
    return family


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
