"""How other tools decide a canary, in their own words and with their own defaults, on counts.

Each gives the number of the look at which it would have rolled back, or None. A look comes after
every so many requests of the challenger; windows are what happened since the last one.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

THRESHOLD = 0.01
"""The rate above which a check of a window fails: 99% success, as in Flagger's own example."""
POINTS = 50
"""Points that a judgement of Kayenta needs of each metric, as its authors advise."""
CONFIDENCE, TOLERANCE = 0.98, 0.25
"""The defaults of Kayenta's NetflixACAJudge, of its Mann-Whitney test."""


def first(stops: np.ndarray) -> int | None:
    """The first look that stops."""
    found = np.flatnonzero(stops)
    return int(found[0]) if len(found) else None


def repeated_z(limit: float) -> Callable[[np.ndarray, np.ndarray, int], int | None]:
    """A test of two proportions at each look, with a limit that is right for a single look."""

    def rule(ours: np.ndarray, theirs: np.ndarray, window: int) -> int | None:
        n = window * np.arange(1, len(ours) + 1)
        k, m = np.cumsum(ours), np.cumsum(theirs)
        pooled = (k + m) / (2 * n)
        error = np.sqrt(np.maximum(pooled * (1 - pooled) * 2 / n, 1e-12))
        return first(((k - m) / n / error > limit) & (k + m >= 5))

    return rule


def failed_checks(
    times: int, in_a_row: bool
) -> Callable[[np.ndarray, np.ndarray, int], int | None]:
    """Flagger's threshold: so many failed checks, in a row or ever (both readings); no control."""

    def rule(ours: np.ndarray, _: np.ndarray, window: int) -> int | None:
        failed = ours / window > THRESHOLD
        if not in_a_row:
            return first(np.cumsum(failed) >= times)
        sums = np.convolve(failed, np.ones(times))[: len(failed)]
        return first(sums >= times)

    return rule


def kayenta(ours: np.ndarray, theirs: np.ndarray, _: int = 0) -> int | None:
    """Kayenta's judge, once for each POINTS windows: does Mann-Whitney call the metric high?"""
    for end in range(POINTS, len(ours) + 1, POINTS):
        if judged_high(ours[end - POINTS : end], theirs[end - POINTS : end]):
            return end - 1
    return None


def judged_high(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether the interval of the shift lies above TOLERANCE times its Hodges-Lehmann estimate."""
    apart = np.sort((ours[:, None] - theirs[None, :]).ravel())
    n, m = len(ours), len(theirs)
    z = norm.isf((1 - CONFIDENCE) / 2)
    rank = int(np.floor(n * m / 2 - z * np.sqrt(n * m * (n + m + 1) / 12)))
    return bool(apart[max(rank, 0)] > TOLERANCE * abs(np.median(apart)))


def repeated_mean(
    ours: np.ndarray, theirs: np.ndarray, window: int, limit: float = 1.96
) -> int | None:
    """A test of two means at each look, on both sides, with a limit right for a single look."""
    n = np.arange(window, min(len(ours), len(theirs)) + 1, window)
    mean, square = (
        [np.cumsum(side**power)[n - 1] / n for side in (ours, theirs)] for power in (1, 2)
    )
    error = np.sqrt(sum(s - m**2 for s, m in zip(square, mean, strict=True)) / n)
    return first(np.abs(mean[0] - mean[1]) / error > limit)


RIVALS = {
    "one failed check": failed_checks(1, in_a_row=True),
    "3 failed checks in a row": failed_checks(3, in_a_row=True),
    "5 failed checks in a row": failed_checks(5, in_a_row=True),
    "5 failed checks ever": failed_checks(5, in_a_row=False),
    "p below .05 at any look": repeated_z(1.645),
    "p below .025 at any look": repeated_z(1.96),
    "Mann-Whitney of 50 windows": kayenta,
}
