"""A month that has only begun is held to what can be asked of some days, and to no more."""

from collections.abc import Callable

import pandas as pd
import pytest

from pipeline.flights import rules as suites
from pipeline.flights.limits import FlightLimits
from pipeline.shared.config.loading import load

pytestmark = pytest.mark.answer("data-validation")

LIMITS = load(FlightLimits)
SHAPE = {"late-share", "cancelled-share", "divergence", "mean-shift", "spread"}


@pytest.fixture(scope="module")
def reference(published_year):
    flights = published_year["flights"]
    return flights[flights["month"] <= 3]


def named(rules):
    return {rule.meta["rule"] for rule in rules}


def test_a_few_days_are_not_held_to_the_shape_of_a_month(reference):
    whole = suites.rules("flights", "2013-05", reference, LIMITS)
    few = suites.rules("flights", "2013-05-12", reference, LIMITS)
    assert named(whole) - named(few) == SHAPE
    assert named(suites.rules("flights", "2013-05-14", reference, LIMITS)) == named(whole)


def test_every_day_up_to_the_last_has_to_be_there_and_no_later_one(reference):
    rules = suites.rules("flights", "2013-05-12", reference, LIMITS)
    every = next(rule for rule in rules if rule.meta["rule"] == "every-day")
    assert every.value_set == list(range(1, 13))
    own = [rule for rule in rules if rule.meta["rule"] == "own-month" and rule.column[-3:] == "utc"]
    assert [rule.max_value for rule in own] == [pd.Timestamp("2013-05-13", tz="America/New_York")]


@pytest.mark.long
def test_the_beginning_of_every_month_passes_what_is_asked_of_it(
    published_year, reference, record_property: Callable[[str, object], None]
):
    """The real flights: the first three days of each month, storms and holidays among them."""
    from pipeline.shared import expectations
    from pipeline.validate import judge

    flights, context = published_year["flights"], expectations.new_context()
    refused, judged = {}, 0
    for month in range(1, 13):
        name = f"2013-{month:02}-03"
        rows = flights[(flights["month"] == month) & (flights["day"] <= 3)].reset_index(drop=True)
        found = judge.judge(context, "flights", name, rows, {"2013-01": reference}, LIMITS)
        judged += len(rows)
        if found.refusals:
            refused[name] = [outcome.rule for outcome in found.refusals]
    assert refused == {}
    record_property("real flights judged, the first three days of each month", judged)
    record_property("of 12 real months refused by their beginning", len(refused))
