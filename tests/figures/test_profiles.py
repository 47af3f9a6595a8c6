"""What docs/profiles.md shows is what benchmarks/profiles.json recorded."""

import json

import pytest

from benchmarks import profiles
from docs import measured
from tests.rules import tree

pytestmark = pytest.mark.answer("latency")
FOUND = json.loads(tree.read("benchmarks/profiles.json"))
COSTS = [*FOUND["run"].values(), *FOUND["request"].values()]


def test_the_page_is_made_from_the_record():
    assert tree.read("docs/profiles.md") == measured.profiles(FOUND)


def test_every_stage_the_story_and_a_run_with_nothing_to_do_were_profiled():
    assert list(FOUND["run"]) == [*profiles.STAGES, "story", "nothing to do"]
    assert set(FOUND["request"]) == {"features", "online"}
    assert set(FOUND["tests"]) <= {"flow", "unit-tests"}  # those that had run in that folder


def test_costs_are_shares_with_the_largest_first():
    for of in COSTS:
        shares = list(of["share"].values())
        assert 0 < len(shares) <= profiles.LARGEST
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.01


def test_every_cost_is_a_function_of_ours_or_imports():
    modules = {name.partition(":")[0] for of in COSTS for name in of["share"]} - {profiles.IMPORTS}
    assert {name for name in modules if f"{name}.py" not in tree.files()} == set()
