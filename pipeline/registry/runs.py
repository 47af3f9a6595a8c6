"""Experiment tracking: what MLflow keeps of a training run, and of the verdicts on it.

A run is recorded from the files in data/train/, so it can be recorded again in a new store.
Registration finds the run of a model by its digest and records one only if there is none.
"""

import json
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.registry import locations, model_scan, run_description
from pipeline.registry.client import connect, experiment_id, store_exists
from pipeline.registry.versions import MODEL_FILE
from pipeline.shared import lineage
from pipeline.shared.config.loading import CONFIGS, load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import INGEST, TRAIN, Manifest, Training, Verdict, read_record
from pipeline.shared.files import read_json


def find_run(config: RegisterConfig, digest: str) -> str | None:
    """The newest finished run with a model of this digest, if there is one."""
    client = connect(config)
    runs = client.search_runs(
        [experiment_id(client, config)],
        f"tags.model_digest = '{digest}' and attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return str(runs[0].info.run_id) if runs else None


def record(config: RegisterConfig, training: Training) -> str:
    """Record data/train/ as a run with parameters, metrics, data, figures, model and lineage.

    Returns the run's id; it is marked finished only once everything is stored.
    """
    client = connect(config)
    locations.require_written_here(config)
    import mlflow

    origin = lineage.collect()
    name, about = run_description.run_name(training), run_description.run_description(training)
    with mlflow.start_run(
        experiment_id=experiment_id(client, config), run_name=name, description=about
    ) as active:
        mlflow.log_params(_parameters(training))
        mlflow.log_metrics(read_json(TRAIN / "metrics.json", "train"))
        _log_curve(read_json(TRAIN / "curve.json", "train"))
        mlflow.set_tags(
            {
                **run_description.run_tags(training),
                **origin,
                "model_digest": training.digest,
                "predictions_hash": training.predictions_hash,
            }
        )
        _log_data(client, active.info.run_id, training)
        _log_files()
        _remove_world_write(active.info.artifact_uri)
        _log_model(training)
        return str(active.info.run_id)


def _parameters(training: Training) -> dict[str, Any]:
    config = load(TrainConfig)
    return {
        **config.boosting.model_dump(),
        "window": training.window,
        "monotone": config.monotone,
        "seed": training.seed,
        "threads": training.threads,
        "inputs": len(training.features),
    }


def _log_curve(curve: list[dict[str, float]]) -> None:
    """Log the loss by iteration, of rows that were learned from and of rows held out."""
    import mlflow

    for point in curve:
        step = int(point["iteration"])
        for name, value in point.items():
            if name != "iteration":
                mlflow.log_metric(name, value, step=step)


def _log_data(client: Any, run_id: str, training: Training) -> None:
    """Name the snapshots behind the run, each with the start of its content hash as digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{snapshot.table}-{snapshot.month}",
                digest=snapshot.content_hash[:32],
                source_type="local",
                source=json.dumps({"uri": snapshot.path}),
                profile=json.dumps({"rows": snapshot.rows}),
            ),
            [InputTag("mlflow.data.context", "training")],
        )
        for snapshot in manifest.snapshots
        if snapshot.month[:7] <= training.window.split("..")[1][:7]
    ]
    client.log_inputs(run_id, datasets=inputs)


def _log_model(training: Training) -> None:
    """Store the ONNX file with its signature and an example, and check that it is the same file."""
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = TensorSpec(np.dtype("float32"), (-1, len(training.features)), "inputs")
    outputs = [
        TensorSpec(np.dtype("int64"), (-1,), "label"),
        TensorSpec(np.dtype("float32"), (-1, 2), "probabilities"),
    ]
    mlflow.onnx.log_model(
        model_scan.parse_onnx((TRAIN / MODEL_FILE).read_bytes()),
        name="model",
        signature=ModelSignature(Schema([inputs]), Schema(outputs)),
        input_example={"inputs": _example()},
        pip_requirements=[f"{name}=={version(name)}" for name in ("onnx", "onnxruntime")],
        save_as_external_data=False,
    )


def _example() -> Any:
    """Rows of inputs as they came, NaN where something is missing: those of the warm-up."""
    import numpy as np

    inputs = read_json(TRAIN / "warmup.json", "train")["inputs"]
    return np.array([[np.nan if v is None else v for v in row] for row in inputs], dtype="float32")


def _log_files() -> None:
    import mlflow

    mlflow.log_artifacts(str(TRAIN / "figures"), "figures")
    mlflow.log_artifacts(str(CONFIGS), "configs")
    mlflow.log_artifact(str(INGEST / "manifest.json"), "lineage")
    for name in ("training.json", "importance.json", "reference.csv"):
        mlflow.log_artifact(str(TRAIN / name), "training")
    for path in (Path("requirements.lock"), Path("dvc.lock")):
        if path.is_file():
            mlflow.log_artifact(str(path), "lineage")
    if changed := lineage.patch():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tree.patch"
            path.write_bytes(changed)
            mlflow.log_artifact(str(path), "lineage")


def log_folder(config: RegisterConfig, run_id: str, folder: Path, place: str) -> None:
    """Add the files of a folder to a run, below `place`."""
    client = connect(config)
    locations.require_written_here(config)
    client.log_artifacts(run_id, str(folder), place)


def log_verdict(
    config: RegisterConfig, run_id: str, folder: Path, figures: dict[str, float]
) -> None:
    """Add the gate's verdict to the run that it judged."""
    log_folder(config, run_id, folder, "verdict")
    client = connect(config)
    _remove_world_write(client.get_run(run_id).info.artifact_uri)
    for name, value in figures.items():
        client.log_metric(run_id, name, value)


def note_verdict(config: RegisterConfig, verdict: Verdict) -> None:
    """Note a verdict on the run of the challenger, passed or refused; nothing without the run.

    The run gets tags to search by, and a nested run with every check as a metric.
    """
    run_id = find_run(config, verdict.challenger) if store_exists(config) else None
    if run_id is None:
        return
    client = connect(config)
    for name, value in run_description.verdict_tags(verdict).items():
        client.set_tag(run_id, name, value)
    about = {
        "mlflow.runName": run_description.verdict_name(verdict),
        "mlflow.parentRunId": run_id,
        "mlflow.note.content": run_description.verdict_description(verdict),
        **run_description.verdict_tags(verdict),
    }
    judged = client.create_run(experiment_id(client, config), tags=about)
    for check in verdict.checks:
        client.log_metric(judged.info.run_id, run_description.metric_name(check.name), check.found)
    client.set_terminated(judged.info.run_id)


def _remove_world_write(artifacts: str) -> None:
    """Remove world write access from artifacts: MLflow copies files with their modes."""
    url = urlsplit(artifacts)
    if url.scheme in ("", "file"):
        for path in Path(unquote(url.path)).rglob("*"):
            if (mode := stat.S_IMODE(path.stat().st_mode)) & stat.S_IWOTH:
                path.chmod(mode & ~stat.S_IWOTH)
