"""A change of loss is taken apart as worked out by hand, and only where that says anything."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.monitor.shift_decomposition import Part, WindowLosses, decompose
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig

pytestmark = pytest.mark.answer("which-drift")

CONFIG = load(MonitorConfig).diagnosis
ROWS, DAYS = 6_000, 40


def side(inputs, loss, day=None, seed=0):
    """Rows of a window; days by chance, so that they mean nothing."""
    day = np.random.default_rng(seed).integers(0, DAYS, len(loss)) if day is None else day
    matrix = np.asarray(inputs, dtype="float32").reshape(len(loss), -1)
    return WindowLosses(matrix, np.asarray(loss, dtype="float64"), day)


def apart(reference, window, **changes):
    return decompose(reference, window, CONFIG.model_copy(update=changes), "all inputs")


def uniform(seed=0):
    """Inputs with density 1 on [0, 1]."""
    return np.random.default_rng(seed).random(ROWS)


def rising(seed=1):
    """Inputs with density 2x on [0, 1]."""
    return np.sqrt(uniform(seed))


SHARED = math.log(3) / 4 / (1 - math.log(3) / 2)
"""The mean of x where both count: its density there goes as 1 * 2x / (1 + 2x)."""


@pytest.mark.parametrize(
    ("name", "window", "loss", "change", "concept"),
    [
        ("nothing", uniform(2), lambda x: x, 0, 0),
        ("other inputs", rising(), lambda x: x, 2 / 3 - 1 / 2, 0),
        ("another relation", uniform(2), lambda x: 1.5 * x, 1 / 4, 1 / 4),
        ("a level", rising(), lambda x: x + 0.2, 2 / 3 - 1 / 2 + 0.2, 0.2),
        ("both", rising(), lambda x: 1.5 * x, 1 - 1 / 2, SHARED / 2),
        ("one against the other", rising(), lambda x: 0.75 * x, 0, -SHARED / 4),
    ],
)
def test_the_parts_are_those_that_can_be_integrated_by_hand(name, window, loss, change, concept):
    x = uniform()
    found = apart(side(x, x), side(window, loss(window), seed=1))
    assert found.change.point == pytest.approx(change, abs=0.012)
    assert found.concept.point == pytest.approx(concept, abs=0.012)
    assert found.covariate.point == pytest.approx(change - concept, abs=0.012)
    assert found.identifiable


def test_the_two_parts_are_the_change_and_it_is_the_plain_difference_of_means():
    x, z = uniform(), rising()
    found = apart(side(x, x), side(z, 1.5 * z, seed=1))
    assert found.change.point == pytest.approx((1.5 * z).mean() - x.mean(), abs=1e-6)
    assert found.covariate.point + found.concept.point == pytest.approx(
        found.change.point, abs=2e-6
    )


def test_every_interval_holds_its_point():
    x, z = uniform(), rising()
    found = apart(side(x, x), side(z, 1.5 * z, seed=1))
    for part in (found.change, found.covariate, found.concept):
        assert part.low <= part.point <= part.high


# What is shared.


def test_windows_alike_cannot_be_told_apart_and_share_everything(
    record_property: Callable[[str, object], None],
):
    found = apart(side(uniform(), uniform()), side(uniform(2), uniform(2)))
    assert found.separation == pytest.approx(0.5, abs=0.03)
    assert min(found.effective_reference, found.effective_window) > 0.95
    record_property("ROC AUC that tells windows apart which are alike", found.separation)


@pytest.mark.parametrize("noise", [0, 4], ids=["one input", "and four that say nothing"])
def test_windows_that_share_nothing_are_not_compared(noise):
    more = np.random.default_rng(5).random((2, ROWS, noise))
    x, z = uniform(), uniform(2) + 2
    found = apart(
        side(np.column_stack([x, more[0]]), x), side(np.column_stack([z, more[1]]), 1.5 * z)
    )
    assert found.separation == pytest.approx(1, abs=1e-3)
    assert (found.effective_reference, found.effective_window) == (0, 0)
    assert not found.identifiable


def test_the_less_is_shared_the_fewer_rows_count():
    shares = []
    for moved in (0.0, 0.5, 0.8, 0.95, 1.5):
        z = uniform(2) + moved
        found = apart(side(uniform(), uniform()), side(z, z))
        shares.append(min(found.effective_reference, found.effective_window))
    assert shares == sorted(shares, reverse=True)
    assert shares[1] == pytest.approx(0.5, abs=0.06)
    assert shares[-1] == 0


def test_the_least_share_of_either_side_decides():
    x, z = uniform(), uniform(2) * 0.4  # all of the window is met in training, not the reverse
    found = apart(side(x, x), side(z, z))
    between = (found.effective_reference + found.effective_window) / 2
    assert found.effective_reference < found.effective_window
    assert not apart(side(x, x), side(z, z), min_effective_share=between).identifiable
    assert apart(side(z, z), side(x, x), min_effective_share=between).identifiable is False
    assert found.identifiable


# Days, order, chance.


def test_folds_keep_days_whole_or_an_input_that_names_the_day_would_tell_the_windows_apart():
    day = np.arange(ROWS) * DAYS // ROWS
    names = np.random.default_rng(0).random((2, DAYS))
    loss = uniform()
    found = apart(side(names[0][day], loss, day), side(names[1][day], loss, day + DAYS))
    split = np.random.default_rng(1).permutation(day)
    told = apart(side(names[0][day], loss, split), side(names[1][day], loss, split + DAYS))
    assert found.separation < 0.7
    assert told.separation > 0.95


def test_the_order_of_the_rows_does_not_matter_beyond_noise():
    x, z = uniform(), rising()
    day = np.arange(ROWS) * DAYS // ROWS
    order = np.random.default_rng(7).permutation(ROWS)
    found = apart(side(x, x, day), side(z, 1.5 * z, day))
    shuffled = apart(
        side(x[order], x[order], day[order]), side(z[order], 1.5 * z[order], day[order])
    )
    assert shuffled.change == found.change
    assert shuffled.concept.point == pytest.approx(found.concept.point, abs=0.01)
    assert shuffled.separation == pytest.approx(found.separation, abs=0.01)


def test_the_same_seed_gives_the_same_answer_and_another_one_nearly_so():
    x, z = uniform(), rising()
    both = side(x, x), side(z, 1.5 * z)
    assert apart(*both) == apart(*both)
    other = apart(*both, seed=1)
    assert other != apart(*both)
    assert other.concept.point == pytest.approx(apart(*both).concept.point, abs=0.01)


def test_intervals_are_wider_where_the_flights_of_a_day_are_lost_together():
    x, z = uniform(), uniform(2)
    day = np.arange(ROWS) * DAYS // ROWS
    luck = np.random.default_rng(3).normal(0, 0.3, DAYS)[day]
    clustered = apart(side(x, x, day), side(z, z + luck, day))
    order = np.random.default_rng(4).permutation(ROWS)
    scattered = apart(side(x, x, day), side(z[order], (z + luck)[order], day))
    widths = [
        (p.change.high - p.change.low, p.concept.high - p.concept.low)
        for p in (clustered, scattered)
    ]
    assert widths[0][0] > 3 * widths[1][0]
    assert widths[0][1] > 3 * widths[1][1]


def test_more_confidence_is_a_wider_interval():
    both = side(uniform(), uniform()), side(uniform(2), uniform(2))
    sure, less = apart(*both, confidence=0.99).change, apart(*both, confidence=0.6).change
    assert sure.low < less.low < less.high < sure.high


def test_rows_beyond_the_most_that_it_learns_from_still_count_in_the_parts():
    x, z = uniform(), rising()
    found = apart(side(x, x), side(z, 1.5 * z), max_rows=1_000)
    assert found.change == apart(side(x, x), side(z, 1.5 * z)).change
    assert found.concept.point == pytest.approx(SHARED / 2, abs=0.03)


def test_missing_values_are_values_of_their_own():
    x = np.where(uniform() < 0.1, np.nan, 0.5)
    z = np.where(uniform(2) < 0.6, np.nan, 0.5)
    nothing = np.full(ROWS, np.nan)
    lost = np.isnan(x), np.isnan(z)
    found = apart(
        side(np.column_stack([x, nothing]), lost[0]), side(np.column_stack([z, nothing]), lost[1])
    )
    assert found.separation == pytest.approx(0.75, abs=0.03)  # 0.5 + (0.6 - 0.1) / 2
    assert found.change.point == pytest.approx(0.5, abs=0.03)
    assert found.concept.point == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("ends", "rises", "falls"),
    [
        ((0.05, 0.01, 0.09), True, False),
        ((0.05, -0.01, 0.11), False, False),
        ((0.005, 0.001, 0.009), False, False),
        ((-0.05, -0.09, -0.01), False, True),
        ((-0.05, -0.11, 0.01), False, False),
        ((-0.005, -0.009, -0.001), False, False),
    ],
)
def test_a_part_moved_only_if_surely_and_by_enough(ends, rises, falls):
    part = Part(point=ends[0], low=ends[1], high=ends[2])
    assert (part.rises(0.01), part.falls(0.01)) == (rises, falls)


def test_a_part_is_told_with_its_sign_and_interval():
    assert str(Part(point=0.0447, low=-0.0091, high=0.084)) == "+0.0447 [-0.0091, +0.0840]"
