"""The paired difference of two models' log loss, with a day-clustered bootstrap interval.

Events of one day have much in common, so days are resampled, not events: an interval over events
would be several times too narrow.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.contracts import Estimate


@dataclass(frozen=True)
class Difference:
    """Challenger's mean log loss less the other's (negative is better), with its interval."""

    point: float
    low: float
    high: float
    rows: int
    days: int

    def __str__(self) -> str:
        """In words, of rows."""
        return self.of("rows")

    @property
    def estimate(self) -> Estimate:
        """The difference as a check records it."""
        return Estimate(point=self.point, low=self.low, high=self.high, days=self.days)

    def of(self, events: str) -> str:
        """In words, as "-0.0123 [-0.0200, -0.0046] over 30 days, 28,000 rows" of `events`."""
        return f"{self.estimate}, {self.rows:,} {events}"


def difference(worse_by: np.ndarray, day: np.ndarray, bootstrap: Bootstrap) -> Difference:
    """The mean of `worse_by` (one paired loss difference a row), its interval over whole days.

    `day` tells the rows' days apart. Percentile interval of the ratio of sums.
    """
    names, position = np.unique(day, return_inverse=True)
    total = np.bincount(position, weights=worse_by)
    rows = np.bincount(position).astype("float64")
    rng = np.random.default_rng(bootstrap.seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), bootstrap.draws)
    means = (drawn @ total) / (drawn @ rows)
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(worse_by.mean()), float(low), float(high), len(worse_by), len(names))
