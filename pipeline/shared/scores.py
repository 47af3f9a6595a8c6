"""Log loss and ROC AUC, one definition for every stage."""

import numpy as np


def log_loss(labels: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """The log loss of each row, in nats, with risks clipped to [1e-6, 1 - 1e-6]."""
    clipped = np.clip(risk, 1e-6, 1 - 1e-6)
    return np.asarray(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))


def roc_auc(labels: np.ndarray, risk: np.ndarray) -> float:
    """ROC AUC: the chance that a positive has a higher risk than a negative; NaN for one class."""
    _, inverse, counts = np.unique(risk, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    late = labels == 1
    pairs = int(late.sum()) * int((~late).sum())
    if pairs == 0:
        return float("nan")
    return float((ranks[late].sum() - late.sum() * (late.sum() + 1) / 2) / pairs)
