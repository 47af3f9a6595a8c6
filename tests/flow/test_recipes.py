"""The recipes of the README, performed in scratch copies: the graph runs, the tests stay green."""

import json
import os
import re
import sys
import time

import pandas as pd
import pytest

from exercises.drill import run_stages, shown, two_months
from exercises.drills.release import DVC, passed
from exercises.scratch import scratch
from pipeline.features.definitions import FEATURES, NUMERIC
from pipeline.shared import dvc
from tests.recipes import RECIPES

ANOTHER_MODEL = "another model of scikit-learn"
BESIDE = [name for name in RECIPES if name != ANOTHER_MODEL]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_with_every_recipe_but_the_model_the_graph_ends_in_a_champion(tmp_path, record_property):
    """New features among them: they are served, each value as training has it."""
    started = time.perf_counter()
    folder = scratch(tmp_path)
    for name in BESIDE:
        RECIPES[name].perform(folder)
    two_months(folder)
    passed(folder, ["repro", "--quiet"], DVC)
    trained = json.loads((folder / "data/train/training.json").read_text())
    added = {"carrier_arr_delay_24h", "is_weekend"}
    assert set(trained["features"]) == {*FEATURES, *added}
    checks = json.loads((folder / "data/evaluate/verdict.json").read_text())["checks"]
    assert "ROC AUC of the challenger" in {check["name"] for check in checks}
    registered = run_stages(folder, ["register"])
    assert registered.code == 0, registered.words
    assert "now champion" in registered.words
    served = run_stages(folder, ["skew", "--day", "2013-02-14"])
    assert served.code == 0, served.words
    differ = re.search(r" (\d+) of (\d+) flights x (\d+) features differ", served.words)
    assert differ, served.words
    assert (int(differ[1]), int(differ[3])) == (0, len(NUMERIC) + len(added))
    vectors = pd.read_parquet(folder / "data/serve/served.parquet")
    assert len(vectors) == int(differ[2]) > 500
    assert vectors[sorted(added)].notna().mean().min() > 0.9
    minutes = (time.perf_counter() - started) / 60
    record_property("minutes from an edit to served values of two new features", f"{minutes:.1f}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_another_model_is_exported_and_judged(tmp_path):
    folder = scratch(tmp_path)
    RECIPES[ANOTHER_MODEL].perform(folder)
    two_months(folder)
    ran = run_stages(folder, ["ingest", "validate", "features", "train", "evaluate"])
    assert "equal to scikit-learn within" in ran.words
    assert re.search(r"^evaluate.* (passed|GateRefused)", ran.words, re.MULTILINE)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_the_fast_tests_green(name, tmp_path):
    folder = scratch(tmp_path)
    RECIPES[name].perform(folder)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow"]
    left_out = ["--ignore=tests/figures", "--ignore=tests/flow"]
    environment = {**dvc.isolated_environment(), "PYTHONPATH": str(folder), "PATH": os.defpath}
    ran = shown([*command, *left_out], folder, environment)
    assert ran.code == 0, ran.words[-4000:]
