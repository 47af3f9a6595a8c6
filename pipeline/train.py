"""Training: reads feature rows, fits and stores the models, and records the run's lineage."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import FEATURES, LABEL, REQUEST_KEY, matrix
from pipeline.features.feature_table import ROWS, SERVICE, read
from pipeline.models import baselines, classifier, onnx_export, pictures, trees
from pipeline.registry import runs
from pipeline.registry.model import Model, predictions_hash
from pipeline.shared import lineage
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import TRAIN, FeatureService, Training, read_record
from pipeline.shared.errors import ConfigError, TooLittleData
from pipeline.shared.files import (
    file_hash,
    members,
    read_parquet,
    text_hash,
    write_json,
    write_text,
)
from pipeline.shared.scores import log_loss, roc_auc
from pipeline.usecase.chosen import USECASE

BASELINES = ["logistic", "hour_rate"]
FittedModel = tuple[Any, list[str], np.ndarray]
"""A fitted classifier, the names of its inputs, and its training matrix."""
_REFERENCE_ROWS = 1000
_CURVE_ROWS, _CURVE_EVERY = 4000, 10
"""Rows whose loss is followed while trees are added, and how often."""


def run() -> str:
    """Fit the challenger and its baselines on the training window, and record the run."""
    config = load(TrainConfig)
    lineage.require_recorded(Path())  # before minutes of work that could not be rebuilt
    names = _feature_names(config)
    judged, frame = (
        _labelled_rows(config, config.window),
        _labelled_rows(config, config.whole),
    )
    model, training = _fit(config, names, judged, frame)
    _write(model, training, frame, config.seed)
    run_id = runs.record(load(RegisterConfig), training)
    return (
        f"{training.rows:,} {USECASE.noun}, {len(names)} inputs -> {TRAIN}/model.onnx "
        f"({model.digest[:12]}), equal to scikit-learn within {training.parity['model']:.0e}; "
        f"run {run_id[:8]}"
    )


def _labelled_rows(config: TrainConfig, window: Window) -> pd.DataFrame:
    """The rows of a window whose label had arrived by its end."""
    known_before = (pd.Timestamp(window.last) + pd.Timedelta(days=1)).tz_localize("UTC")
    frame = read(window, known_before)
    if len(frame) < config.min_rows:
        raise TooLittleData(
            f"{len(frame):,} labelled {USECASE.noun} from {window.first} to {window.last}, "
            f"min_rows in configs/train.yaml is {config.min_rows:,}: widen the window"
        )
    return frame


def _feature_names(config: TrainConfig) -> list[str]:
    if unknown := sorted(set(config.drop_features) - set(FEATURES)):
        raise ConfigError(
            f"configs/train.yaml drops {len(unknown)} unknown feature(s) {unknown}; "
            f"the {len(FEATURES)} known ones are FEATURES in pipeline/features/definitions.py"
        )
    return [name for name in FEATURES if name not in config.drop_features]


def _fit(
    config: TrainConfig, names: list[str], judged: pd.DataFrame, frame: pd.DataFrame
) -> tuple[Model, Training]:
    """Fit the model on `frame`; its candidate and the baselines, for the gate, on `judged`."""
    labels = judged[LABEL].to_numpy()
    hours, complete = matrix(judged, ["sched_hour"]), matrix(judged, FEATURES)
    candidate, model = _fit_both(config, names, judged, frame)
    with trees.limit_threads(config.threads):
        fitted = {
            "candidate": candidate,
            "model": model,
            "logistic": (baselines.logistic(config, complete, labels), FEATURES, complete),
            "hour_rate": (baselines.hour_rate(hours, labels), ["sched_hour"], hours),
        }
    with ThreadPoolExecutor(2) as beside:  # the equality test predicts every row twice
        saved = beside.map(
            lambda name: onnx_export.save(
                *fitted[name], TRAIN / f"{name}.onnx", config.parity_tolerance
            ),
            fitted,
        )
        stored = dict(zip(fitted, saved, strict=True))
    challenger = stored["model"][0]
    write_json(TRAIN / "curve.json", _curve(config, candidate, frame))
    warm = onnx_export.warm_up(*fitted["model"], config.parity_tolerance)
    write_json(TRAIN / "warmup.json", warm.model_dump())
    return challenger, Training(
        digest=challenger.digest,
        candidate=stored["candidate"][0].digest,
        candidate_window=f"{config.window.first}..{config.window.last}",
        recipe=recipe(config),
        baselines={name: stored[name][0].digest for name in BASELINES},
        window=f"{config.whole.first}..{config.whole.last}",
        rows=len(frame),
        positives=int(frame[LABEL].sum()),
        features=names,
        feature_service=read_record(FeatureService, SERVICE, "features").version,
        parity={name: worst for name, (_, worst) in stored.items()},
        predictions_hash=predictions_hash(challenger.predict(read_parquet(ROWS, "features"))),
        data_hash=lineage.data_hash(),
        config_hash=text_hash(config.model_dump_json()),
        seed=config.seed,
        threads=config.threads,
    )


def _curve(config: TrainConfig, candidate: FittedModel, frame: pd.DataFrame) -> list[Any]:
    """The candidate's loss by iteration, on days that it learned from and on days held out."""
    date = frame["year"] * 10_000 + frame["month"] * 100 + frame["day"]
    learned = (date <= int(config.window.last.replace("-", ""))).to_numpy()
    chance = np.random.default_rng(config.seed)
    model, names, _ = candidate
    sets = {}
    for name, of in (("log_loss_training", learned), ("log_loss_held_out", ~learned)):
        rows = np.flatnonzero(of)
        if len(rows):
            kept = frame.iloc[chance.choice(rows, min(_CURVE_ROWS, len(rows)), replace=False)]
            sets[name] = (matrix(kept, names), kept[LABEL].to_numpy())
    with trees.limit_threads(config.threads):
        return trees.loss_by_iteration(model, sets, _CURVE_EVERY)


def recipe(config: TrainConfig) -> str:
    """A digest of the settings and the training code: of everything but the days."""
    code = [Path(__file__), *members(Path(trees.__file__).parent, "*.py")]
    return text_hash(" ".join([config.recipe, *(file_hash(path) for path in code)]))


def _fit_both(
    config: TrainConfig, names: list[str], judged: pd.DataFrame, frame: pd.DataFrame
) -> tuple[FittedModel, FittedModel]:
    """Fit the candidate, which the gate judges, and the model that goes live; they may be one."""
    if config.refit_until is None:
        fitted = _fit_trees(config, names, judged)
        return fitted, fitted
    with ThreadPoolExecutor(2) as beside:
        candidate, model = beside.map(lambda rows: _fit_trees(config, names, rows), (judged, frame))
    return candidate, model


def _fit_trees(config: TrainConfig, names: list[str], frame: pd.DataFrame) -> FittedModel:
    inputs = matrix(frame, names)
    with trees.limit_threads(config.threads):  # limits only the current thread
        return classifier.fit(config, names, inputs, frame[LABEL].to_numpy()), names, inputs


def _write(model: Model, training: Training, frame: pd.DataFrame, seed: int) -> None:
    labels, inputs = frame[LABEL].to_numpy(), matrix(frame, model.features)
    risk = model.predict_matrix(inputs)
    sample = np.random.default_rng(seed).choice(len(frame), min(8000, len(frame)), replace=False)
    worth = pictures.importance(model, inputs[sample], labels[sample], seed)
    pictures.draw(TRAIN / "figures", labels, risk, worth)
    write_json(TRAIN / "importance.json", worth)
    write_json(TRAIN / "metrics.json", _metrics(training, labels, risk))
    write_json(TRAIN / "training.json", training.model_dump())
    step = max(1, len(frame) // _REFERENCE_ROWS)
    reference = frame[REQUEST_KEY].assign(risk=risk)[::step]
    write_text(TRAIN / "reference.csv", reference.to_csv(index=False, float_format="%.9g"))


def _metrics(training: Training, labels: np.ndarray, risk: np.ndarray) -> dict[str, float]:
    return {
        "rows": training.rows,
        "late_share": round(float(labels.mean()), 6),
        "log_loss_in_sample": round(float(log_loss(labels, risk).mean()), 6),
        "roc_auc_in_sample": round(roc_auc(labels, risk), 6),
        "parity_worst": max(training.parity.values()),
    }
