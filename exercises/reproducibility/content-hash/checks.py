"""The checks of a table's digest."""

import numpy as np
import pandas as pd

from exercises.workbench.checking import check, holds


def _same(subject, one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return bool(subject.content_hash(one) == subject.content_hash(other))


def _delays(*values: float | None) -> pd.DataFrame:
    return pd.DataFrame({"dep_delay": pd.Series(values, dtype="float64")})


@check(3)
def test_a_missing_value_is_no_zero(subject):
    """A cancelled flight has no delay; a punctual one has 0."""
    same = _same(subject, _delays(5, None, 7), _delays(5, 0, 7))
    why = "a missing number is stored as zero: something else has to tell them apart"
    holds(not same, "two digests", "one digest of 5, -, 7 and of 5, 0, 7", why)


@check(2)
def test_which_row_is_missing_counts(subject):
    """As many gaps in other rows are another table."""
    same = _same(subject, _delays(0, None, 0), _delays(None, 0, 0))
    holds(not same, "two digests", "one digest of 0, -, 0 and of -, 0, 0")


@check(1)
def test_an_equal_table_has_an_equal_digest(subject):
    """A copy, however it came about."""
    one = _delays(5, None, 7)
    holds(_same(subject, one, one.iloc[::-1].iloc[::-1]), "one digest", "two of a table and a copy")


def _forms(kind):
    """Beside the solution: the digests of NaN in its two forms, as files of others have them."""
    import numpy as np
    import pandas as pd

    from pipeline.shared.files import content_hash

    quiet = np.array([0x7FF8000000000000, 0xFFF8000000000001], dtype="uint64").view(kind)
    return [content_hash(pd.DataFrame({"dep_delay": [1.0, value]})) for value in quiet]


@check(2, hidden=True)
def test_every_form_of_nan_is_the_same(subject):
    """A sign bit of NaN means nothing."""
    seen = subject.do(_forms, "float64")
    holds(seen[0] == seen[1], "one digest", "two of NaN and of NaN with its sign set")


@check(2)
def test_names_and_their_order_count(subject):
    """The same numbers under other names say something else."""
    one = pd.DataFrame({"dep": [1.0, 2.0], "arr": [3.0, 4.0]})
    holds(
        not _same(subject, one, one.rename(columns={"dep": "arr", "arr": "dep"})),
        "two digests",
        "one digest though the columns changed their names",
    )


@check(1, hidden=True)
def test_types_and_the_order_of_rows_count(subject):
    """1 is not 1.0 for who reads it, and a sorted table is another one."""
    whole = pd.DataFrame({"late": np.array([1, 0], dtype="int64")})
    holds(not _same(subject, whole, whole.astype("float64")), "two digests", "one for 1 and 1.0")
    holds(not _same(subject, whole, whole.iloc[::-1]), "two digests", "one for either order")


@check(1, hidden=True)
def test_texts_do_not_run_into_each_other(subject):
    """ "ab", "c" and "a", "bc" have the same letters."""
    one, other = (pd.DataFrame({"x": pair}) for pair in (["ab", "c"], ["a", "bc"]))
    holds(not _same(subject, one, other), "two digests", "one digest of ab, c and of a, bc")
