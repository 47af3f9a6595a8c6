"""Costs by command: what one command starts in turn is that one's, not its own."""

import pytest

from benchmarks import profiles
from pipeline.records.command_runs import CommandRun

pytestmark = pytest.mark.answer("latency")


def test_a_command_costs_what_the_commands_that_it_starts_do_not():
    runs = [
        CommandRun("train", 30.0, 10.0, "done", ""),
        CommandRun("evaluate", 35.0, 5.0, "refused", ""),
        CommandRun("loop", 40.0, 40.0, "done", ""),
        CommandRun("train", 60.0, 10.0, "done", ""),
    ]
    assert profiles.by_command(runs, 100.0) == {
        "simulation/__main__:loop": 0.25,
        "pipeline/__main__:train": 0.2,
        "pipeline/__main__:evaluate": 0.05,
    }
