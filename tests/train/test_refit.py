"""What goes live has learned from the judged days too; the gate judged what had not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import train
from pipeline.evaluate import gate as evaluate
from pipeline.features.feature_table import ROWS
from pipeline.models import trees
from pipeline.registry import model as stored
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import EVALUATE, TRAIN, Kind, Training, Verdict, read_record
from pipeline.shared.errors import ConfigError, GateRefused
from pipeline.shared.files import file_hash
from pipeline.train import recipe
from tests.shared import project

pytestmark = [pytest.mark.answer("retraining"), pytest.mark.slow]

LAST = "2013-03-31"


@pytest.fixture
def refitted(started):
    """Trained to February, judged on March, fitted again with March."""
    project.configure("train", refit_until=LAST)
    train.run()
    return read_record(Training, TRAIN / "training.json", "train")


def test_the_record_names_both_models_and_what_each_learned_from(refitted):
    rows = pd.read_parquet(ROWS)
    assert refitted.candidate == file_hash(TRAIN / "candidate.onnx") != refitted.digest
    assert refitted.candidate_window == "2013-01-08..2013-02-28"
    assert refitted.window == f"2013-01-08..{LAST}"
    assert refitted.rows == (rows["late_known_at"] < "2013-04-01").sum()


def test_the_candidate_is_the_model_that_is_trained_without_a_refit(refitted):
    project.configure("train", refit_until=None)
    train.run()
    alone = read_record(Training, TRAIN / "training.json", "train")
    assert alone.digest == alone.candidate == refitted.candidate
    assert alone.baselines == refitted.baselines
    assert alone.recipe == refitted.recipe


@pytest.mark.parametrize("changed", ["train.py", "trees.py"])
def test_other_training_code_is_another_recipe_and_a_copy_of_it_is_not(
    started, tmp_path, monkeypatch, changed
):
    config, here = load(TrainConfig), recipe(load(TrainConfig))
    models = tmp_path / "models"
    models.mkdir()
    for path in Path(trees.__file__).parent.glob("*.py"):
        (models / path.name).write_bytes(path.read_bytes())
    (tmp_path / "train.py").write_bytes(Path(train.__file__).read_bytes())
    monkeypatch.setattr(trees, "__file__", str(models / "trees.py"))
    monkeypatch.setattr(train, "__file__", str(tmp_path / "train.py"))
    assert recipe(config) == here
    (place,) = tmp_path.rglob(changed)
    with place.open("a") as stream:
        stream.write("# the storms are cleaned away\n")
    assert recipe(config) != here


def test_two_fits_beside_each_other_are_the_fits_one_after_the_other(refitted):
    project.configure("train", **{"window.last": LAST}, refit_until=None)
    train.run()
    assert read_record(Training, TRAIN / "training.json", "train").digest == refitted.digest


def test_the_figures_of_the_gate_are_of_the_candidate(
    refitted, record_property: Callable[[str, object], None]
):
    evaluate.run()
    verdict = read_record(Verdict, EVALUATE / "verdict.json", "evaluate")
    assert (verdict.challenger, verdict.judged) == (refitted.digest, refitted.candidate)
    told = pd.read_parquet(EVALUATE / "predictions.parquet")
    rows = pd.read_parquet(ROWS)
    judged = rows[rows["month"] == 3].reset_index(drop=True)
    risk = stored.load(TRAIN / "candidate.onnx", refitted.candidate).predict(judged)
    assert told["challenger"].to_numpy() == pytest.approx(risk.astype("float32"))
    near = next(c for c in verdict.checks if c.kind is Kind.REFIT)
    live = stored.load(TRAIN / "model.onnx", refitted.digest).predict(judged)
    assert near.found == pytest.approx(np.abs(live - risk).mean(), abs=1e-6)
    record_property("mean distance of the refit's risks from the judged ones", near.found)


def test_a_refit_far_from_what_was_judged_is_refused(refitted):
    project.configure("evaluate", max_refit_distance=0.0)
    with pytest.raises(GateRefused, match=r"refit stays near what was judged: found 0\.\d+, limit"):
        evaluate.run()


def test_a_refit_that_learns_nothing_more_is_refused_by_its_config(started):
    project.configure("train", refit_until="2013-02-28")
    with pytest.raises(ConfigError, match="is not after 2013-02-28"):
        load(TrainConfig)
