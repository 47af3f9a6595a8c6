"""The checks of the coverage of training rows."""

from typing import Any

import pandas as pd

from exercises.workbench.checking import check, expect, holds
from pipeline.shared.config.retrain import Guards

GUARDS = Guards(
    recent_days=7,
    min_coverage=0.7,
    min_complete=0.9,
    min_rows_a_day=5.0,
    max_staleness_ratio=2.0,
)
HOURS = [0, 9, 17]


def _rows(without: str = "", cut: float = 1.0, few: bool = False) -> pd.DataFrame:
    """Flights of 28 days: three airports, three parts of the day, ten flights in each.

    In the newest week a share `cut` of the cell `without` is left, such as "JFK 7"; with `few`,
    a fourth airport has a flight in the older weeks' mornings only, one a day.
    """
    found = []
    for day in range(1, 29):
        for origin in ("EWR", "JFK", "LGA"):
            for hour in (7, 12, 19):
                many = 10 * (cut if day > 21 and f"{origin} {hour}" == without else 1.0)
                found += [(day, origin, hour, n) for n in range(round(many))]
        found += [(day, "ISP", 7, 0)] if few and day <= 21 else []
    frame = pd.DataFrame(found, columns=["day", "origin", "sched_hour", "n"])
    times = zip(frame["day"], frame["sched_hour"], strict=True)
    departures = [f"2013-06-{day:02}T{hour + 4:02}:00Z" for day, hour in times]
    return frame.assign(
        month=6, carrier="UA", flight=frame.index + 1, sched_dep_utc=pd.to_datetime(departures)
    )


def _found(subject, rows: pd.DataFrame) -> Any:
    return subject.coverage(rows, GUARDS, HOURS)


@check(3)
def test_the_mornings_of_one_airport_are_missed(subject):
    """One of nine cells has a fifth of its flights."""
    seen = _found(subject, _rows("JFK 7", 0.2))
    turns = [
        ([True, 0.9111], "the mean over all cells: one that is lost disappears in it"),
        ([True, 1.0], "the best cell decides, and the worst should"),
    ]
    expect([seen.passed, seen.found], [False, 0.2], turns)


@check(2)
def test_the_worst_cell_is_named(subject):
    """So that a person knows which feed to look at."""
    words = _found(subject, _rows("JFK 7", 0.2)).detail
    holds("JFK from 00h" in words, "JFK from 00h", words)


@check(2)
def test_a_cell_that_is_gone_counts_as_nothing(subject):
    """No flight at all in the newest week."""
    seen = _found(subject, _rows("LGA 19", 0.0))
    expect([seen.passed, seen.found], [False, 0.0])


@check(1)
def test_a_whole_week_passes(subject):
    """As many flights in each cell as before."""
    seen = _found(subject, _rows())
    expect([seen.passed, seen.found], [True, 1.0])


@check(2, hidden=True)
def test_a_cell_with_hardly_a_flight_does_not_count(subject):
    """One flight a day may be none for a week."""
    expect(_found(subject, _rows(few=True)).found, 1.0)


@check(1, hidden=True)
def test_the_limit_itself_is_enough(subject):
    """At least 0.7."""
    expect(_found(subject, _rows("EWR 12", 0.7)).passed, True)
