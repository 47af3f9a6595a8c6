"""A server's metrics, in a registry of its own.

Counting is part of every response, so it uses plain numbers, in the event loop alone and so without
locks; they become the client library's objects only when Prometheus scrapes them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.features.definitions import VIEWS
from pipeline.features.windows import NEVER
from pipeline.shared.prometheus import (
    AT_ONCE,
    Buckets,
    CollectorRegistry,
    Gauge,
    Info,
    Metric,
    counter,
    generate_latest,
    histogram,
)

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
RISKS = tuple(round(0.05 * step, 2) for step in range(1, 21))
MINUTES = (15, 30, 60, 120, 180, 360, 720, 1440, 10_080)


class Metrics:
    """The counters and histograms of one server."""

    def __init__(self) -> None:
        """All counters start at zero."""
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: defaultdict[str, Buckets] = defaultdict(lambda: Buckets(_SECONDS))
        self._features: Counter[tuple[str, str]] = Counter()
        self._age = {view: Buckets(MINUTES) for view in VIEWS}
        self._ages: list[tuple[list[int], np.ndarray]] = []
        self._risk, self._invalid = Buckets(RISKS), 0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a response, with its route, status and duration."""
        self._requests[route, code] += 1
        self._seconds[route].add(seconds)

    def risks(self, risk: np.ndarray) -> None:
        """Count the risks of a response."""
        self._risk.add_all(risk)

    def features(
        self, predict_at: list[int], known_at: np.ndarray, flags: list[dict[str, str]]
    ) -> None:
        """Count the age of each view's values at T, and the missing or stale ones.

        Neither `predict_at` nor `known_at` may be changed afterwards: ages are counted in batches.
        """
        self._ages.append((predict_at, known_at))
        if len(self._ages) >= AT_ONCE:
            self._count_ages()
        for row in flags:
            for item in row.items():
                self._features[item] += 1

    def _count_ages(self) -> None:
        if self._ages:
            predict_at, known_at = map(np.concatenate, zip(*self._ages, strict=True))
            self._ages.clear()
            ages = np.where(known_at == NEVER, np.nan, predict_at[:, None] - known_at)
            for buckets, column in zip(self._age.values(), ages.T, strict=True):
                buckets.add_all(column)

    def invalid(self) -> None:
        """Count a prediction that is not a probability."""
        self._invalid += 1

    def collect(self) -> Iterator[Metric]:
        """The metric families, built for each scrape."""
        self._count_ages()
        requests = [((route, str(code)), n) for (route, code), n in self._requests.items()]
        yield counter("requests", "Requests by route and status", ["route", "code"], requests)
        yield histogram("seconds", "Seconds a request", "route", self._seconds)
        yield counter("features", "Rows by view and flag", ["view", "flag"], self._features.items())
        about = "Minutes between T and when the newest event behind a view's values was known"
        yield histogram("features_age_minutes", about, "view", self._age)
        yield histogram("risk", "Risks answered", "", {"": self._risk})
        about = "Requests for which the model gave none"
        yield counter("invalid_predictions", about, [], [((), self._invalid)])

    def add_gauge(self, name: str, about: str, number: Callable[[], float]) -> None:
        """Export a number kept elsewhere, read at each scrape."""
        Gauge(name, about, registry=self.registry).set_function(number)

    def model(self, **labels: str) -> None:
        """Export the served release as labels."""
        Info("serve_model", "The release that answers", registry=self.registry).info(labels)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return bytes(generate_latest(self.registry))

    def value(self, name: str, **labels: str) -> Any:
        """One number, by its exported name; None if nothing was counted."""
        return self.registry.get_sample_value(name, labels)
