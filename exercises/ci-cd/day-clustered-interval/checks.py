"""The checks of the day-clustered interval."""

import numpy as np

from exercises.workbench.checking import check, expect, holds
from pipeline.shared.config.evaluate import Bootstrap

RULE = Bootstrap(draws=2000, seed=7, confidence=0.95)


def _stormy(days: int = 30, flights: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Differences that a whole day shares, as storms make them."""
    rng = np.random.default_rng(1)
    shared = np.repeat(rng.normal(0, 0.05, days), flights)
    return shared + rng.normal(-0.01, 0.02, days * flights), np.repeat(np.arange(days), flights)


@check(1)
def test_the_point_is_the_mean_over_flights(subject):
    """Each flight counts once, whatever its day."""
    seen = subject.difference(np.array([1.0, 1.0, 4.0]), np.array([1, 1, 2]), RULE)
    expect(seen.point, 2.0, [(2.5, "the mean of daily means: each flight counts once")])


@check(1)
def test_flights_and_days_are_counted(subject):
    """A reader judges an interval by both."""
    worse_by, day = _stormy(12, 5)
    seen = subject.difference(worse_by, day, RULE)
    expect([seen.rows, seen.days], [60, 12])


@check(3)
def test_days_are_the_unit(subject):
    """What a day shares must not be counted two hundred times."""
    worse_by, day = _stormy()
    daily = worse_by.reshape(30, 200).mean(axis=1)
    wide = 2 * 1.96 * daily.std(ddof=1) / np.sqrt(30)
    seen = subject.difference(worse_by, day, RULE)
    width = seen.high - seen.low
    why = "an interval over flights: a storm hits all flights of its day"
    holds(0.75 * wide < width < 1.25 * wide, f"a width near {wide:.4f}", f"{width:.4f}", why)


@check(2)
def test_a_day_counts_by_its_flights(subject):
    """A ratio of sums: a day with five flights is not one with a thousand."""
    day = np.concatenate([np.repeat(np.arange(20), 100), np.arange(20, 26)])
    worse_by = np.where(day < 20, 0.0, 1.0)
    seen = subject.difference(worse_by, day, RULE)
    why = "the mean of daily means: six flights of 2,006 count for six days of 26"
    holds(seen.high < 0.02, "an upper end below 0.02", f"{seen.high:.4f}", why)


@check(2)
def test_the_ends_are_those_of_the_confidence(subject):
    """2.5 in 100 on either side of 95 %."""
    worse_by, day = _stormy()
    wide, narrow = (
        subject.difference(worse_by, day, RULE.model_copy(update={"confidence": c}))
        for c in (0.95, 0.80)
    )
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    holds(1.35 < ratio < 1.75, "95 % about 1.53 times as wide as 80 %", f"{ratio:.2f} times")


@check(2)
def test_the_same_seed_gives_the_same_ends(subject):
    """A verdict comes out again from the recorded data."""
    worse_by, day = _stormy()
    seen = [subject.difference(worse_by, day, RULE) for _ in range(2)]
    expect([seen[0].low, seen[0].high], [seen[1].low, seen[1].high], tolerance=0)


@check(1, hidden=True)
def test_days_may_be_named_by_anything(subject):
    """Days come as numbers or as texts, in any order."""
    worse_by, day = _stormy(10, 20)
    order = np.random.default_rng(3).permutation(len(day))
    named = np.array([f"2013-05-{one + 1:02}" for one in day])
    seen = subject.difference(worse_by[order], named[order], RULE)
    plain = subject.difference(worse_by, day, RULE)
    expect([seen.low, seen.high], [plain.low, plain.high], tolerance=1e-6)


@check(2, hidden=True)
def test_the_ends_are_those_of_a_plain_loop(subject):
    """The same bootstrap, day by day, with other random numbers."""
    worse_by, day = _stormy()
    by_day, rng = worse_by.reshape(30, 200), np.random.default_rng(99)
    means = [by_day[rng.integers(0, 30, 30)].mean() for _ in range(2000)]
    seen = subject.difference(worse_by, day, RULE)
    expect([seen.low, seen.high], list(np.quantile(means, [0.025, 0.975])), tolerance=0.002)
