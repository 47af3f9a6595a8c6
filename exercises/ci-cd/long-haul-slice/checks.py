"""The acceptance checks of the slice of long flights."""

import pandas as pd

from exercises.workbench.checking import check, expect, holds
from pipeline.flights.slices import FlightSlices

RULE = FlightSlices(
    hour_bands=[0, 9, 17],
    named_carriers=["UA", "HA"],
    storm_share=0.5,
    min_positives=50,
    min_days=5,
    veto_point=0.01,
)


def _frame(distance: list[float | None]) -> pd.DataFrame:
    rows = len(distance)
    return pd.DataFrame(
        {
            "origin": (["EWR", "JFK"] * rows)[:rows],
            "carrier": (["UA", "HA", "B6"] * rows)[:rows],
            "sched_hour": ([7, 12, 20] * rows)[:rows],
            "distance": pd.Series(distance, dtype="float64"),
            "system_dep_late_3h": ([0.1, 0.7] * rows)[:rows],
            "aircraft_known_at": pd.to_datetime((["2013-05-01", None] * rows)[:rows], utc=True),
        }
    )


def _long(subject, distance: list[float | None]) -> object:
    masks = subject.slices(_frame(distance), RULE)
    holds("long haul" in masks, "a slice named long haul", f"the slices {', '.join(masks)}")
    return masks["long haul"]


@check(3)
def test_the_slice_is_there_by_its_name(subject):
    """Hawaii and California are far, Boston is not."""
    seen = _long(subject, [4983.0, 187.0, 2475.0])
    expect(seen, [True, False, True], [([True, False, False], "`distance` is in miles")])


@check(2)
def test_a_flight_of_just_the_limit_is_in_it(subject):
    """At least 2,000 miles: the limit itself counts."""
    seen = _long(subject, [2000.0, 1999.0])
    expect(seen, [True, False], [([False, False], "more than, and the task says at least")])


@check(2)
def test_a_flight_without_a_distance_is_not_in_it(subject):
    """Unknown is neither: a slice holds what is known to belong to it."""
    seen = _long(subject, [None, 2500.0])
    expect(seen, [False, True], [([True, True], "what is not short is not therefore long")])


@check(3)
def test_every_slice_of_before_is_as_it_was(subject):
    """Slices are a contract: their names are in recorded verdicts."""
    masks = subject.slices(_frame([2500.0, 187.0, 900.0, 2000.0]), RULE)
    before = {name: mask for name, mask in masks.items() if name != "long haul"}
    expected = {
        "origin EWR": [True, False, True, False],
        "origin JFK": [False, True, False, True],
        "hour 00-08": [True, False, False, True],
        "hour 09-16": [False, True, False, False],
        "hour 17-23": [False, False, True, False],
        "carrier UA": [True, False, False, True],
        "carrier HA": [False, True, False, False],
        "carrier other": [False, False, True, False],
        "storm": [False, True, False, True],
        "aircraft known": [True, False, True, False],
    }
    expect(sorted(before), sorted(expected), why="a slice of before is gone, or has another name")
    expect(before, expected)


@check(1, hidden=True)
def test_a_month_without_a_long_flight_has_no_such_slice(subject):
    """An empty slice says nothing and must not be compared."""
    masks = subject.slices(_frame([187.0, 1000.0]), RULE)
    holds("long haul" not in masks, "no slice without a flight", f"{', '.join(masks)}")
