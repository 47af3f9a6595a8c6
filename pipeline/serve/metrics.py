"""What a server counts, in a registry of its own.

Counting is a part of every answer, so it is done in plain numbers, by the event loop alone and so
without locks; the client library's own objects are made of them when somebody asks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.features.definitions import VIEWS
from pipeline.features.windows import NEVER
from pipeline.shared.prometheus import (
    Buckets,
    CollectorRegistry,
    Gauge,
    Info,
    Metric,
    counter,
    generate_latest,
    histogram,
)

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
RISKS = tuple(round(0.05 * step, 2) for step in range(1, 21))
MINUTES = (15, 30, 60, 120, 180, 360, 720, 1440, 10_080)


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
        yield counter("requests", "Requests by route and status", ["route", "code"], requests)
        yield histogram("seconds", "Seconds a request", "route", self._seconds)
        yield counter("features", "Rows by view and flag", ["view", "flag"], self._features.items())
        about = "Minutes between T and when the newest event behind a view's values was known"
        yield histogram("features_age_minutes", about, "view", self._age)
        yield histogram("risk", "Risks answered", "", {"": self._risk})
        told = "Requests for which the model gave none"
        yield counter("invalid_predictions", told, [], [((), self._invalid)])

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
