"""The checks of the weights of trailing windows."""

import numpy as np

from exercises.workbench.checking import check, expect

DAYS = np.arange(100, 110)


def _days(subject, looks: list[int], window_days: int, days: np.ndarray = DAYS) -> list[list[int]]:
    """The days of each window."""
    weights = np.array(subject.trailing(days, looks, window_days))
    return [days[row > 0].tolist() for row in weights]


@check(1)
def test_a_window_ends_with_its_look(subject):
    """The day of the look is its last one."""
    expect(_days(subject, [109], 3), [[107, 108, 109]])


@check(2)
def test_a_window_has_so_many_days(subject):
    """Seven are seven."""
    turns = [([[102, 103, 104, 105, 106, 107, 108, 109]], "a day too many")]
    expect(_days(subject, [109], 7), [[103, 104, 105, 106, 107, 108, 109]], turns)


@check(2)
def test_no_day_after_the_look_counts(subject):
    """Or an old report would change."""
    turns = [([[104, 105, 106]], "the day after the look is the future")]
    expect(_days(subject, [105], 2), [[104, 105]], turns)


@check(1)
def test_each_look_has_a_row_of_its_own(subject):
    """In their order; days may be in several."""
    expect(_days(subject, [103, 104], 2), [[102, 103], [103, 104]])


@check(2, hidden=True)
def test_a_day_that_is_missing_is_a_gap(subject):
    """On a day without flights there is nothing to add."""
    days = np.array([100, 101, 105, 106])
    expect(_days(subject, [106], 3, days), [[105, 106]])


@check(1, hidden=True)
def test_weights_are_ones_and_zeros(subject):
    """A day is in a window, or it is not; the matrix is (looks, days)."""
    expect(subject.trailing(DAYS[:3], [101], 2), [[1.0, 1.0, 0.0]])
