"""What the page says of cost is what benchmarks/cost.json measured."""

import json

import pytest

from benchmarks import cost
from tests.rules import tree

pytestmark = pytest.mark.answer("cost")
FOUND = json.loads(tree.read("benchmarks/cost.json"))
ONLINE, GIVEN = (FOUND[of]["processor_seconds_a_million"] for of in ("online", "features"))
BATCH = FOUND["batch_seconds_a_million"]


def test_a_retraining_is_the_sum_of_its_stages():
    stages = FOUND["retraining"]
    assert set(stages) == {*cost.STAGES, "all"}
    assert stages["all"] == pytest.approx(sum(stages[one] for one in cost.STAGES), abs=0.2)


def test_a_batch_costs_a_fraction_and_the_store_most_of_an_answer(record_property):
    record_property("processor seconds, a million online", ONLINE)
    record_property("processor seconds, a million in a batch", BATCH)
    assert ONLINE > 2 * GIVEN, "docs/answers/cost.md: the features are most of it"
    assert ONLINE > 50 * BATCH


@pytest.mark.parametrize("path", ["online", "features"])
def test_no_server_spends_more_processors_than_the_machine_has(path):
    """The requests of a second cannot take more than its two processor seconds."""
    served = FOUND[path]
    assert served["requests_a_second"] * served["processor_seconds_a_million"] / cost.MILLION < 2


def test_the_service_keeps_a_processor_busy_for_less_than_a_hundredth_of_the_day():
    assert cost.busy(FOUND) == FOUND["busy_share_of_a_day"] < 0.01
    assert FOUND["flights_a_day"] == round(336_776 / 365)


def test_money_is_processor_time_at_the_assumed_price():
    assert cost.dollars(FOUND) == FOUND["dollars"]
    found = {
        "retraining": {"all": 3600.0},
        "online": {"processor_seconds_a_million": 3600},
        "batch_seconds_a_million": 36.0,
    }
    money = cost.dollars(found)
    assert money["a_retraining"] == money["a_million_online"] == cost.PRICE
    assert money["a_million_in_a_batch"] == cost.PRICE / 100
    assert money["a_processor_that_waits_a_day"] == pytest.approx(24 * cost.PRICE)


def test_waiting_costs_more_than_working():
    worked = FOUND["dollars"]["a_million_online"] * FOUND["flights_a_day"] / cost.MILLION
    assert FOUND["dollars"]["a_processor_that_waits_a_day"] > 50 * worked


def test_what_is_stored_of_a_prediction_is_less_than_a_kilobyte_or_two():
    assert 100 < FOUND["log_bytes_a_prediction"] < 4_000
    assert all(size > 0 for size in FOUND["storage"].values())
