"""The second use case goes the whole way: its story, its guards, and the drills that it shares."""

import json
import re

import pytest

from exercises import drill
from pipeline.records import rollout_ledger
from tests.flow import life
from tests.rules import tree

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]
REPLAY = "state/replay/run"
DRILLS = ["date-join", "mixed-release", "cut-ledger"]
"""Drills that run here unchanged; benchmarks/drills-bikes.json records all that do."""


@pytest.fixture(scope="module")
def story(shelf):
    """A fresh clone in which `make run USECASE=bikes` has run."""
    folder = life.checkout(shelf / "bikes-story")
    return life.Life(folder, life.run(folder, "make", "run", "USECASE=bikes").well())


@pytest.fixture(scope="module")
def moves(story):
    """The transitions of the replay's ledger."""
    ledger = story.folder / REPLAY / "state/rollout/ledger.db"
    return [one.move for one in rollout_ledger.entries(ledger)]


def test_the_story_is_told_of_its_own_year(story):
    told = re.findall(r"^\d\. (?:to )?(2011-\d\d(?:-\d\d)?)  ", story.done.words, re.MULTILINE)
    assert len(told) == 7
    assert told == sorted(told)
    assert " hours; on 2011-" in story.done.words


def test_a_month_in_the_wrong_unit_is_refused_by_the_data_gate(story):
    found = re.search(r"INJECTED: a month in degrees Celsius: refused: (.+)", story.done.words)
    assert found is not None
    assert found[1] == "quarantined-share found 1"


def test_a_retrained_model_takes_over_by_a_canary(moves):
    promoted = [move for move in moves if move.event == "promoted" and move.challenger]
    assert promoted[0].champion.release != promoted[0].challenger.release
    assert promoted[0].rollout.endswith("-canary")


def test_an_injected_fault_is_rolled_back_by_itself(moves):
    back = [move for move in moves if move.event == "rolled back"]
    assert back[-1].challenger.fault == "slow"
    assert back[-1].shares == {"champion": 10_000}


def test_what_is_served_is_what_training_reads(story):
    done = life.run(story.folder, "make", "skew").well()
    assert " 0 of 24 hours x 19 features differ" in done.words


def test_a_second_run_has_nothing_to_do(story):
    life.run(story.folder, "make", "run", "USECASE=bikes").well()  # which notes what it found
    done = life.run(story.folder, "make", "run", "USECASE=bikes").well()
    assert "nothing has changed" in done.words


def test_monitoring_and_diagnosis_read_what_a_shadow_served(story):
    done = life.run(story.folder, "make", "shadow").well()
    assert "may go to `make canary`" in done.words
    said = life.run(story.folder, "make", "monitor", "diagnose").well().words
    assert len(re.findall(r"2011-08", said)) >= 2
    finding = json.loads((story.folder / "data/monitor/diagnosis-2011-08.json").read_text())
    assert finding["logged"] >= 24


def test_a_checkout_with_data_of_another_use_case_is_refused(story, shelf):
    folder = life.checkout(shelf / "taken-late")
    (folder / "data/ingest").mkdir(parents=True)
    done = life.run(folder, "make", "run", "USECASE=bikes")
    assert done.code == 2
    assert "this checkout holds what 'flights' wrote in 1 places" in done.words
    assert life.git(folder, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_is_caught_here_too(story, name):
    life.commit(story.folder)
    done = life.run(story.folder, "python", "-m", "exercises.drill", "run", name).well()
    assert "CAUGHT" in done.words


def test_a_drill_of_flights_is_none_here(story):
    done = life.run(story.folder, "python", "-m", "exercises.drill", "run", "wind")
    assert re.search(r"'wind' is none of the \d+ drills of hours", done.words)


def test_at_least_twenty_drills_are_recorded_as_caught():
    record = json.loads(tree.read("benchmarks/drills-bikes.json"))["drills"]
    caught = {one["slug"] for one in record if one["ended"] == "CAUGHT"}
    assert len(caught) >= 20
    assert caught <= set(drill.drills()) - drill.OF_FLIGHTS
