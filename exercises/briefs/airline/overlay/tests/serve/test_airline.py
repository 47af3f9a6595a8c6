"""The airline's contract: each field reaches the model's input of its meaning."""

import math

import pytest
from pydantic import ValidationError

from pipeline.serve.airline import Flight, Flights, inputs

FIELDS = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "month": 4,
    "day_of_week": 3,
    "minute": 1020,
    "distance": 1400,
    "block_minutes": 227,
}


def test_fields_reach_their_inputs_and_the_rest_is_missing():
    """What the contract lacks is NaN, as on a day without a feed."""
    names = ["distance", "sched_minute", "wind_speed", "origin_is_EWR", "carrier_is_DL"]
    found = inputs(Flight.model_validate(FIELDS), names)
    assert found[:2] + found[3:] == [1400, 1020, 1.0, 0.0]
    assert math.isnan(found[2])


@pytest.mark.parametrize("more", [{"dep_delay": 40}, {"month": 13}, {"distance": "far"}])
def test_other_flights_are_refused(more):
    """A wrong type, a value out of range, and what is known only later."""
    with pytest.raises(ValidationError):
        Flights.model_validate({"flights": [FIELDS | more]})
