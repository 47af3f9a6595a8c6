"""How good predictions are: one definition of log loss and of ROC AUC, for every stage."""

import numpy as np


def log_loss(labels: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """The log loss of each row, in nats, with risks kept off 0 and 1 by one in a million."""
    kept = np.clip(risk, 1e-6, 1 - 1e-6)
    return np.asarray(-np.where(labels == 1, np.log(kept), np.log1p(-kept)))


def roc_auc(labels: np.ndarray, risk: np.ndarray) -> float:
    """The chance that a late flight has the higher risk of a pair; NaN where one class is empty."""
    _, inverse, counts = np.unique(risk, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    late = labels == 1
    pairs = int(late.sum()) * int((~late).sum())
    if pairs == 0:
        return float("nan")
    return float((ranks[late].sum() - late.sum() * (late.sum() + 1) / 2) / pairs)
