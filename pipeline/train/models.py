"""The challenger and its baselines: scikit-learn, one function each; pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.features.definitions import MONOTONE
from pipeline.shared.config import MembershipParameters, TrainConfig
from pipeline.train.onnx_export import in_float64

SIGNIFICANT = 6
"""Digits that a fitted number of the linear baseline keeps: float32 holds seven."""


@contextmanager
def limited(threads: int) -> Iterator[None]:
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


def logistic(config: TrainConfig, inputs: np.ndarray, labels: np.ndarray) -> Any:
    """The linear baseline, equal on every x86-64 processor.

    Kernels add in different orders on different processors, so a fit differs in its last digits.
    In float64, at the one optimum that Newton's method finds, these are digits 12 and later, and
    the fitted numbers keep only the first SIGNIFICANT (docs/adr/0006-newton.md).
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        SimpleImputer(strategy="median"),
        in_float64(),
        StandardScaler(),
        LogisticRegression(C=config.logistic_c, solver="newton-cholesky", tol=1e-8),
    )
    model.fit(inputs, labels)
    *_, scaler, line = (step for _, step in model.steps)
    for step, names in ((scaler, ("mean_", "scale_")), (line, ("coef_", "intercept_"))):
        for name in names:
            setattr(step, name, significant(getattr(step, name)))
    return model


def significant(values: np.ndarray) -> np.ndarray:
    """Each number to its first SIGNIFICANT digits."""
    return np.array([float(f"{x:.{SIGNIFICANT}g}") for x in values.ravel()]).reshape(values.shape)


def hour_rate(hours: np.ndarray, labels: np.ndarray) -> Any:
    """The naive baseline: the share of late flights at each scheduled hour, as a small tree."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(hours, labels)


def membership(config: MembershipParameters, inputs: np.ndarray, belongs: np.ndarray) -> Any:
    """Tells two sets of rows apart: small trees for the chance that a row belongs to the second.

    How well they do is how far the sets lie from each other; who monitors asks it of two windows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        **config.model_dump(), l2_regularization=1.0, early_stopping=False, random_state=0
    )
    return model.fit(inputs, belongs)
