"""The checks of the point-in-time join."""

import numpy as np
import pandas as pd

from exercises.workbench.checking import check, expect


def _rows(entities: list[str], available: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"entity": pd.Categorical(entities), "available_at": available})


ROWS = _rows(["EWR", "EWR", "EWR", "JFK", "LGA"], [10, 20, 30, 50, 5])


@check(2)
def test_the_last_row_before_an_instant_is_returned(subject):
    """Of the entity's rows, the last one that was available: an older one is stale."""
    seen = subject.as_of(ROWS, pd.Series(["EWR", "EWR", "LGA"]), np.array([25, 35, 99]))
    expect(seen, [1, 2, 4], [([0, 0, 4], "the first row of the entity, not the last before `at`")])


@check(2)
def test_a_row_available_at_the_instant_itself_counts(subject):
    """At T the row of T is there: the online store serves it, so training must read it."""
    seen = subject.as_of(ROWS, pd.Series(["EWR", "JFK"]), np.array([20, 50]))
    turns = [([0, -1], "strictly before: a row that is available at T is withheld")]
    expect(seen, [1, 3], turns)


@check(3)
def test_no_row_is_from_after_the_instant(subject):
    """A value that was not known yet is the future: a leak."""
    seen = subject.as_of(ROWS, pd.Series(["EWR", "JFK", "LGA"]), np.array([19, 49, 4]))
    expect(seen, [0, -1, -1], [([1, 3, 4], "the nearest row after T: the future leaks")])


@check(2)
def test_an_entity_without_an_earlier_row_gets_none(subject):
    """The position before an entity's first row is another entity's."""
    seen = subject.as_of(ROWS, pd.Series(["JFK", "LGA", "EWR"]), np.array([1, 1, 1]))
    turns = [([2, 3, -1], "the last row of the entity before: compare the codes at the position")]
    expect(seen, [-1, -1, -1], turns)


@check(2)
def test_an_unknown_entity_gets_none(subject):
    """A route that was never flown has no row at all."""
    seen = subject.as_of(ROWS, pd.Series(["SFO", "EWR"]), np.array([99, 15]))
    expect(seen, [-1, 0], [([2, 0], "an unknown entity took another one's rows: its code is -1")])


@check(1)
def test_a_view_without_rows_gives_none(subject):
    """On the first day of the year a view may be empty."""
    seen = subject.as_of(_rows([], []), pd.Series(["EWR"]), np.array([5]))
    expect(seen, [-1], why="an empty view has no row for anybody")


@check(3, hidden=True)
def test_random_requests_get_what_a_loop_finds(subject):
    """The same as the plain definition, on a table that no one has seen."""
    rng = np.random.default_rng(20130418)
    names = [f"{origin}/{n}" for origin in ("EWR", "JFK", "LGA") for n in range(9)]
    table = pd.DataFrame({"entity": rng.choice(names[:-2], 400), "at": rng.integers(0, 900, 400)})
    table = table.drop_duplicates().sort_values(["entity", "at"], ignore_index=True)
    rows = _rows(table["entity"].tolist(), table["at"].tolist())
    asked, at = rng.choice(names, 300), rng.integers(0, 1000, 300)
    seen = subject.as_of(rows, pd.Series(asked), at)
    expected = []
    for entity, instant in zip(asked, at, strict=True):
        mine = table.index[(table["entity"] == entity) & (table["at"] <= instant)]
        expected.append(int(mine[-1]) if len(mine) else -1)
    expect(seen, expected)


@check(1, hidden=True)
def test_two_hundred_thousand_requests_are_answered_in_time(subject):
    """A loop over requests takes minutes for a year of flights: look at all of them at once."""
    entities = np.repeat([f"N{n:04}" for n in range(1000)], 100)
    rows = _rows(entities.tolist(), np.tile(np.arange(100) * 60, 1000).tolist())
    asked = pd.Series(np.tile(entities, 2))
    expect(subject.as_of(rows, asked, np.full(len(asked), 3000))[:3], [50, 50, 50])
