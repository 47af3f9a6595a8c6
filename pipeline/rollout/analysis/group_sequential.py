"""Group-sequential tests: a few planned interim analyses, for a loss whose labels come a day later.

The cases of one day go together, so the day is the unit and there are few of them. Each interim
analysis spends a part of alpha that grows as in Lan and DeMets (Biometrika 1983), close to the
limits of O'Brien and Fleming (Biometrics 1979): next to nothing early, nearly all at the end. The
limits are those of a normal process, applied to Student's t of the available days.
"""

from functools import lru_cache

import numpy as np

NODES = 400
"""Points of the quadrature over the paths below the limits: more change no printed digit."""
REACH = 9.0
"""Standard deviations below zero at which a path is forgotten."""


@lru_cache(maxsize=64)
def limits(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """For each interim analysis, the one-sided p below which it decides; together they spend alpha.

    The part spent after a share t of the last one's days is 2 - 2 Phi(z / sqrt t), z at alpha/2.
    """
    from scipy.stats import norm

    times = np.array(looks) / looks[-1]
    spent = 2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(times))
    found: list[float] = []
    # A path is a sum of normal steps; before the first analysis all are at 0.
    density, paths = np.ones(1), np.zeros(1)
    for time, step, part in zip(
        times, np.diff(times, prepend=0), np.diff(spent, prepend=0), strict=True
    ):
        limit = _limit_spending(part, density, paths, step)
        found.append(float(norm.sf(limit / np.sqrt(time))))
        density, paths = _surviving_paths(limit, density, paths, time, step)
    return tuple(found)


def _surviving_paths(
    limit: float, density: np.ndarray, paths: np.ndarray, time: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """The paths still below the limit, one step later, and their weighted density."""
    from scipy.stats import norm

    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = (limit + REACH * np.sqrt(time)) / 2
    to = limit + half * (nodes - 1)
    moved = norm.pdf((to[:, None] - paths[None, :]) / np.sqrt(step)) / np.sqrt(step)
    return (moved @ density) * half * weights, to


def _limit_spending(part: float, density: np.ndarray, paths: np.ndarray, step: float) -> float:
    """The limit at which the paths that cross it for the first time are a part of alpha."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def excess(limit: float) -> float:
        return float(density @ norm.sf((limit - paths) / np.sqrt(step))) - part

    return float(brentq(excess, -REACH, 4 * REACH, xtol=1e-12))


def p_above(days: np.ndarray, margin: float) -> float:
    """The one-sided p of Student's t against "the mean over days is at most `margin`".

    Days that are all alike leave no doubt: 0 if they are above the margin, else 1.
    """
    from scipy.stats import t

    mean, error = _mean_and_error(days)
    if error == 0:
        return 0.0 if mean > margin else 1.0
    return float(t.sf((mean - margin) / error, len(days) - 1))


def interval_end(days: np.ndarray, p: float) -> float:
    """The lower end of the interval for the mean over days, from a one-sided test at `p`.

    This is the end for the test of "worse"; that for "better" is as far above the mean.
    """
    from scipy.stats import t

    mean, error = _mean_and_error(days)
    return mean - float(t.isf(p, len(days) - 1)) * error if error > 0 else mean


def _mean_and_error(days: np.ndarray) -> tuple[float, float]:
    error = float(days.std(ddof=1) / np.sqrt(len(days)))
    # A spread within rounding error counts as none.
    return float(days.mean()), error if error > 1e-12 * max(1.0, abs(float(days.mean()))) else 0.0
