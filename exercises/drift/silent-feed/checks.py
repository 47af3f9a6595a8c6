"""The checks of drift by missing values."""

import math

from exercises.workbench.checking import check, expect, holds


def _psi(old, new):
    """Beside the solution: the index of columns by daily counts, the last bin for missing."""
    import numpy as np

    from pipeline.monitor.inputs.psi import Bins, Counts, psi

    def counts(columns):
        tables = [np.array([one], "float64") for one in columns]
        bins = [Bins(f"c{n}", np.arange(len(one)), None) for n, one in enumerate(columns)]
        return Counts(np.array([0]), bins, tables)

    return psi(counts(old), counts(new), np.ones((1, 1)))[0]


def _two(a: float, b: float, c: float, d: float) -> float:
    """The index of two shares, from a and b to c and d."""
    return (c - a) * math.log(c / a) + (d - b) * math.log(d / b)


@check(3)
def test_a_feed_that_stops_is_drift(subject):
    """Nine of ten rows without a value, the others spread as ever."""
    seen = subject.do(_psi, [[45, 45, 10]], [[5, 5, 90]])
    turns = [([0.0], "the values that are there did not move: missing values were left out")]
    expect(seen, [_two(0.9, 0.1, 0.1, 0.9)], turns)


@check(2)
def test_values_that_moved_are_drift(subject):
    """As before, with as many missing as ever."""
    expect(subject.do(_psi, [[45, 45, 10]], [[81, 9, 10]]), [_two(0.5, 0.5, 0.9, 0.1)])


@check(2)
def test_each_column_has_its_own(subject):
    """One feed stops, another one does not."""
    seen = subject.do(_psi, [[45, 45, 10], [50, 50, 0]], [[5, 5, 90], [50, 50, 0]])
    expect(seen, [_two(0.9, 0.1, 0.1, 0.9), 0.0], tolerance=1e-6)


@check(2)
def test_the_larger_one_counts_and_not_the_sum(subject):
    """Both moved a little: two warnings are no alert."""
    values, missing = _two(0.5, 0.5, 0.6, 0.4), _two(0.9, 0.1, 0.8, 0.2)
    expect(subject.do(_psi, [[45, 45, 10]], [[48, 32, 20]]), [max(values, missing)])


@check(1, hidden=True)
def test_a_column_that_is_always_there_is_finite(subject):
    """No missing value on either side."""
    seen = subject.do(_psi, [[50, 50, 0]], [[60, 40, 0]])[0]
    holds(0 < seen < 0.1, "about 0.04", f"{seen:.3f}")
