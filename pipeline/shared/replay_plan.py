"""The months of a use case's replay, and the faults of its domain in them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Story:
    """The months that a replay runs through, and the faults of this domain in them.

    The loop runs to the first day of `until`, and on to the second if no attempt was promoted by
    then. The schedule is put off to `max_age_days`, so that the outcome calls. Of `bad_month` a
    column of a published `file` is changed by `spoil`: those of its rows whose column `month[0]` is
    `month[1]`; `fault` is what that is called. `evening` is a feature, and its value from which on
    a model that is bad in one slice is wrong.
    """

    until: tuple[str, str]
    max_age_days: int
    bad_month: str
    fault: str
    file: str
    month: tuple[str, str]
    column: str
    spoil: Callable[[str], str]
    evening: tuple[str, float]
