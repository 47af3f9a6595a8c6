"""The naive baseline of an adopted table: the input that alone loses least, by the gate's loss."""

import numpy as np
import pandas as pd

from pipeline.adopt.choices import Guesses
from pipeline.shared.scores import log_loss
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration, Naive

_QUARTERS = [0.25, 0.5, 0.75]
_FITTED = 2 / 3
"""The share of the training rows, the first of them, that gives shares; the others are judged.
On rows that gave the shares, the input with most values would always lose least."""


def choose(rows: pd.DataFrame, of: Declaration, guesses: Guesses) -> Naive:
    """The baseline of a table whose snapshots hold the training `rows`, in their order."""
    label, inputs = published.labels(rows, of), _all(rows, of)
    losses = [_loss(rows, of, one, label) for one in inputs]
    loss = min(losses)
    naive = inputs[losses.index(loss)]
    parts = f"in {len(naive.edges) + 1} parts" if naive.edges else "by its values"
    guesses.add(
        "naive",
        naive.column,
        f"alone, {parts}, its log loss is the least of {len(losses)} inputs' on the last third "
        f"of the training rows, {loss:.4f}: a model must beat it",
    )
    return naive


def _all(rows: pd.DataFrame, of: Declaration) -> list[Naive]:
    """The baseline of each input: a number in quarters, a category by its values."""
    numbers = [
        Naive(column=name, edges=rows[name].quantile(_QUARTERS).dropna().unique().tolist())
        for name in of.numeric
    ]
    return numbers + [Naive(column=name) for name in of.categories]


def _loss(rows: pd.DataFrame, of: Declaration, naive: Naive, label: np.ndarray) -> float:
    """The mean log loss of later rows by the share of positive labels in earlier ones."""
    codes = published.naive_codes(rows, of.model_copy(update={"naive": naive}))
    fitted = int(_FITTED * len(rows))
    shares = pd.Series(label[:fitted]).groupby(codes[:fitted]).mean()
    risk = pd.Series(codes[fitted:]).map(shares).fillna(label[:fitted].mean())
    return float(log_loss(label[fitted:], risk.to_numpy()).mean())
