"""The recipes of the README, performed in scratch copies: the graph runs, the tests stay green."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from exercises.drill import run_stages, shown, two_months
from exercises.drills.release import DVC, passed
from exercises.scratch import scratch
from pipeline.features.definitions import FEATURES, NUMERIC
from pipeline.shared import dvc
from tests import needs
from tests.recipes import LIGHTGBM, RECIPES, SCIKIT_LEARN
from tests.rules import tree

MODELS = [SCIKIT_LEARN, LIGHTGBM]
BESIDE = [name for name in RECIPES if name not in MODELS]


def performed(name: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """A scratch copy with a recipe in it, and the environment in which its commands run."""
    extra = folder / "extra"
    if name == LIGHTGBM:
        install(extra)
    copy = scratch(folder / "copy")
    RECIPES[name].perform(copy)
    packages = f"{copy}{os.pathsep}{extra}"
    return copy, {**dvc.isolated_environment(), "PYTHONPATH": packages, "PATH": os.defpath}


def install(folder: Path) -> None:
    """Install what LightGBM adds to requirements.lock into a folder, or skip the test."""
    options = ["--quiet", "--target", str(folder), "--no-deps", "--require-hashes"]
    lock = str(tree.ROOT / "configs/train/lightgbm.lock")
    program = [sys.executable, "-I", str(tree.ROOT / ".ci/registry.py")]
    done = subprocess.run(
        [*program, "pip", "install", *options, "--requirements", lock],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        needs.skip("a package index")  # for LightGBM


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [SCIKIT_LEARN, pytest.param(LIGHTGBM, marks=pytest.mark.nightly)])
def test_another_model_is_exported_and_judged(name, tmp_path):
    """What is exported is what was fitted: train refuses a difference above its tolerance."""
    folder, environment = performed(name, tmp_path)
    two_months(folder)
    stages = ["ingest", "validate", "features", "train", "evaluate"]
    ran = shown([sys.executable, "-m", "simulation", *stages], folder, environment)
    assert "equal to scikit-learn within" in ran.words
    assert re.search(r"^evaluate.* (passed|GateRefused)", ran.words, re.MULTILINE)


@pytest.mark.nightly
@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_the_fast_tests_green(name, tmp_path):
    folder, environment = performed(name, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow"]
    left_out = ["--ignore=tests/figures", "--ignore=tests/flow"]
    filled = shown([sys.executable, "-m", "docs.book", "fill"], folder, environment)
    assert filled.code == 0, filled.words
    ran = shown([*command, *left_out], folder, environment)
    assert ran.code == 0, ran.words[-4000:]
