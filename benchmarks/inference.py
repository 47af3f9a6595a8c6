"""Where does a prediction's time go, and what do ONNX, batches and a cache bring?

The champion's trees are asked in scikit-learn and in ONNX, for one row and for many, in alternating
rounds: the machine is shared, so ratios are of the same round. Then the rows that the online store
reads: rolling features change on a grid of instants, so a cache by entity and instant of the grid
gives the very same values, and the real flights say how often it would have been hit.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Raw, Recipe, Watch, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import ENTITIES, matrix
from pipeline.features.windows import entity_names, minutes
from pipeline.models.onnx_export import save
from pipeline.models.trees import limit_threads

SIZES, ROUNDS, ROWS = (1, 8, 64, 512, 4096), 25, 4096
"""Rows a call, rounds, and rows in a round: small calls are repeated."""
MOST_CALLS = 200
UNITS = "us_a_row: processor microseconds of a call by its rows, median of rounds; hits: of reads"


def timed(predict: Callable[[np.ndarray], Any], inputs: np.ndarray, size: int) -> float:
    """Processor microseconds a row, of calls with so many rows."""
    calls = min(MOST_CALLS, max(1, len(inputs) // size))
    parts = [inputs[n * size : (n + 1) * size] for n in range(calls)]
    began = time.process_time()
    for part in parts:
        predict(part)
    return 1e6 * (time.process_time() - began) / (calls * size)


def calls(libraries: dict[str, Callable[[np.ndarray], Any]], inputs: np.ndarray) -> dict[str, Any]:
    """Both libraries by size of call, and how many times one is the other."""
    rounds: dict[int, dict[str, list[float]]] = {s: {n: [] for n in libraries} for s in SIZES}
    for number in range(ROUNDS):
        for size in SIZES:
            for name in list(libraries)[:: 1 if number % 2 else -1]:
                rounds[size][name].append(timed(libraries[name], inputs, size))
    found: dict[str, Any] = {}
    for size, by in rounds.items():
        ratios = np.array(by["scikit_learn"]) / np.array(by["onnx"])
        found[str(size)] = {
            "us_a_row": {name: round(float(np.median(of)), 2) for name, of in by.items()},
            "scikit_learn_to_onnx": round(float(np.median(ratios)), 2),
        }
    return found


def hits(asked: pd.DataFrame, grid: int) -> dict[str, float]:
    """By view, the share of reads that a cache by entity and instant of the grid would answer.

    Each flight reads a row of each rolling view once; whoever reads a row first, misses.
    """
    slot = minutes(asked["predict_at"]) // grid
    found = {}
    for view in ENTITIES:
        keys = pd.DataFrame({"entity": entity_names(asked, view).to_numpy(), "slot": slot})
        found[view] = round(1 - len(keys.drop_duplicates()) / len(keys), 4)
    return found


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """Every figure of the benchmark."""
    recipe = Recipe.of(raw)
    fitted = recipe.fit(raw.honest)
    inputs = matrix(raw.honest[recipe.scored].head(ROWS), recipe.names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model, worst = save(fitted, recipe.names, inputs, path, recipe.train.parity_tolerance)
        size = path.stat().st_size
    watch.said("champion trained and exported")
    libraries = {"scikit_learn": fitted.predict_proba, "onnx": model.predict_matrix}
    with limit_threads(1):
        found: dict[str, Any] = {"calls": calls(libraries, inputs)}
    watch.said("calls timed")
    one, most = (found["calls"][str(size)]["us_a_row"]["onnx"] for size in (SIZES[0], SIZES[-1]))
    views = hits(raw.asked, raw.config.grid_minutes)
    return found | {
        "largest_difference": worst,
        "model_bytes": size,
        "onnx_one_to_many": round(one / most, 2),
        "cache": {"views": views, "all": round(float(np.mean(list(views.values()))), 4)},
    }


def main() -> int:
    """Measure, print, and write benchmarks/inference.json."""
    print("inference: one row and many, two libraries, a cache", flush=True)
    watch, load = Watch(), os.getloadavg()[0]
    raw = published()
    watch.said("raw tables accepted")
    found = measured(raw, watch)
    found |= {"units": UNITS, "load_before": round(load, 2), "seconds": watch.seconds()}
    kept("inference", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
