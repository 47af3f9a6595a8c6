"""The champion on the nine months after its training, and the cost of a whole year of features.

Measured apart from the training code: scikit-learn's own ROC AUC and log loss, the features made
anew from the published files in a scratch copy. `make bench` writes benchmarks/year.json.
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

from exercises.drill import ROOT, replace_once, scratch

STAGES = ["ingest", "validate", "features"]


def timed(folder: Path, stage: str) -> float:
    """Seconds that one stage takes in a scratch copy, its start included."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", stage]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - started


def scores(folder: Path) -> dict[str, Any]:
    """ROC AUC and log loss of the project's champion file from April to December."""
    import pandas as pd
    from sklearn.metrics import log_loss, roc_auc_score

    from pipeline.shared.files import file_hash
    from pipeline.shared.model import load

    rows = pd.read_parquet(folder / "data/features/rows.parquet")
    rows = rows[rows["month"] >= 4]
    path = ROOT / "data/train/model.onnx"
    risk = pd.Series(load(path, file_hash(path)).predict(rows), index=rows.index)
    by_month = {
        f"2013-{month:02d}": {
            "roc_auc": round(float(roc_auc_score(group["late"], risk[group.index])), 4),
            "log_loss": round(float(log_loss(group["late"], risk[group.index])), 4),
        }
        for month, group in rows.groupby("month")
    }
    return {
        "flights": len(rows),
        "roc_auc": round(float(roc_auc_score(rows["late"], risk)), 4),
        "log_loss": round(float(log_loss(rows["late"], risk)), 4),
        "by_month": by_month,
    }


def main() -> int:
    """Measure, print, and write benchmarks/year.json."""
    with tempfile.TemporaryDirectory(prefix="year-") as name:
        folder = scratch(Path(name))
        replace_once(folder / "configs/ingest.yaml", "as_of: 2013-04", "as_of: 2013-12")
        seconds = {}
        for stage in STAGES:
            seconds[stage] = round(timed(folder, stage), 1)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        found = {
            "champion_april_to_december": scores(folder),
            "seconds_for_the_year": seconds,
            "peak_memory_gb": round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2),
        }
    text = json.dumps(found, indent=2) + "\n"
    (ROOT / "benchmarks/year.json").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
