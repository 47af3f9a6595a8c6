"""A rule that holds for each of many things is one test, which loses no name of what breaks it."""

import pytest

from tests.rules import tree


def _odd(number: int) -> None:
    """A rule."""
    assert number % 2, "even"


def test_everything_that_breaks_a_rule_is_named_with_why() -> None:
    with pytest.raises(AssertionError) as told:
        tree.each([1, 2, 3, 4])(_odd)()
    said = str(told.value)
    assert said.startswith("2 break it\n\n2: even")
    assert "4: even" in said
    assert "\n3:" not in said


def test_a_rule_that_everything_keeps_passes_and_bears_its_name() -> None:
    rule = tree.each([(1, 3), (5, 7)])(lambda one, other: _odd(one * other))
    rule()
    assert tree.each([1])(_odd).__name__ == "_odd"
    assert tree.each([1])(_odd).__doc__ == "A rule."


def test_a_rule_that_cannot_be_asked_is_no_rule_that_holds() -> None:
    with pytest.raises(ZeroDivisionError):
        tree.each([0])(lambda number: 1 / number)()
