"""What each group of features is worth, and what other settings would gain, as it was measured."""

import json

import pytest

from benchmarks import choices
from pipeline.features.definitions import FEATURES
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from tests.rules import tree

pytestmark = pytest.mark.answer("experiment-tracking")
FOUND, LEAK = (json.loads(tree.read(f"benchmarks/{name}.json")) for name in ("choices", "leak"))
WITHOUT = {name: found["worse_by"] for name, found in FOUND["without"].items()}
WITH = {name: found["worse_by"] for name, found in FOUND["with"].items()}


def test_every_feature_is_in_exactly_one_group():
    assert sorted(name for names in choices.GROUPS.values() for name in names) == sorted(FEATURES)
    assert list(WITHOUT) == list(choices.GROUPS)


def test_every_setting_is_halved_and_doubled_alone():
    config = load(TrainConfig)
    found = choices.neighbours(config)
    assert list(found) == list(WITH)
    for other in found.values():
        pairs = zip(other.boosting, config.boosting, strict=True)
        ((changed, was),) = [(one[1], two[1]) for one, two in pairs if one != two]
        assert changed in (was * 2, was / 2, was // 2)


def test_it_was_measured_as_the_other_studies_of_features_were():
    assert FOUND["learned"] == LEAK["learned"]
    assert FOUND["scored"] == LEAK["scored"]
    assert FOUND["as it is"] == LEAK["joins"]["point_in_time"]["offline"]


def test_no_group_of_features_surely_harms():
    assert {name for name, worse in WITHOUT.items() if worse["high"] < 0} == set()


@pytest.mark.parametrize("name", ["aircraft", "schedule", "destination so far", "which carrier"])
def test_what_the_model_needs_is_surely_missed(name):
    assert WITHOUT[name]["low"] > 0


def test_larger_trees_would_gain_something_and_not_much():
    assert WITH["max_leaf_nodes 30"]["high"] < 0
    assert min(worse["point"] for worse in WITH.values()) > -0.004
