"""The checks of the rounding of recorded numbers."""

from exercises.workbench.checking import check, expect


@check(2)
def test_the_last_digits_of_a_sum_are_gone(subject):
    """Two processors may add in another order."""
    seen = repr(subject.significant(0.1 + 0.2))
    turns = [("0.30000000000000004", "the digits of one processor are still there")]
    expect(seen, "0.3", turns)


@check(1)
def test_nine_digits_are_kept(subject):
    """As many as are recorded, no more."""
    expect(repr(subject.significant(123.4567891)), "123.456789")


@check(2)
def test_a_small_number_keeps_its_digits(subject):
    """Significant digits, not decimals."""
    turns = [("1e-09", "nine decimals leave one digit of it"), ("0.0", "nothing is left of it")]
    expect(repr(subject.significant(1.23456789012e-9)), "1.23456789e-09", turns)


@check(1, hidden=True)
def test_a_large_number_is_rounded_too(subject):
    """Counts of nanoseconds, say."""
    expect(subject.significant(12345678901234.0), 12345678900000.0, tolerance=0)
