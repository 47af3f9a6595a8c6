"""What pages say of half an hour under load is what benchmarks/soak.json measured."""

import json

import pytest

from benchmarks import soak, soak_figures
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.rules import tree

pytestmark = pytest.mark.answer("scaling")
FOUND = json.loads(tree.read("benchmarks/soak.json"))


def test_it_was_half_an_hour_in_which_everything_happened():
    assert FOUND["conditions"]["seconds"] >= soak.SECONDS
    assert FOUND["changes"]["changes"] == soak.CHANGES
    assert FOUND["kills"]["kills"] == soak.KILLS
    assert FOUND["bursts"]["bursts"] == soak.BURSTS


def test_no_known_caller_met_an_error():
    assert FOUND["errors"] == FOUND["bursts"]["errors"] == 0


def test_few_were_refused_or_given_up_outside_bursts(record_property):
    """None on a machine of one's own; beside other work the processes are stopped for a while."""
    few = FOUND["refused_outside_bursts"] + FOUND["unsent_outside_bursts"]
    record_property("of all requests", few / FOUND["requests"])
    assert few / FOUND["requests"] < 0.01


def test_bursts_were_beyond_the_capacity_and_refused_as_promised():
    bursts = FOUND["bursts"]
    assert bursts["asked_over_capacity"] > 1
    assert bursts["refused"] > 0
    assert bursts["refused_without_retry_after"] == 0
    assert bursts["most_waiting"] <= load(ServeConfig).max_waiting
    assert 0 <= bursts["seconds_until_normal"] <= soak_figures.RECOVERY


@pytest.mark.parametrize("what", ["memory", "files"])
def test_no_process_grew(what):
    assert FOUND["ratios"][what] <= 1.1


def test_the_slowest_answers_were_no_slower_at_the_end(record_property):
    record_property("p99, last third over first", FOUND["ratios"]["p99"])
    assert FOUND["ratios"]["p99"] <= 1.5


def test_of_all_answers_only_those_of_killed_servers_are_not_in_the_log():
    assert 0 <= FOUND["log"]["lost"] <= FOUND["kills"]["kills"] * FOUND["capacity"]
