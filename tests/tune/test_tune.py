"""A search is judged on days that it never saw, is recorded trial by trial, and adopts nothing."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.features.definitions import FEATURES
from pipeline.features.feature_table import ROWS
from pipeline.registry import search_runs
from pipeline.registry.client import connect
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import BoostingParameters, TrainConfig
from pipeline.shared.config.tune import TuneConfig
from pipeline.shared.errors import ConfigError, TooLittleData
from pipeline.shared.files import write_parquet
from pipeline.tune import random_search, tune
from pipeline.tune.folds import day_of, split
from pipeline.tune.search_report import coordinates
from tests.rules.tree import ROOT
from tests.shared import project

pytestmark = pytest.mark.slow
proof = pytest.mark.answer("experiment-tracking")
SMALL = {
    "trials": 3,
    "folds": 2,
    "fold_days": 7,
    "holdout_days": 10,
    "space.max_iter": [8, 30],
    "space.min_samples_leaf": [20, 60],
}

_SEEN: dict[str, Any] = {}


@pytest.fixture
def searched(started):
    """A small project in which a search has ended, and its record."""
    project.configure("tune", **SMALL)
    tune.run()
    return record()


@pytest.fixture
def seen(started):
    """The record of such a search and its page, searched once."""
    project.configure("tune", **SMALL)
    if not _SEEN:
        tune.run()
        page = (random_search.TUNE / "search.html").read_text()
        _SEEN.update(record=record(), page=page)
    return _SEEN["record"]


def record() -> dict[str, Any]:
    return json.loads((random_search.TUNE / "search.json").read_text())


def runs() -> tuple[Any, list[Any]]:
    """The newest parent run of a search, and its trials in their order."""
    config = search_runs.experiment(load(RegisterConfig))
    client = connect(config)
    found = client.search_runs([client.get_experiment_by_name(config.experiment).experiment_id])
    parent = next(run for run in found if "mlflow.parentRunId" not in run.data.tags)
    of = [r for r in found if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return parent, of[::-1]


def frame_of_the_window() -> pd.DataFrame:
    return tune.labelled_rows(load(TrainConfig))


# The days.


@proof
def test_every_fold_learns_from_days_before_those_that_judge_it_and_the_holdout_is_last(started):
    project.configure("tune", **SMALL)
    frame = frame_of_the_window()
    parts = split(frame, load(TuneConfig))
    day = day_of(frame)
    judged = [np.unique(day[fold.judged]) for fold in [*parts.folds, parts.holdout]]
    assert [len(days) for days in judged] == [7, 7, 10]
    for fold, days in zip([*parts.folds, parts.holdout], judged, strict=True):
        assert day[fold.learned].max() < days.min()
        first = pd.Timestamp(str(days.min()), tz="UTC")
        assert (frame["late_known_at"][fold.learned] < first).all()
    assert np.array_equal(np.concatenate(judged), np.unique(day)[-24:])
    assert parts.window == "2013-02-19..2013-02-28"


def test_days_that_do_not_suffice_are_refused_with_both_numbers(started):
    project.configure("tune", **SMALL | {"fold_days": 20})
    with pytest.raises(TooLittleData, match=r"52 days to tune on, .* asks for 70: 10 held out, 2"):
        tune.run()
    assert not random_search.TUNE.exists()


def test_no_trial_sees_the_holdout(searched):
    """With every label of the hold-out turned round the trials are the same, and it is not."""
    rows = pd.read_parquet(ROWS)
    held = (rows["month"] == 2) & rows["day"].between(19, 28)
    rows["late"] = rows["late"].mask(held, 1 - rows["late"])
    write_parquet(ROWS, rows)
    tune.run()
    assert record()["trials"] == searched["trials"]
    assert record()["holdout"]["point"] != searched["holdout"]["point"]


# The trials.


def test_the_first_trial_is_the_present_settings_and_the_others_lie_within_the_space(seen):
    config = load(TuneConfig)
    present, *drawn = [BoostingParameters(**trial["settings"]) for trial in seen["trials"]]
    assert present == load(TrainConfig).boosting
    assert len(drawn) == len({one.model_dump_json() for one in drawn}) == 3
    for name, (low, high) in config.space.items():
        assert all(low <= getattr(one, name) <= high for one in drawn)
    assert random_search.draw(config, present) == [present, *drawn]
    other = config.model_copy(update={"seed": 1})
    assert random_search.draw(other, present)[1:] != drawn


@proof
def test_a_trial_is_scored_by_what_training_would_fit(started):
    """Its loss is that of scikit-learn's own metric on the model that training fits by hand."""
    from sklearn.metrics import log_loss

    from pipeline.features.definitions import matrix
    from pipeline.models import classifier

    project.configure("tune", **SMALL)
    train, frame = load(TrainConfig), frame_of_the_window()
    fold = split(frame, load(TuneConfig)).folds[0]
    learned, judged = frame[fold.learned], frame[fold.judged]
    model = classifier.fit(train, FEATURES, matrix(learned, FEATURES), learned["late"].to_numpy())
    expected = log_loss(judged["late"], model.predict_proba(matrix(judged, FEATURES))[:, 1])
    found = random_search.losses(train, train.boosting, frame, fold).mean()
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_best_trial_has_the_lowest_loss(seen):
    losses = [trial["loss"] for trial in seen["trials"]]
    assert losses[seen["best"]] == min(losses)
    for trial in seen["trials"]:
        assert min(trial["by_fold"]) <= trial["loss"] <= max(trial["by_fold"])


# The record.


@proof
def test_each_trial_is_a_run_nested_in_that_of_the_search(searched, record_property):
    parent, trials = runs()
    assert parent.info.status == "FINISHED"
    assert parent.data.params["trials"] == "3"
    assert parent.data.tags["git_commit"] == project.git("rev-parse", "HEAD")
    assert parent.data.metrics["best_trial"] == searched["best"]
    config = load(RegisterConfig)  # where trainings are, and no trial
    assert connect(config).get_experiment_by_name(config.experiment) is None
    assert len(trials) == len(searched["trials"]) == 4
    for run, trial in zip(trials, searched["trials"], strict=True):
        settings = {name: str(value) for name, value in trial["settings"].items()}
        assert run.data.params == settings
        assert run.data.metrics["log_loss"] == pytest.approx(trial["loss"])
        folds = [run.data.metrics[f"log_loss_fold_{number}"] for number in (1, 2)]
        assert folds == pytest.approx(trial["by_fold"])
    record_property("trials as runs nested in one", len(trials))


def test_a_search_that_fails_ends_its_run_as_failed_and_is_no_look_at_the_holdout(started):
    project.configure("tune", **SMALL)
    registry = load(RegisterConfig)
    with (
        pytest.raises(KeyboardInterrupt),
        search_runs.search_run(registry, "a search"),
    ):
        raise KeyboardInterrupt
    assert runs()[0].info.status == "FAILED"
    assert search_runs.looks(registry, "2013-02-19..2013-02-28") == 0


def test_a_second_search_on_the_same_holdout_says_that_it_is_the_second(searched):
    assert searched["holdout"]["looks"] == 1
    assert "search 2 that was judged on these days" in tune.run()
    assert record()["holdout"]["looks"] == 2


def test_the_page_draws_each_trial_across_its_settings_to_its_loss(seen):
    text = _SEEN["page"]
    assert len(re.findall("<polyline", text)) == 4
    assert len(re.findall(r"<polyline class=\"(best|present)\"", text)) == 2
    trials = [random_search.Trial(**trial, seconds=0) for trial in seen["trials"]]
    axes, lines = coordinates(trials, trials[seen["best"]])
    assert [axis.name for axis in axes] == [*BoostingParameters.model_fields, "log loss"]
    lowest = lines[-1].points.rpartition(",")[2]
    assert float(lowest) == max(float(line.points.rpartition(",")[2]) for line in lines)


# The proposal.


@pytest.mark.long
@proof
def test_a_search_proposes_an_edit_that_training_takes_and_changes_no_file(started):
    """The planted settings have one tree, and the search finds better ones."""
    project.configure("tune", **SMALL)
    project.configure("train", **{"boosting.max_iter": 1})
    before = {path: path.read_bytes() for path in Path("configs").rglob("*.yaml")}
    words = tune.run()
    assert {path: path.read_bytes() for path in Path("configs").rglob("*.yaml")} == before
    assert "significantly better" in words
    assert "then `make evaluate`: the gate decides" in words
    edit = yaml.safe_load("\n".join(re.findall(r"^    \w+: \S+", words, re.MULTILINE)))
    best = record()["trials"][record()["best"]]["settings"]
    assert load(TrainConfig).boosting.model_dump() | edit == best
    for name, value in edit.items():
        assert f"-S 'configs/train.yaml:boosting.{name}={value}'" in words


def test_without_a_significant_gain_the_present_settings_stay(seen):
    trials = [random_search.Trial(**trial, seconds=0) for trial in seen["trials"]]
    held = seen["holdout"] | {"point": -0.001, "low": -0.003, "high": 0.0001}
    found = tune.Search(window="", trials=trials, best=1, holdout=tune.Holdout(**held))
    assert tune.words(found).endswith("not significantly better: keep the present settings")
    worse = tune.Holdout(**held | {"point": 0.001, "low": 0.0003, "high": 0.002})
    lost = found.model_copy(update={"holdout": worse})
    assert tune.words(lost).endswith("significantly worse: keep the present settings")
    alone = tune.Search(window="", trials=trials, best=0, holdout=None)
    assert "none is better than the present settings" in tune.words(alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space.max_depth": [1, 2]}, r"no setting of the model: \['max_depth'\]; it has"),
        ({"space.learning_rate": [0.1, 2]}, "less than or equal to 1"),
        ({"space.max_iter": [9, 3]}, r"lower limit 9.* is above upper limit 3"),
        ({"space.max_leaf_nodes": [1, 9]}, "greater than or equal to 2"),
    ],
)
def test_a_space_that_training_would_refuse_is_refused(started, change, message):
    project.configure("tune", **change)
    with pytest.raises(ConfigError, match=message):
        load(TuneConfig)


def test_no_stage_of_the_graph_reads_the_config_of_the_search():
    assert "tune" not in (ROOT / "dvc.yaml").read_text()
