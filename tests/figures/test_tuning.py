"""What a search for hyperparameters found, as it was recorded, and how it was held against luck."""

import json

import pytest

from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.config.tune import TuneConfig
from tests.rules import tree

pytestmark = pytest.mark.answer("experiment-tracking")
FOUND, LEAK = (json.loads(tree.read(f"benchmarks/{name}.json")) for name in ("tuning", "leak"))
LOSSES = [trial["loss"] for trial in FOUND["trials"]]


def test_it_is_the_search_of_the_configs():
    assert FOUND["config"] == json.loads(load(TuneConfig).model_dump_json())
    assert len(FOUND["trials"]) == load(TuneConfig).trials + 1
    assert FOUND["trials"][0] == FOUND["present"]
    assert FOUND["present"]["settings"] == load(TrainConfig).boosting.model_dump()


def test_the_best_is_the_one_with_the_lowest_loss_on_the_folds():
    assert FOUND["best"] == FOUND["trials"][LOSSES.index(min(LOSSES))]
    assert FOUND["better_on_folds"] == sum(loss < LOSSES[0] for loss in LOSSES)


def test_the_holdout_is_the_end_of_the_window_and_the_months_come_after_it():
    window = load(TrainConfig).window
    assert FOUND["holdout"]["window"].endswith(f"..{window.last}")
    assert FOUND["holdout"]["days"] == load(TuneConfig).holdout_days
    assert (FOUND["learned"], FOUND["scored"]) == (LEAK["learned"], LEAK["scored"])
    assert FOUND["scored"]["window"] > window.last
