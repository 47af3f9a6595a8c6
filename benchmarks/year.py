"""The champion's scores on the whole year, the drift of its predictions, time and memory.

The champion on the nine months after its training, by scikit-learn's own scores on features made
anew in a scratch copy; how far its predictions drift and what that has to do with loss; how wide an
honest interval is; what monotone constraints cost; what default drift tests say; time and memory.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from exercises.drill import replace_once
from exercises.scratch import ROOT, scratch
from pipeline.__main__ import run_command
from pipeline.features.definitions import FEATURES, NUMERIC, matrix
from pipeline.models.trees import boosting
from pipeline.monitor.inputs.drift import CATEGORIES, measure
from pipeline.registry.model import load as load_model
from pipeline.shared import yaml_files
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.files import file_hash
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

STAGES = ["ingest", "validate", "features"]


def timed(folder: Path, stage: str) -> float:
    """Seconds that one stage takes in a scratch copy, its start included."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", stage]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - started


def scores(labels: pd.Series, risk: pd.Series) -> dict[str, float]:
    """scikit-learn's ROC AUC and log loss."""
    from sklearn.metrics import log_loss, roc_auc_score

    return {
        "roc_auc": round(float(roc_auc_score(labels, risk)), 4),
        "log_loss": round(float(log_loss(labels, risk)), 4),
    }


def champion(rows: pd.DataFrame) -> dict[str, Any]:
    """The project's champion file from April to December, in all and by month."""
    path = ROOT / "data/train/model.onnx"
    risk = pd.Series(load_model(path, file_hash(path)).predict(rows), index=rows.index)
    later = rows["month"] >= 4
    by_month = {
        f"2013-{month:02d}": scores(group["late"], risk[group.index]) | {"prediction_psi": psi}
        for (month, group), psi in zip(
            rows[later].groupby("month"), _prediction_psi(rows, risk), strict=True
        )
    }
    return {"flights": int(later.sum())} | scores(rows["late"][later], risk[later]) | by_month


def _prediction_psi(rows: pd.DataFrame, risk: pd.Series) -> list[float]:
    """How far each month's predictions are from those of the training window."""
    seen = rows[[*CATEGORIES]].assign(risk=risk)
    reference = seen[_trained_on(rows)]
    later = rows[rows["month"] >= 4].groupby("month").groups.values()
    return [round(measure(reference, seen.loc[index], html=False)["risk"], 3) for index in later]


def _trained_on(rows: pd.DataFrame) -> pd.Series:
    return (rows["month"] <= 3) & ((rows["month"] > 1) | (rows["day"] >= 8))


def interval_widths(rows: pd.DataFrame) -> dict[str, float]:
    """The gate's interval on April against one that takes flights for independent."""
    config = yaml_files.parse((ROOT / "configs/evaluate.yaml").read_text(encoding="utf-8"))
    bootstrap = Bootstrap.model_validate(config["bootstrap"])
    april = rows[rows["month"] == 4]
    losses = [
        log_loss(april["late"].to_numpy(), load_model(path, file_hash(path)).predict(april))
        for path in (ROOT / "data/train/model.onnx", ROOT / "data/train/logistic.onnx")
    ]
    worse_by = losses[0] - losses[1]
    by_day = difference(worse_by, april["day"].to_numpy(), bootstrap)
    by_flight = 1.96 * float(worse_by.std(ddof=1)) / len(april) ** 0.5
    half = (by_day.high - by_day.low) / 2
    return {
        "days": round(half, 4),
        "flights": round(by_flight, 4),
        "ratio": round(half / by_flight, 1),
    }


def monotone_cost(rows: pd.DataFrame) -> dict[str, Any]:
    """The champion's recipe with and without its monotone constraints, on April to December."""
    values = yaml_files.parse((ROOT / "configs/train.yaml").read_text(encoding="utf-8"))
    config = TrainConfig.model_validate(values)
    known = rows["late_known_at"] < pd.Timestamp("2013-04-01", tz="UTC")
    learned, later = rows[_trained_on(rows) & known], rows[rows["month"] >= 4]
    inputs, windier = (
        matrix(later, FEATURES),
        matrix(later.assign(wind_speed=later["wind_speed"] + 15), FEATURES),
    )
    found = {}
    for name, monotone in {"with": True, "without": False}.items():
        chosen = config.model_copy(update={"monotone": monotone})
        model = boosting(chosen, FEATURES, matrix(learned, FEATURES), learned["late"].to_numpy())
        risk = model.predict_proba(inputs)[:, 1]
        falls = float((model.predict_proba(windier)[:, 1] < risk - 1e-6).mean())
        found[name] = scores(later["late"], risk) | {"risk_falls_with_wind": round(falls, 3)}
    return found


def default_drift(rows: pd.DataFrame) -> dict[str, float]:
    """The share of inputs that Evidently's default settings call drifted, by pair of windows."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    inputs = rows[[*NUMERIC, *CATEGORIES]]
    columns = DataDefinition(numerical_columns=NUMERIC, categorical_columns=CATEGORIES)
    windows = {
        "march_against_january_and_february": (rows["month"] == 3, rows["month"] < 3),
        "may_against_the_training_window": (rows["month"] == 5, rows["month"] <= 3),
    }
    found = {}
    for name, (current, reference) in windows.items():
        sets = [
            Dataset.from_pandas(
                inputs[mask & (_trained_on(rows) | (rows["month"] > 3))], data_definition=columns
            )
            for mask in (current, reference)
        ]
        metrics = Report([DataDriftPreset()]).run(*sets).dict()["metrics"]
        found[name] = round(float(metrics[0]["value"]["share"]), 2)
    return found


def main() -> int:
    """Measure, print, and write benchmarks/year.json."""
    with tempfile.TemporaryDirectory(prefix="year-") as name:
        folder = scratch(Path(name))
        replace_once(folder / "configs/ingest.yaml", "as_of: 2013-04", "as_of: 2013-12")
        seconds = {}
        for stage in STAGES:
            seconds[stage] = round(timed(folder, stage), 1)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        rows = pd.read_parquet(folder / "data/features/rows.parquet")
    found = {
        "champion_april_to_december": champion(rows),
        "half_width_of_the_interval_april": interval_widths(rows),
        "monotone_constraints": monotone_cost(rows),
        "share_drifted_by_default_settings": default_drift(rows),
        "seconds_for_the_year": seconds,
        "peak_memory_gb": round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2),
    }
    text = json.dumps(found, indent=2) + "\n"
    (ROOT / "benchmarks/year.json").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
