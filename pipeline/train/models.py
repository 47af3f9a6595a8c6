"""The challenger and its baselines: scikit-learn, one function each; pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.features.definitions import MONOTONE
from pipeline.shared.config import MembershipParameters, TrainConfig


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
    """The simpler model on the same inputs: a challenger that cannot beat it is not worth it.

    Newton's method, since it ends at the same optimum on every processor; the default solver stops
    in float32 where its line search stalls, which is somewhere else with other vector instructions.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=config.logistic_c, solver="newton-cholesky"),
    )
    return model.fit(inputs, labels)


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
