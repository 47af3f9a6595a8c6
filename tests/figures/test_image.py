"""What the page says of the server's image is what benchmarks/image.json measured."""

import json
from pathlib import Path

from benchmarks import image
from pipeline.shared import requirements
from tests.flow.test_image import MOST_BYTES
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/image.json"))


def test_the_image_is_within_the_limit_that_a_new_one_has_to_keep(record_property):
    record_property("megabytes of the server's image", FOUND["image_mb"])
    assert 0 < FOUND["base_mb"] < FOUND["image_mb"] <= MOST_BYTES / 1e6


def test_it_holds_the_packages_of_the_servers_lock():
    lock = Path(tree.ROOT / "configs/serve/requirements.lock").read_text(encoding="utf-8")
    assert FOUND["packages"] == len(list(requirements.entries(lock)))


def test_it_is_ready_long_before_it_was_built():
    assert FOUND["rounds"] == image.ROUNDS
    assert 0 < FOUND["ready_seconds"] < FOUND["build_seconds"]
    assert FOUND["ready_seconds"] < image.START_SECONDS
