"""The door to Prometheus: what a server counts, in a registry of its own.

Importing Feast tells the client library to keep its numbers in files that processes share. Here a
process counts for itself, whatever was imported before: the proxy knows which process is which.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    generate_latest,
    values,
)

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
