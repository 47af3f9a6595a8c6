"""The small project with what a brief adds to it passes that brief, by its own commands."""

import shutil

import pytest

from exercises import drill
from exercises.briefs import suite
from tests.flow import life

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]
SPEED = ["test_95_of_100_answers_come_within_100_ms"]
"""What depends on the machine, and is measured on one that does nothing else."""


def _with_overlay(source, folder, brief):
    life.twin(source, folder)
    shutil.copytree(suite.FOLDER / brief / "overlay", folder, dirs_exist_ok=True)
    return folder


def _failed(found):
    return {one.name: (one.seen, one.why) for one in found.failed() if one.name not in SPEED}


def test_the_airlines_brief(small, shelf, record_property):
    folder = _with_overlay(small.folder, shelf / "airline", "airline")
    found, measured = suite.check("airline", folder, seconds=10)
    record_property("measured", measured)
    assert _failed(found) == {}
    assert measured["errors"] == 0


def test_the_joined_brief(aged, shelf):
    """Two versions of one feature service: the definitions as they were when both were trained."""
    folder = _with_overlay(aged.folder, shelf / "joined", "joined")
    definitions = folder / "pipeline/flights/features.py"
    drill.replace_once(
        definitions, '"dep_late": [2], "late": [24]', '"dep_late": [1, 3], "late": [24]'
    )
    found, _ = suite.check("joined", folder)
    assert _failed(found) == {}
