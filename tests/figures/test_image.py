"""The recorded image is the one that the lock gives today, and small enough to be carried around."""

import json

from pipeline.shared import requirements
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/image.json"))


def test_it_holds_as_many_packages_as_the_servers_lock():
    lock = tree.read("configs/serve/requirements.lock")
    assert FOUND["packages"] == len(list(requirements.entries(lock)))


def test_it_has_at_most_800_mb_of_which_the_base_is_a_part():
    assert FOUND["base_mb"] < FOUND["image_mb"] <= 800


def test_it_was_started_more_than_once():
    assert FOUND["rounds"] >= 5
    assert FOUND["ready_seconds"] > 0
