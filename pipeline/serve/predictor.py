"""What answers: a loaded release, with the online store or with features that come in the request.

A value that the store lacks is predicted without, flagged and counted; a model that gives no
probability is no answer at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.features.definitions import FEATURES, KNOWN_AT, NUMERIC, ONE_HOT, VIEWS
from pipeline.features.online_store import Vectors
from pipeline.registry.release_loader import LoadedRelease


class FeatureReader(Protocol):
    """What gives features: the online store."""

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """Features as they are online now."""
        ...


class InvalidRisk(Exception):
    """The model gave what is no probability: the server's fault, never the request's."""


@dataclass(frozen=True)
class Predictions:
    """The risks of some requests in their order, and what they rest on.

    `values` are NUMERIC (float32) and `known_at` VIEWS (minutes, NEVER where there is none), a row
    for each request; `flags` holds, for each request, the views whose values were missing or stale.
    """

    risk: np.ndarray
    values: np.ndarray
    known_at: np.ndarray
    flags: list[dict[str, str]]


class SupportsPredict(Protocol):
    """Whatever answers as a `Predictor` does: what an app is made over."""

    @property
    def loaded(self) -> LoadedRelease:
        """The release that answers."""
        ...

    def online(self, requests: Mapping[str, Sequence[Any]]) -> Predictions:
        """The risks of flights, from the online store."""
        ...

    def vectors(self, matrix: np.ndarray) -> np.ndarray:
        """The risks of rows of FEATURES."""
        ...


class Predictor:
    """A loaded release over a store."""

    def __init__(self, loaded: LoadedRelease, store: FeatureReader):
        """The model may take fewer than FEATURES."""
        self._loaded, self._store = loaded, store
        taken = [FEATURES.index(name) for name in loaded.model.features]
        self._taken = None if taken == list(range(len(FEATURES))) else taken

    @property
    def loaded(self) -> LoadedRelease:
        """The release that answers."""
        return self._loaded

    def online(self, requests: Mapping[str, Sequence[Any]]) -> Predictions:
        """The risks of requests as the store takes them, with the features that it has now.

        Raises:
            InvalidRisk: the model gave something else than a probability.
        """
        read = self._store.read(requests)
        values = np.column_stack([read.values[name] for name in NUMERIC])
        return Predictions(
            risk=self.vectors(np.column_stack([values, one_hot(requests)])),
            values=values,
            known_at=np.column_stack([read.values[name] for name in KNOWN_AT]),
            flags=_flags(read, len(values)),
        )

    def vectors(self, matrix: np.ndarray) -> np.ndarray:
        """The risks of rows of FEATURES (float32), NaN where a value is missing.

        Raises:
            InvalidRisk: the model gave something else than a probability.
        """
        inputs = matrix if self._taken is None else matrix[:, self._taken]
        risk = self._loaded.model.predict_matrix(inputs)
        if not ((risk >= 0) & (risk <= 1)).all():
            found = risk[~((risk >= 0) & (risk <= 1))]
            raise InvalidRisk(f"{len(found)} of {len(risk)} risks are no probability: {found[0]!r}")
        return risk


def one_hot(requests: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """The columns of ONE_HOT (float32) for requests as the store takes them."""
    columns = [
        [float(value == wanted) for value in requests[name]] for name, wanted in ONE_HOT.values()
    ]
    return np.array(columns, dtype="float32").T


def _flags(read: Vectors, rows: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [{} for _ in range(rows)]
    for view in VIEWS:
        for row, flag in enumerate(read.flags[view].tolist()):
            if flag:
                found[row][view] = flag
    return found
