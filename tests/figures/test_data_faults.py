"""What the pages say of faults inside a month is what benchmarks/data_faults.json measured."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import data_faults
from exercises.faults import FAULTS
from pipeline.flights.limits import FlightLimits
from pipeline.shared.config.loading import load
from tests.rules import tree

pytestmark = pytest.mark.answer("data-validation")

FOUND = json.loads(tree.read("benchmarks/data_faults.json"))
LIMITS = load(FlightLimits)
AGREED = LIMITS.consistency
RANGES = {
    f"{table}.{name}": limit
    for table, limits in (
        ("flights", AGREED.flight_rows | AGREED.flight_days),
        ("weather", AGREED.weather_rows | AGREED.weather_days),
    )
    for name, limit in limits.items()
}
LARGEST = f"{max(data_faults.DAYS)}d {max(data_faults.SHARES):.0%}"
NOT_ALL = {"EWR and JFK swapped": 0, "mornings of EWR lost": 5, "rain dealt anew": 4}
"""Two skies are too much alike; half a month without mornings is its usual; some months are dry."""


def test_a_clean_year_is_refused_in_no_month(record_property: Callable[[str, object], None]):
    assert FOUND["months"] == 24
    assert FOUND["false_alarms"] == {}
    record_property("of 24 clean tables refused for consistency", len(FOUND["false_alarms"]))


@pytest.mark.parametrize("name", RANGES)
def test_a_limit_lies_outside_of_what_the_year_held(name):
    low, high = RANGES[name]
    for half in FOUND["extremes"][name].values():
        assert low <= half[0] <= half[1] <= high


def test_every_fault_was_planted_in_every_size():
    sizes = {f"{days}d {share:.0%}" for days in data_faults.DAYS for share in data_faults.SHARES}
    assert list(FOUND["faults"]) == list(FAULTS)
    assert all(set(one["found_of_6"]) == sizes for one in FOUND["faults"].values())


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_found_of_a_fault_of_two_weeks_in_all_rows(name):
    found = FOUND["faults"][name]["found_of_6"][LARGEST]
    assert found == NOT_ALL.get(name, 6)


@pytest.fixture(scope="module")
def year():
    return data_faults.Year.of()


@pytest.mark.parametrize("name", ["AA, DL and MQ rotated", "sky of an hour before"])
def test_the_real_gate_refuses_what_the_study_says_it_does(year, name):
    from pipeline.shared import expectations
    from pipeline.validate import judge

    fault = FAULTS[name]
    rows = year.months[fault.table, 9]
    hit = rows["day"].between(10, 24).to_numpy()
    planted = fault.plant(rows, hit, np.random.default_rng(0))
    expected = data_faults.broken(fault.table, planted, year.known[9], LIMITS)
    judged = judge.judge(
        expectations.new_context(), fault.table, "2013-09", planted, {}, LIMITS, year.known[9]
    )
    named = {outcome.rule.replace("-", "_") for outcome in judged.refusals}
    assert expected
    assert set(expected) <= named
