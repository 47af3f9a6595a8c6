"""The checks of the comparison of rebuilt tables."""

import numpy as np
import pandas as pd

from exercises.workbench.checking import check, expect, holds

TOLERANCE = 2.0**-20
"""A power of two, so that the limit itself can be hit exactly."""


def _table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns or {"flight": [1545, 725, 461], "risk": [0.25, 0.5, 0.125]})


def _answer(subject, old: pd.DataFrame, new: pd.DataFrame, tolerance: float = TOLERANCE) -> str:
    return str(subject.compare_tables(old, new, tolerance)[0])


@check(1)
def test_the_same_rows_are_equal(subject):
    """In whatever bytes they came."""
    expect(_answer(subject, _table(), _table()), "equal")


@check(2)
def test_a_small_difference_is_within_the_tolerance(subject):
    """The order of additions, say."""
    new = _table().assign(risk=[0.25, 0.5 + TOLERANCE / 2, 0.125])
    expect(_answer(subject, _table(), new), "within tolerance")
    expect(_answer(subject, _table(), new, 0.0), "different", why="data have no tolerance")


@check(2)
def test_the_limit_itself_is_within_it(subject):
    """At most the limit, as everywhere in this project."""
    new = _table().assign(risk=[0.25 + TOLERANCE, 0.5, 0.125])
    expect(_answer(subject, _table(), new), "within tolerance")


@check(2)
def test_one_row_in_many_decides(subject):
    """The largest difference, not the mean one."""
    old = pd.DataFrame({"risk": np.full(100_000, 0.25)})
    new = old.copy()
    new.loc[777, "risk"] = 0.25 + 8 * TOLERANCE
    turns = [("within tolerance", "one row is quite another one: the mean hides it")]
    expect(_answer(subject, old, new), "different", turns)


@check(2)
def test_a_value_that_went_missing_is_different(subject):
    """A gap is no number that could be near."""
    new = _table().assign(risk=[0.25, np.nan, 0.125])
    expect(_answer(subject, _table(), new), "different")
    expect(_answer(subject, new, new.copy()), "equal", why="the same gap on both sides is equal")


@check(1)
def test_what_is_no_float_has_no_tolerance(subject):
    """A flight number that is one more is another flight."""
    expect(_answer(subject, _table(), _table().assign(flight=[1545, 725, 462])), "different")


@check(1)
def test_other_rows_or_columns_are_different(subject):
    """Nothing can be compared row by row."""
    for new in (_table().iloc[:2], _table().rename(columns={"risk": "score"})):
        expect(_answer(subject, _table(), new, 1.0), "different")


@check(2, hidden=True)
def test_infinities_and_types_are_compared(subject):
    """Equal infinities are equal; a float32 is another type, however near."""
    old = _table(risk=[np.inf, -np.inf, 1.0])
    expect(_answer(subject, old, old.copy()), "equal", why="inf - inf is NaN, and no difference")
    expect(_answer(subject, old, _table(risk=[-np.inf, np.inf, 1.0])), "different")
    expect(_answer(subject, _table(), _table().astype({"risk": "float32"}), 1.0), "different")


@check(1, hidden=True)
def test_a_table_without_columns_is_equal_to_itself(subject):
    """An empty output is an output."""
    seen = _answer(subject, pd.DataFrame(index=range(3)), pd.DataFrame(index=range(3)))
    holds(seen == "equal", "equal", seen)
