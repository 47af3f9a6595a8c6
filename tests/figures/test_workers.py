"""What pages say of a second worker is what benchmarks/workers.json measured."""

import json

import pytest

from benchmarks import workers
from tests.rules import tree

pytestmark = pytest.mark.answer("scaling")
FOUND = json.loads(tree.read("benchmarks/workers.json"))


@pytest.mark.parametrize("name", workers.SERVERS)
def test_every_server_was_asked_by_every_number_of_callers(name):
    for callers in workers.CALLERS:
        of = FOUND["servers"][name][f"at_{callers}"]
        assert of["requests_a_second"] > 0
        assert of["errors"] == 0


@pytest.mark.parametrize("callers", workers.CALLERS)
def test_quartiles_are_around_the_median(callers):
    for of in FOUND["ratios"][f"at_{callers}"].values():
        low, high = of["quartiles"]
        assert low <= of["median"] <= high


def test_a_second_worker_answers_more_of_eight_callers(record_property):
    found = FOUND["ratios"]["at_8"]
    record_property("two workers over one", found["one"]["median"])
    record_property("two workers over `mlflow models serve`", found["mlflow"]["median"])
    assert found["one"]["median"] > 1
