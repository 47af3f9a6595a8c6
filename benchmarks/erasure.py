"""What is left of one aircraft after its rows are deleted, and which models have to go?

An aircraft stands in for a person who asks to be forgotten. Its rows are deleted from half a year
of flights; features are joined and a model is trained anew. What changes elsewhere is what the
rows had left behind: in features of other flights, and in every model whose window held them.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Raw, Recipe, Watch, recorded
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL, NUMERIC
from pipeline.shared.config.sections import Window

UNITS = "rows: flights; risk: points of the predicted chance; loss: log loss in nats, 0 is best"


def windows_of_champions(first: Window) -> dict[str, Window]:
    """What each champion of the recorded year learned from: the first, then each promoted one."""
    loop = json.loads((ROOT / "benchmarks/loop.json").read_text(encoding="utf-8"))
    promoted = [one["on"] for one in loop["attempts"] if one["result"] == "promoted"]
    last = {f"promoted {on}": pd.Timestamp(on) - pd.Timedelta(days=1) for on in promoted}
    later = {name: Window(first=first.first, last=f"{day:%Y-%m-%d}") for name, day in last.items()}
    return {"the first": first, **later}


def learned_from(windows: dict[str, Window], requests: pd.DataFrame, of: np.ndarray) -> list[str]:
    """The models whose window holds a flight of `of` with a label known before the window's end."""
    day = requests["year"] * 10_000 + requests["month"] * 100 + requests["day"]
    found = []
    for name, window in windows.items():
        first, last = (int(date.replace("-", "")) for date in (window.first, window.last))
        end = (pd.Timestamp(window.last) + pd.Timedelta(days=1)).tz_localize("UTC")
        within = day.between(first, last) & (requests[f"{LABEL}_known_at"] < end)
        if (within.to_numpy() & of).any():
            found.append(name)
    return found


def without(raw: Raw, of: np.ndarray) -> Raw:
    """The tables after the flights of `of` were deleted, features to be joined anew."""
    return Raw(raw.flights[~of].reset_index(drop=True), raw.weather, raw.config)


def changed(before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Which of the remaining flights have another value in any feature."""
    same = np.ones(len(before), dtype=bool)
    for name in NUMERIC:
        old, new = before[name].to_numpy(), after[name].to_numpy()
        same &= (old == new) | (np.isnan(old) & np.isnan(new))
    return ~same


def forgotten(raw: Raw, recipe: Recipe, model: Any, of: np.ndarray) -> dict[str, Any]:
    """One aircraft deleted everywhere: what it leaves, and the model that never met it."""
    began = time.process_time()
    less = without(raw, of)
    rest = raw.honest[~of].reset_index(drop=True)
    moved = changed(rest, less.honest)
    own = Recipe(recipe.train, recipe.bootstrap, less.asked)
    fresh = own.fit(less.honest)
    seconds = round(time.process_time() - began, 1)
    old, new = recipe.predict(model, rest[own.scored]), own.risk(fresh, less.honest)
    learned = recipe.learned & of
    windows = windows_of_champions(recipe.train.window)
    return {
        "flights": int(of.sum()),
        "months": int(raw.flights.loc[of, "month"].nunique()),
        "learned": int(learned.sum()),
        "champions": len(windows),
        "learned_by": learned_from(windows, raw.asked, of),
        "others_changed": round(float(moved.mean()), 4),
        "risk_moved": {
            name: round(float(np.quantile(np.abs(new - old), share)), 4)
            for name, share in (("median", 0.5), ("p99", 0.99), ("max", 1.0))
        },
        "loss_after_less_before": own.worse_by(new, old),
        "processor_seconds": seconds,
    }


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """The busiest aircraft, one in the middle, and how many aircraft each champion learned from."""
    recipe = Recipe.of(raw)
    model = recipe.fit(raw.honest)
    watch.said("the model that learned from all")
    tails = raw.flights["tailnum"]
    flights = tails.value_counts().sort_index().sort_values(kind="stable")
    found: dict[str, Any] = {
        "flights": len(raw.flights),
        "aircraft": len(flights),
        "aircraft_learned_from": int(tails[recipe.learned].nunique()),
    }
    for name, tail in {
        "busiest": flights.index[-1],
        "median": flights.index[len(flights) // 2],
    }.items():
        found[name] = forgotten(raw, recipe, model, (tails == tail).to_numpy())
        watch.said(f"the {name} aircraft deleted, features and model made anew")
    return found


def main() -> int:
    """Measure, print, and write benchmarks/erasure.json."""
    print("erasure: an aircraft is deleted, and everything is made anew", flush=True)
    print(json.dumps(recorded("erasure", measured, UNITS), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
