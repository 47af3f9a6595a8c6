"""The predictor: a loaded release over the online store, or over features in the request.

A value missing from the store is NaN to the model, flagged and counted; a risk that is not a
probability is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.features.definitions import FEATURES, KNOWN_AT, NUMERIC, ONE_HOT, VIEWS
from pipeline.features.online_store import Vectors
from pipeline.registry.release_loader import LoadedRelease


class FeatureReader(Protocol):
    """A source of features: the online store."""

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """The features that are online now."""
        ...


class InvalidRisk(Exception):
    """A risk is not a probability: the server's fault, never the request's."""


@dataclass(frozen=True)
class PredictedRisks:
    """The risks of requests in their order, and the features behind them.

    `values` are NUMERIC (float32) and `known_at` VIEWS (minutes, NEVER where there is none), a row
    per request; `flags` holds, per request, the views whose values were missing or stale.
    """

    risk: np.ndarray
    values: np.ndarray
    known_at: np.ndarray
    flags: list[dict[str, str]]


class SupportsPredict(Protocol):
    """The interface of `Predictor`, which an app is built over."""

    @property
    def release(self) -> LoadedRelease:
        """The served release."""
        ...

    def online(self, requests: Mapping[str, Sequence[Any]]) -> PredictedRisks:
        """The risks of requests, from the online store."""
        ...

    def vectors(self, matrix: np.ndarray) -> np.ndarray:
        """The risks of rows of FEATURES."""
        ...


class Predictor:
    """A loaded release over a store."""

    def __init__(self, release: LoadedRelease, store: FeatureReader):
        """The model may take fewer than FEATURES."""
        self._release, self._store = release, store
        columns = [FEATURES.index(name) for name in release.model.features]
        self._columns = None if columns == list(range(len(FEATURES))) else columns

    @property
    def release(self) -> LoadedRelease:
        """The served release."""
        return self._release

    def online(self, requests: Mapping[str, Sequence[Any]]) -> PredictedRisks:
        """The risks of requests, in the store's columns, with its current features.

        Raises:
            InvalidRisk: a risk is not a probability.
        """
        read = self._store.read(requests)
        count = len(requests["predict_at"])
        numeric = [read.values[name] for name in NUMERIC]
        rows = np.ascontiguousarray(_stack([*numeric, *_one_hot(requests)], count, "float32").T)
        known_at = _stack([read.values[name] for name in KNOWN_AT], count, "int64").T
        values = rows[:, : len(NUMERIC)]
        return PredictedRisks(self.vectors(rows), values, known_at, _flags(read, count))

    def vectors(self, matrix: np.ndarray) -> np.ndarray:
        """The risks of rows of FEATURES (float32), NaN where a value is missing.

        Raises:
            InvalidRisk: a risk is not a probability.
        """
        inputs = matrix if self._columns is None else matrix[:, self._columns]
        risk = self._release.model.predict_matrix(inputs)
        bad = [row for row, one in enumerate(risk.tolist()) if not 0 <= one <= 1]
        if bad:
            first = risk[bad[0]]
            raise InvalidRisk(f"{len(bad)} of {len(risk)} risks are no probability: {first!r}")
        return risk


def one_hot(requests: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """The columns of ONE_HOT (float32) for requests in the store's columns."""
    return _stack(_one_hot(requests), len(requests["predict_at"]), "float32").T


def _one_hot(requests: Mapping[str, Sequence[Any]]) -> list[list[float]]:
    return [
        [float(value == wanted) for value in requests[name]] for name, wanted in ONE_HOT.values()
    ]


def _stack(columns: list[Any], rows: int, kind: str) -> np.ndarray:
    """Columns as one array (columns, rows), also where there is none; faster than column_stack."""
    return np.array(columns, dtype=kind).reshape(len(columns), rows)


def _flags(read: Vectors, rows: int) -> list[dict[str, str]]:
    flags: list[dict[str, str]] = [{} for _ in range(rows)]
    for view in VIEWS:
        for row, flag in enumerate(read.flags[view].tolist()):
            if flag:
                flags[row][view] = flag
    return flags
