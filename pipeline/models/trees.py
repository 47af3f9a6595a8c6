"""Gradient boosted trees by scikit-learn, fitted by training and refitted by monitoring; pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.features.definitions import MONOTONE
from pipeline.shared.config.monitor import MembershipParameters
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.scores import log_loss


@contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Limit the threads of a fit: more give the same model and block cores that others need."""
    import sklearn.ensemble  # noqa: F401  a limit holds only for libraries that are loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


def boosting(config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray) -> Any:
    """The challenger: gradient boosted trees whose risk is monotone as MONOTONE declares.

    `inputs` is float32 (rows, names), NaN where missing; early stopping is off, so every row counts
    and nothing is random.
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


def loss_by_iteration(
    model: Any, rows: dict[str, tuple[np.ndarray, np.ndarray]], every: int
) -> list[dict[str, float]]:
    """The mean log loss of each set of rows after every so many trees, and after the last.

    `rows` holds inputs and labels by the name of the set. A model that is not made of iterations
    has none.
    """
    found: dict[int, dict[str, float]] = {}
    if not hasattr(model, "staged_predict_proba"):
        return []
    for name, (inputs, labels) in rows.items():
        for number, risk in enumerate(model.staged_predict_proba(inputs), 1):
            if number % every == 0 or number == model.n_iter_:
                value = round(float(log_loss(labels, risk[:, 1]).mean()), 6)
                found.setdefault(number, {"iteration": number})[name] = value
    return list(found.values())


def fit_domain_classifier(
    config: MembershipParameters, inputs: np.ndarray, belongs: np.ndarray
) -> Any:
    """A domain classifier: small trees for the chance that a row belongs to the second of two sets.

    Its ROC AUC is the distance between the sets; monitoring applies it to two windows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        **config.model_dump(), l2_regularization=1.0, early_stopping=False, random_state=0
    )
    return model.fit(inputs, belongs)
