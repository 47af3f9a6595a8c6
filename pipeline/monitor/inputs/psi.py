"""Population stability index (PSI) of many windows against the reference, from daily counts.

Values are binned once, day by day; a window is then a sum of days, so a hundred windows cost no
more than one. Bins and zero shares are Evidently's; a test compares the two for one window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

FEW_VALUES = 20
"""Evidently treats numbers with at most so many values in the reference as categories."""
LEAST_SHARE = 1e-4
"""Replaces a share of zero, which has no logarithm."""


@dataclass(frozen=True)
class Bins:
    """A column's bins: by edges, or one for each of `values`."""

    name: str
    edges: np.ndarray | None
    values: pd.Index | None

    @property
    def size(self) -> int:
        """The number of bins without the one of missing values."""
        if self.edges is not None:
            return len(self.edges) - 1
        assert self.values is not None
        return len(self.values)

    @property
    def labels(self) -> list[str]:
        """Each bin's name: its value, or its edges."""
        if self.edges is None:
            assert self.values is not None
            return [f"{v:g}" if isinstance(v, float) else str(v) for v in self.values]
        ends = [f"{edge:.4g}" for edge in self.edges]
        return [f"{low}..{high}" for low, high in pairwise(ends)]

    def assign(self, column: pd.Series) -> np.ndarray:
        """The bin of each value; `size` where it is missing."""
        if self.values is not None:
            place = self.values.get_indexer(pd.Index(column))
            return np.where(place < 0, self.size, place)
        assert self.edges is not None
        numbers = column.to_numpy()
        place = np.clip(np.searchsorted(self.edges, numbers, side="right") - 1, 0, self.size - 1)
        return np.where(np.isnan(numbers), self.size, place)


@dataclass(frozen=True)
class Counts:
    """Rows by day and bin: a matrix per column (days, bins + 1), the last bin for missing."""

    days: np.ndarray
    bins: list[Bins]
    counts: list[np.ndarray]

    def total(self, weights: np.ndarray) -> list[np.ndarray]:
        """The counts of windows, one per row of `weights` (windows, days)."""
        return [weights @ counts for counts in self.counts]


def make_bins(
    reference: pd.DataFrame, current: pd.DataFrame, categories: Sequence[str]
) -> list[Bins]:
    """Make the bins of every column from both sides together, by Sturges' rule for numbers."""
    found = []
    for name in reference:
        both = pd.concat([reference[name], current[name]]).dropna()
        if name in categories or reference[name].nunique() <= FEW_VALUES:
            found.append(Bins(str(name), None, pd.Index(sorted(both.unique()))))
        else:
            edges = np.histogram_bin_edges(both.to_numpy(), bins="sturges")
            found.append(Bins(str(name), edges, None))
    return found


def count_bins(frame: pd.DataFrame, day: np.ndarray, bins: list[Bins]) -> Counts:
    """Count a table's values by day and bin; `day` is each row's day."""
    days, place = np.unique(day, return_inverse=True)
    of = []
    for one in bins:
        cells = place * (one.size + 1) + one.assign(frame[one.name])
        counts = np.bincount(cells, minlength=len(days) * (one.size + 1))
        of.append(counts.reshape(len(days), one.size + 1).astype("float64"))
    return Counts(days, bins, of)


def psi(reference: Counts, current: Counts, weights: np.ndarray) -> np.ndarray:
    """The PSI of each column (columns) in each window (rows of `weights`) against the reference.

    It is the larger of the PSI of present values and the PSI of present against missing, which
    Evidently leaves out: without it a feed that stops would raise no alert.
    """
    whole = reference.total(np.ones((1, len(reference.days))))
    windows = current.total(weights)
    both = [_both(old, new) for old, new in zip(whole, windows, strict=True)]
    return np.asarray(np.column_stack([np.maximum(*one) for one in both]))


def _both(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = _index(_shares(old[:, :-1]), _shares(new[:, :-1]))
    there = [np.column_stack([c[:, :-1].sum(1), c[:, -1]]) for c in (old, new)]
    old_there, new_there = (t / np.maximum(t.sum(1, keepdims=True), 1) for t in there)
    clipped = (np.clip(share, LEAST_SHARE, 1) for share in (old_there, new_there))
    return values, _index(*clipped)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Shares of present values, zeros replaced as in Evidently; NaN where there are none."""
    total = counts.sum(1, keepdims=True)
    shares = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    least = np.where(shares > 0, shares, np.inf).min(1, keepdims=True, initial=np.inf)
    fill = np.where(least <= LEAST_SHARE, least / 1e6, LEAST_SHARE)
    return np.asarray(np.where(shares == 0, fill, shares))


def _index(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The PSI; zero where one side has no value, since the missing share covers that."""
    return np.asarray(np.nan_to_num(((new - old) * np.log(new / old)).sum(1), nan=0.0))


def trailing(days: np.ndarray, looks: Sequence[int], window_days: int) -> np.ndarray:
    """Weights (looks, days) of the windows of so many days that end with each look's day.

    `days` and `looks` are whole days since any origin.
    """
    ages = np.array(looks)[:, None] - days[None, :]
    return np.asarray((ages >= 0) & (ages < window_days), dtype="float64")


def family_limit(
    reference: Counts,
    limits: dict[str, float],
    window_days: int,
    block_days: int,
    draws: int,
    chance: float,
    seed: int,
) -> float:
    """The (1 - `chance`) quantile of the largest ratio of PSI to limit if nothing moved.

    Windows are drawn from the reference itself, in blocks of consecutive days, since days depend on
    each other. Above 1 the limits alone would alarm more often than `chance`.
    """
    chosen = [place for place, one in enumerate(reference.bins) if one.name in limits]
    kept = Counts(
        reference.days, [reference.bins[i] for i in chosen], [reference.counts[i] for i in chosen]
    )
    rng, days = np.random.default_rng(seed), len(reference.days)
    starts = rng.integers(0, max(days - block_days, 0) + 1, (draws, -(-window_days // block_days)))
    drawn = (starts[:, :, None] + np.arange(min(block_days, days))).reshape(draws, -1)
    drawn = drawn[:, :window_days]
    weights = np.zeros((draws, days))
    np.add.at(weights, (np.arange(draws)[:, None], drawn), 1)
    found = psi(kept, kept, weights) / np.array([limits[one.name] for one in kept.bins])
    return float(np.quantile(found.max(1), 1 - chance))
