"""The baselines that a challenger must beat: scikit-learn, one function each; pure."""

from typing import Any

import numpy as np

from pipeline.models.onnx_export import in_float64
from pipeline.shared.config.train import TrainConfig

SIGNIFICANT = 6
"""Digits kept of each fitted number of the linear baseline; float32 holds seven."""


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
            setattr(step, name, round_significant(getattr(step, name)))
    return model


def round_significant(values: np.ndarray) -> np.ndarray:
    """Round each number to SIGNIFICANT digits."""
    return np.array([float(f"{x:.{SIGNIFICANT}g}") for x in values.ravel()]).reshape(values.shape)


def hour_rate(hours: np.ndarray, labels: np.ndarray) -> Any:
    """The naive baseline: the share of positive labels at each scheduled hour, as a small tree."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(hours, labels)
