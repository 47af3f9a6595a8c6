"""What the page says of rates and waits is what benchmarks/serving.json measured."""

import json

import pytest

from tests.rules import tree

pytestmark = pytest.mark.answer("scaling")
FOUND = json.loads(tree.read("benchmarks/serving.json"))
STORE, GIVEN = FOUND["online"], FOUND["features"]


def test_the_store_is_the_limit_of_a_server(record_property):
    given, store = (of["at_8"]["requests_a_second"] for of in (GIVEN, STORE))
    record_property("requests a second, features in the request", given)
    record_property("requests a second, features from the store", store)
    assert given > 2 * store


def test_eight_callers_at_once_get_less_than_twice_the_answers_of_one():
    one, eight = (STORE[at]["requests_a_second"] for at in ("at_1", "at_8"))
    assert 0.8 < eight / one < 1.4


@pytest.mark.parametrize("server", [STORE, GIVEN], ids=["from the store", "in the request"])
def test_rate_times_time_is_how_many_are_inside(server):
    """Little's law, with the median for the mean; a caller between two requests is not inside."""
    at = server["at_8"]
    inside = at["requests_a_second"] * at["milliseconds"]["p50"] / 1000
    assert 0.75 * 8 < inside < 1.15 * 8


def test_log_and_metrics_are_not_what_limits():
    for name in ("features", "online"):
        assert FOUND["ratios"]["at_8"][f"{name}_to_bare"] > 0.85
