import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from pipeline import train
from pipeline.features.definitions import FEATURES
from pipeline.features.feature_table import ROWS
from pipeline.registry import model as stored
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import TRAIN, Training, read_record
from pipeline.shared.errors import ConfigError, LeakFound, TooLittleData
from pipeline.shared.files import file_hash, write_parquet
from tests.shared import project

pytestmark = [pytest.mark.answer("three-artefacts"), pytest.mark.slow]


def test_an_unknown_feature_to_drop_is_refused_by_name(started):
    project.configure("train", drop_features=["aircraft_age", "wind_sped"])
    with pytest.raises(ConfigError, match=r"1 unknown feature\(s\) \['wind_sped'\]"):
        train.run()
    assert not TRAIN.exists()


def test_a_window_with_too_few_flights_is_refused_with_both_numbers(started):
    project.configure("train", min_rows=3_101)
    with pytest.raises(TooLittleData, match=r"3,100 labelled flights .* is 3,101: widen"):
        train.run()
    assert not TRAIN.exists()


def test_a_row_that_knows_the_future_stops_the_training(started):
    rows = pd.read_parquet(ROWS)
    rows.loc[7, "weather_known_at"] = rows.loc[7, "predict_at"]
    write_parquet(ROWS, rows)
    with pytest.raises(LeakFound, match=r"weather features of 1 of 3,100"):
        train.run()


def test_the_record_says_what_was_trained_on_what(trained):
    training = read_record(Training, TRAIN / "training.json", "train")
    rows = pd.read_parquet(ROWS)
    known = rows[(rows["month"] < 3) & (rows["late_known_at"] < "2013-03-01")]
    assert training.window == "2013-01-08..2013-02-28"
    assert (training.rows, training.positives) == (len(known), known["late"].sum())
    assert training.features == FEATURES
    assert training.digest == file_hash(TRAIN / "model.onnx")
    assert training.baselines == {
        name: file_hash(TRAIN / f"{name}.onnx") for name in ("logistic", "hour_rate")
    }
    assert max(training.parity.values()) <= 1e-5


def test_the_figures_in_the_metrics_are_those_of_scikit_learn(trained):
    training = read_record(Training, TRAIN / "training.json", "train")
    rows = pd.read_parquet(ROWS)
    known = rows[(rows["month"] < 3) & (rows["late_known_at"] < "2013-03-01")]
    risk = stored.load(TRAIN / "model.onnx", training.digest).predict(known)
    metrics = json.loads((TRAIN / "metrics.json").read_text())
    assert metrics["log_loss_in_sample"] == pytest.approx(
        sklearn.metrics.log_loss(known["late"], risk), abs=1e-6
    )
    assert metrics["roc_auc_in_sample"] == pytest.approx(
        sklearn.metrics.roc_auc_score(known["late"], risk), abs=1e-6
    )


def test_the_reference_holds_the_risks_of_named_flights(trained):
    training = read_record(Training, TRAIN / "training.json", "train")
    reference = pd.read_csv(TRAIN / "reference.csv")
    rows = pd.read_parquet(ROWS).merge(reference, on=list(reference.columns[:-1]))
    risk = stored.load(TRAIN / "model.onnx", training.digest).predict(rows)
    assert len(rows) == len(reference) >= 1_000
    assert reference["risk"].to_numpy() == pytest.approx(risk, abs=1e-8)


def test_the_planted_causes_are_what_the_model_finds_important(trained):
    worth = json.loads((TRAIN / "importance.json").read_text())
    causes = {"system_dep_late_3h", "aircraft_arr_delay"}
    assert set(sorted(worth, key=worth.get)[-2:]) == causes


def test_a_label_that_became_known_after_the_window_teaches_nothing(trained):
    before = read_record(Training, TRAIN / "training.json", "train")
    rows = pd.read_parquet(ROWS)
    unknown = (rows["month"] == 2) & (rows["late_known_at"] >= "2013-03-01")
    assert 0 < unknown.sum() < 60
    rows["late"] = rows["late"].mask(unknown, 1 - rows["late"])
    write_parquet(ROWS, rows)
    train.run()
    assert read_record(Training, TRAIN / "training.json", "train") == before


def test_the_same_rows_train_the_same_bytes_again(
    trained, record_property: Callable[[str, object], None]
):
    before = {path.name: file_hash(path) for path in TRAIN.rglob("*.*") if path.is_file()}
    train.run()
    again = {path.name: file_hash(path) for path in TRAIN.rglob("*.*") if path.is_file()}
    assert again == before
    record_property("files that training writes again, byte for byte", len(again))


def test_a_dropped_feature_is_no_input_of_the_model_and_stays_one_of_the_baseline(trained):
    project.configure("train", drop_features=["aircraft_arr_delay", "origin_is_JFK"])
    before = read_record(Training, TRAIN / "training.json", "train")
    train.run()
    training = read_record(Training, TRAIN / "training.json", "train")
    kept = stored.load(TRAIN / "model.onnx", training.digest).features
    assert kept == training.features
    assert set(FEATURES) - set(kept) == {"aircraft_arr_delay", "origin_is_JFK"}
    assert training.baselines == before.baselines


def test_the_hash_of_the_predictions_is_that_of_their_float32_bytes_in_any_portions(trained):
    training = read_record(Training, TRAIN / "training.json", "train")
    model, rows = stored.load(TRAIN / "model.onnx", training.digest), pd.read_parquet(ROWS)
    portions = [model.predict(rows[start : start + 97]) for start in range(0, len(rows), 97)]
    risks = np.concatenate(portions).astype("float32")
    assert stored.predictions_hash(model.predict(rows)) == training.predictions_hash
    assert hashlib.sha256(risks.tobytes()).hexdigest() == training.predictions_hash


def test_the_hash_of_the_predictions_notices_one_row(trained):
    training = read_record(Training, TRAIN / "training.json", "train")
    model, rows = stored.load(TRAIN / "model.onnx", training.digest), pd.read_parquet(ROWS)
    rows.loc[5, "system_dep_late_3h"] = 1 - rows.loc[5, "system_dep_late_3h"]
    assert stored.predictions_hash(model.predict(rows)) != training.predictions_hash


def test_the_predictions_do_not_depend_on_the_number_of_threads(trained):
    before = read_record(Training, TRAIN / "training.json", "train")
    project.configure("train", threads=2)
    train.run()
    training = read_record(Training, TRAIN / "training.json", "train")
    assert (before.threads, training.threads) == (1, 2)
    assert training.predictions_hash == before.predictions_hash
    assert training.digest == before.digest


def test_training_records_where_the_registry_is_configured_to_be(trained):
    assert Path(
        load(RegisterConfig).tracking_url.get_secret_value().removeprefix("sqlite:///")
    ).is_file()
    assert not Path("mlruns").exists()
    assert not Path("mlflow.db").exists()
