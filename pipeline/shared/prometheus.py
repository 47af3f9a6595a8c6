"""The only module that imports prometheus-client: metrics, exporters, and parsed scrapes.

Importing Feast switches the library to files shared between processes. Here each process counts for
itself, whatever was imported before: the proxy tells the processes apart.
"""

import contextlib
import re
from bisect import bisect_left
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

__all__ = ["CONTENT_TYPE", "CollectorRegistry", "Gauge", "Info", "Metric", "generate_latest"]

kept.ValueClass = kept.MutexValue
CONTENT_TYPE = CONTENT_TYPE_LATEST
_PREFIX = "serve_"
"""The metrics of a server; those of the monitoring job are in pipeline/monitor/operations/."""
AT_ONCE = 256
"""Arrays counted in one batch: NumPy takes as long for a few values."""


class Buckets:
    """A histogram: counts of values by upper bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]):
        """`bounds` rise; one more bucket takes the values above the last."""
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0
        self._arrays: list[np.ndarray] = []

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_all(self, values: np.ndarray) -> None:
        """Count an array's values except NaN; the array must not be changed afterwards."""
        self._arrays.append(values)
        if len(self._arrays) >= AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._arrays:
            values = np.concatenate(self._arrays).astype("float64")
            self._arrays.clear()
            values = values[~np.isnan(values)]
            added = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
            self._counts = [a + b for a, b in zip(self._counts, added.tolist(), strict=True)]
            self._sum += float(values.sum())

    def into(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Add the histogram to a metric family, in Prometheus' cumulative buckets."""
        self._flush()
        names = map(floatToGoString, (*self._bounds, float("inf")))
        family.add_metric(labels, [*zip(names, accumulate(self._counts), strict=True)], self._sum)


def counter(
    name: str, about: str, labels: list[str], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{_PREFIX}{name}", about, labels=labels)
    for values, count in counts:
        family.add_metric(values, float(count))
    return family


def histogram(
    name: str, about: str, label: str, histograms: Mapping[str, Buckets]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"{_PREFIX}{name}", about, labels=[label] if label else [])
    for value, buckets in histograms.items():
        buckets.into(family, [value] if label else [])
    return family


class Sample(NamedTuple):
    """One sample of a scrape."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str) -> list[Sample]:
    """The samples in the text that a server, proxy or job exports, by their names there.

    The client's parser gives every counter the suffix `_total`, which Envoy's counters do not have.
    """
    bare = set(re.findall(r"^# TYPE (\S+?)(?<!_total) counter", text, re.MULTILINE))
    return [
        Sample(family.name if family.name in bare else s.name, s.labels, s.value)
        for family in text_string_to_metric_families(text)
        for s in family.samples
    ]


class GaugeValue(NamedTuple):
    """A number read at each scrape, and its description."""

    name: str
    about: str
    value: float
    labels: Mapping[str, str] = MappingProxyType({})


class _GaugeCollector:
    """Reads the numbers at each scrape."""

    def __init__(self, read: Callable[[], Iterable[GaugeValue]]):
        self._read = read

    def describe(self) -> list[Any]:
        """No metric is described in advance."""
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        """The current numbers as gauges."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, about, value, labels in self._read():
            made = GaugeMetricFamily(name, about, labels=list(labels))
            families.setdefault(name, made).add_metric(list(labels.values()), value)
        return list(families.values())


def registry_of(read: Callable[[], Iterable[GaugeValue]]) -> CollectorRegistry:
    """A registry of numbers that are read at each scrape."""
    registry = CollectorRegistry()
    registry.register(_GaugeCollector(read))
    return registry


@contextlib.contextmanager
def serve_metrics(read: Callable[[], Iterable[GaugeValue]], port: int, host: str) -> Iterator[int]:
    """Serve the numbers of `read` at a port (0 for any) until the block ends; yields the port."""
    server, thread = start_http_server(port, host, registry_of(read))
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
