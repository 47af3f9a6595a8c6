"""Decomposition of a change of loss into covariate shift and concept shift; pure.

The change of a model's mean loss from its training window to a served one is decomposed on the
inputs that both windows share, after Cai, Namkoong and Yadlowsky (Diagnosing Model Performance
Under Distribution Shift, 2023). A domain classifier separates the windows' rows; weighted by its
uncertainty, both windows have the same shared distribution. Then

    change = (shared - reference)  at the reference's losses: other inputs     (covariate)
           + (window's - reference's losses) at equal inputs: another relation (concept)
           + (window - shared)     at the window's losses: other inputs        (covariate)

Where the windows share hardly any rows the middle term is not identifiable.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.models.trees import fit_domain_classifier, limit_threads
from pipeline.shared.config.monitor import Diagnosis
from pipeline.shared.contracts import Record
from pipeline.shared.scores import roc_auc

_QUANTILES = np.linspace(0, 1, 65)[1:-1]
_SAMPLE = 20_000
_NO_DOUBT = 0.03
"""A smaller chance counts as none: a leaf of a hundred unshared rows gives no less."""


@dataclass(frozen=True)
class WindowLosses:
    """One window: its inputs (rows, features; float32), each row's loss in nats, and its day.

    The reference's losses are of models that have not seen the row's day; in-sample losses would
    be too low.
    """

    inputs: np.ndarray
    loss: np.ndarray
    day: np.ndarray


class Part(Record):
    """A part of a change in nats, with its interval over whole days."""

    point: float
    low: float
    high: float

    def __str__(self) -> str:
        """As "+0.0447 [+0.0091, +0.0840]"."""
        return f"{self.point:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    def rises(self, margin: float) -> bool:
        """Whether this part significantly raised the loss, by the margin or more."""
        return self.low > 0 and self.point >= margin

    def falls(self, margin: float) -> bool:
        """Whether this part significantly lowered the loss, by the margin or more."""
        return self.high < 0 and self.point <= -margin


class Decomposition(Record):
    """A change of loss, its two parts, and the overlap of the two windows.

    `separation` is the classifier's ROC AUC on held-out days: 0.5, the windows are alike; 1, they
    have nothing in common. `effective_*` are Kish's shares of effective rows.
    """

    inputs: str
    change: Part
    covariate: Part
    concept: Part
    separation: float
    effective_reference: float
    effective_window: float
    identifiable: bool


def decompose(
    reference: WindowLosses, window: WindowLosses, config: Diagnosis, inputs: str
) -> Decomposition:
    """Decompose the change of the mean loss; `inputs` names the inputs of the classifier."""
    rng = np.random.default_rng(config.seed)
    with limit_threads(1):
        theirs, ours = _doubt(reference, window, config, rng)
    before, after = _Days(reference.day, config.draws, rng), _Days(window.day, config.draws, rng)
    plain, seen = before.means(reference.loss), after.means(window.loss)
    shared, met = before.means(reference.loss, theirs), after.means(window.loss, ours)
    effective = (_effective(theirs), _effective(ours))
    return Decomposition(
        inputs=inputs,
        change=_part(seen - plain, config),
        covariate=_part((shared - plain) + (seen - met), config),
        concept=_part(met - shared, config),
        separation=_separation(theirs, ours),
        effective_reference=round(effective[0], 4),
        effective_window=round(effective[1], 4),
        identifiable=min(effective) >= config.min_effective_share,
    )


def _doubt(
    reference: WindowLosses, window: WindowLosses, config: Diagnosis, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's chance to belong to the other window, by a classifier without its day."""
    sides = (reference, window)
    coarse = _coarse(reference.inputs, window.inputs)
    folds = [_folds(side.day, config.folds, rng) for side in sides]
    drawn = [rng.permutation(len(side.loss))[: config.max_rows] for side in sides]
    doubt = [np.zeros(len(side.loss)) for side in sides]
    for fold in range(config.folds):
        kept = [rows[of[rows] != fold] for rows, of in zip(drawn, folds, strict=True)]
        # Balanced by number: scikit-learn is slow to bin weighted rows.
        least = min(len(rows) for rows in kept)
        inputs = np.vstack([c[rows[:least]] for c, rows in zip(coarse, kept, strict=True)])
        model = fit_domain_classifier(config.membership, inputs, np.repeat([0, 1], least))
        for other, (values, of) in enumerate(zip(coarse, folds, strict=True)):
            if (held := of == fold).any():
                doubt[other][held] = model.predict_proba(values[held])[:, 1 - other]
    return doubt[0], doubt[1]


def _coarse(reference: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs as ranks among common quantiles: fine enough for small trees, and fast to bin."""
    found = (np.zeros(reference.shape, "float32"), np.zeros(window.shape, "float32"))
    for column in range(reference.shape[1]):
        both = np.concatenate([reference[:, column], window[:, column]])
        if np.isnan(both).all():
            continue  # zeros, since scikit-learn takes no column without values
        edges = np.unique(np.nanquantile(both[:: len(both) // _SAMPLE + 1], _QUANTILES))
        for side, to in zip((reference, window), found, strict=True):
            values = side[:, column]
            to[:, column] = np.where(np.isnan(values), np.nan, np.searchsorted(edges, values))
    return found


def _folds(day: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    days, place = np.unique(day, return_inverse=True)
    return np.asarray((rng.permutation(len(days)) % folds)[place])


class _Days:
    """One window's days and their bootstrap draws, shared by every mean over them."""

    def __init__(self, day: np.ndarray, draws: int, rng: np.random.Generator):
        days, self._place = np.unique(day, return_inverse=True)
        drawn = rng.multinomial(len(days), np.full(len(days), 1 / len(days)), draws)
        self._times = np.vstack([np.ones((1, len(days))), drawn])

    def means(self, loss: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The weighted mean of `loss`: first over the days themselves, then over each draw."""
        weights = np.ones_like(loss) if weights is None else weights
        top = self._times @ np.bincount(self._place, weights * loss)
        return np.asarray(top / (self._times @ np.bincount(self._place, weights)))


def _part(values: np.ndarray, config: Diagnosis) -> Part:
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Part(point=round(float(values[0]), 6), low=round(low, 6), high=round(high, 6))


def _effective(weights: np.ndarray) -> float:
    """Kish's share of effective rows; weights below _NO_DOUBT do not count."""
    shared = weights[weights >= _NO_DOUBT]
    return float(shared.sum() ** 2 / (shared**2).sum() / len(weights)) if len(shared) else 0.0


def _separation(theirs: np.ndarray, ours: np.ndarray) -> float:
    """`theirs` is the chance of the window, `ours` that of the reference."""
    labels = np.repeat([0, 1], [len(theirs), len(ours)])
    return round(roc_auc(labels, np.concatenate([theirs, 1 - ours])), 4)
