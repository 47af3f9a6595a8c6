"""The checks of the population stability index."""

import math

import numpy as np

from exercises.workbench.checking import check, expect

LEAST = 1e-4


def _index(old, new):
    """Beside the solution: the index of counts (windows, bins)."""
    import numpy as np

    from pipeline.monitor.inputs.psi import _index, _shares

    with np.errstate(all="ignore"):
        return _index(_shares(np.array(old, "float64")), _shares(np.array(new, "float64")))


def _psi(old: list[float], new: list[float]) -> float:
    """The definition, bin by bin."""
    shares = [[c / sum(counts) or LEAST for c in counts] for counts in (old, new)]
    return sum((n - o) * math.log(n / o) for o, n in zip(*shares, strict=True))


@check(1)
def test_equal_shares_have_no_index(subject):
    """The same distribution, in another number of flights."""
    expect(subject.do(_index, [[10, 30, 60]], [[1, 3, 6]]), [0.0])


@check(2)
def test_the_index_is_that_of_the_definition(subject):
    """Of shares, with the natural logarithm."""
    old, new = [50, 30, 20], [30, 30, 40]
    turns = [([_psi(old, new) / math.log(2)], "in bits; the limits are for nats")]
    expect(subject.do(_index, [old], [new]), [_psi(old, new)], turns)


@check(2)
def test_it_is_the_same_in_both_directions(subject):
    """Neither window is the first by nature."""
    there, back = (subject.do(_index, [a], [b])[0] for a, b in (([9, 1], [1, 1]), ([1, 1], [9, 1])))
    expect(there, back, why="one direction is a divergence, not the index")


@check(2)
def test_the_size_of_a_window_does_not_matter(subject):
    """Twice as many flights drift no more."""
    one, twice = (subject.do(_index, [[50, 50]], [[30 * n, 70 * n]])[0] for n in (1, 2))
    expect(one, twice)


@check(3)
def test_a_bin_that_emptied_counts(subject):
    """And is finite: a share of 0 has no logarithm."""
    turns = [([0.0], "an empty bin was left out: it is the largest change of all")]
    expect(subject.do(_index, [[50, 50]], [[100, 0]]), [_psi([50, 50], [100, 0])], turns)


@check(1, hidden=True)
def test_windows_are_computed_side_by_side(subject):
    """A row each; the reference has one."""
    seen = subject.do(_index, [[50, 50]], [[50, 50], [30, 70], [0, 100]])
    expect(seen, [0.0, _psi([50, 50], [30, 70]), _psi([50, 50], [0, 100])])


@check(1, hidden=True)
def test_a_window_without_values_is_not_its_business(subject):
    """Missing values are compared elsewhere: this is 0, and no NaN."""
    expect(subject.do(_index, [[50, 50]], [[0, 0]]), [0.0])


@check(1, hidden=True)
def test_a_tiny_share_is_not_filled_by_a_larger_one(subject):
    """Where the least share is tiny itself, the fill is a millionth of it."""
    old, many = [1, 1_000_000, 0], 1_000_001
    seen = subject.do(_index, [old], [[1, 1_000_000, 1]])[0]
    fill, new = 1 / many / 1e6, np.array([1, 1_000_000, 1]) / (many + 1)
    pairs = zip([1 / many, 1e6 / many, fill], new, strict=True)
    expected = sum((n - o) * math.log(n / o) for o, n in pairs)
    expect(seen, expected, tolerance=1e-6)
