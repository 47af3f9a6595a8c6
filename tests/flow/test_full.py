"""What is committed is what the project does: dvc.lock, the recorded figures, the memory."""

import io
import json
import re

import pandas as pd
import pytest
import yaml

from pipeline.shared.contracts import FLIGHT_KEY
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LARGEST_DIFFERENCE = 1e-4
"""Of a prediction, on another machine; on the one that wrote the lock there is none."""
METRIC_TOLERANCE = 1e-3
MEMORY = 3e9


@pytest.fixture(scope="module")
def committed(full):
    """Reads a file as it is committed, whatever the run has made of it."""
    return lambda path: life.git(full.folder, "show", f"HEAD:{path}")


@pytest.fixture(scope="module")
def locked(committed):
    return yaml.safe_load(committed("dvc.lock"))["stages"]


def test_a_fresh_clone_runs_to_its_end_within_the_memory(full):
    assert "registered, now champion" in full.done.well().words
    assert full.done.peak < MEMORY


@pytest.mark.parametrize("stage", ["ingest", "validate", "features"])
def test_the_data_and_the_features_are_those_of_the_committed_lock(full, locked, stage):
    assert life.lock(full.folder)[stage] == locked[stage]


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_what_goes_into_a_later_stage_is_what_the_committed_lock_says(full, locked, stage):
    found = life.lock(full.folder)[stage]
    assert (found["cmd"], found["params"]) == (locked[stage]["cmd"], locked[stage]["params"])
    made = {out["path"] for out in locked["train"]["outs"]}  # these may differ on another machine
    given = [[d for d in s["deps"] if d["path"] not in made] for s in (found, locked[stage])]
    assert given[0] == given[1]


def test_training_gives_the_committed_predictions(full, committed, locked, request):
    new = pd.read_csv(full.folder / "data/train/reference.csv")
    old = pd.read_csv(io.StringIO(committed("data/train/reference.csv")))
    assert new[FLIGHT_KEY].equals(old[FLIGHT_KEY])
    difference = (new["risk"] - old["risk"]).abs().max()
    same = all(life.lock(full.folder)[stage] == locked[stage] for stage in ("train", "evaluate"))
    told = "the same bytes" if same else f"other bytes, a prediction differs by {difference:.1e}"
    request.config.get_terminal_writer().line(f"\nagainst the committed dvc.lock: {told}")
    assert difference <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_the_figures_are_the_committed_ones(full, committed, stage):
    path = f"data/{stage}/metrics.json"
    new, old = json.loads((full.folder / path).read_text()), json.loads(committed(path))
    assert new == pytest.approx(old, abs=METRIC_TOLERANCE)


def test_a_second_run_does_nothing_and_says_so(full):
    full.done.well()
    before = (full.folder / "dvc.lock").read_bytes()
    done = life.run(full.folder, "make", "champion").well()
    assert len(re.findall(r"Stage '\w+' didn't change, skipping", done.words)) == 5
    assert "is already champion: nothing to do" in done.words
    assert "stands: nothing that it rests on has changed" in done.words
    assert (full.folder / "dvc.lock").read_bytes() == before
