from collections.abc import Callable

import numpy as np
import pytest

from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.paired_difference import Difference, difference

pytestmark = pytest.mark.answer("model-validation")

BOOTSTRAP = Bootstrap(draws=500, seed=3, confidence=0.95)


def uneven_days(seed=0, days=25):
    """Losses of days with 5 to 40 flights each, in no order, whose days differ from each other."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), chance.integers(5, 40, days))
    worse_by = chance.normal(0.05, 0.2, days)[day] + chance.normal(0, 0.3, len(day))
    order = chance.permutation(len(day))
    return worse_by[order], day[order]


def test_the_interval_is_that_of_a_loop_that_draws_whole_days():
    worse_by, day = uneven_days()
    names = sorted(set(day.tolist()))
    rng = np.random.default_rng(BOOTSTRAP.seed)
    means = []
    for _ in range(BOOTSTRAP.draws):
        times = rng.multinomial(len(names), [1 / len(names)] * len(names))
        drawn = [
            value
            for name, count in zip(names, times, strict=True)
            for _ in range(count)
            for value in worse_by[day == name]
        ]
        means.append(sum(drawn) / len(drawn))
    found = difference(worse_by, day, BOOTSTRAP)
    assert found.low == pytest.approx(np.quantile(means, 0.025))
    assert found.high == pytest.approx(np.quantile(means, 0.975))


def test_the_interval_is_as_wide_as_the_ratio_estimators_variance_says():
    worse_by, day = uneven_days(days=200)
    mean, days = worse_by.mean(), np.unique(day)
    residuals = np.array([(worse_by[day == d] - mean).sum() for d in days])
    error = np.sqrt((residuals**2).sum()) / len(worse_by)
    found = difference(worse_by, day, BOOTSTRAP.model_copy(update={"draws": 20_000}))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_the_point_counts_flights_not_days():
    found = difference(np.array([1.0, 1.0, 1.0, 0.0]), np.array([1, 1, 1, 2]), BOOTSTRAP)
    assert (found.point, found.rows, found.days) == (0.75, 4, 2)


def over_flights(worse_by, draws, seed):
    """The interval that a bootstrap over flights gives, as if each were evidence of its own."""
    rng = np.random.default_rng(seed)
    means = worse_by[rng.integers(0, len(worse_by), (draws, len(worse_by)))].mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


def test_the_interval_over_days_holds_the_truth_and_one_over_flights_does_not(
    record_property: Callable[[str, object], None],
):
    """400 worlds in which the flights of a day are late together."""
    truth, days, flights, held = 0.02, 40, 15, {"days": 0, "flights": 0}
    day = np.repeat(np.arange(days), flights)
    for world in range(400):
        chance = np.random.default_rng(world)
        worse_by = truth + chance.normal(0, 0.2, days)[day] + chance.normal(0, 0.2, len(day))
        found = difference(worse_by, day, Bootstrap(draws=300, seed=world, confidence=0.95))
        low, high = over_flights(worse_by, 100, world)
        held["days"] += found.low <= truth <= found.high
        held["flights"] += low <= truth <= high
    assert held["days"] / 400 == pytest.approx(0.95, abs=0.04)
    assert held["flights"] / 400 < 0.75
    for name, times in held.items():
        record_property(f"of 400 intervals of 95% over {name} that hold the truth", times)


def test_a_wider_confidence_gives_a_wider_interval():
    narrow, wide = (
        difference(*uneven_days(), BOOTSTRAP.model_copy(update={"confidence": share}))
        for share in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.point < narrow.high < wide.high


def test_the_same_seed_gives_the_same_interval_and_another_another():
    again = difference(*uneven_days(), BOOTSTRAP)
    assert difference(*uneven_days(), BOOTSTRAP) == again
    other = difference(*uneven_days(), BOOTSTRAP.model_copy(update={"seed": 4}))
    assert (other.low, other.high) != (again.low, again.high)
    assert other.point == again.point


def test_a_difference_is_written_with_its_interval_and_its_evidence():
    found = Difference(-0.0123, -0.02, 0.0046, 28_000, 30)
    assert found.of("flights") == "-0.0123 [-0.0200, +0.0046] over 30 days, 28,000 flights"
