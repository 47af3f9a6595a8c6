"""Gradient boosted trees by scikit-learn, which training fits and monitoring fits again; pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.features.definitions import MONOTONE
from pipeline.shared.config.monitor import MembershipParameters
from pipeline.shared.config.train import TrainConfig


@contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Fit with so many threads: more give the same model, and spin where others want the cores."""
    import sklearn.ensemble  # noqa: F401  a limit holds only for libraries that are loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


def boosting(config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray) -> Any:
    """The challenger: gradient boosted trees whose risk moves only the way MONOTONE says.

    `inputs` is float32 (rows, names), NaN where missing; early stopping is off, so every row counts
    and nothing is drawn by chance.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    directions = [MONOTONE.get(name, 0) if config.monotone else 0 for name in names]
    model = HistGradientBoostingClassifier(
        **config.boosting.model_dump(),
        monotonic_cst=directions,
        early_stopping=False,
        random_state=config.seed,
    )
    return model.fit(inputs, labels)


def membership(config: MembershipParameters, inputs: np.ndarray, belongs: np.ndarray) -> Any:
    """Tells two sets of rows apart: small trees for the chance that a row belongs to the second.

    How well they do is how far the sets lie from each other; who monitors asks it of two windows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        **config.model_dump(), l2_regularization=1.0, early_stopping=False, random_state=0
    )
    return model.fit(inputs, belongs)
