"""How far can one prediction's explanation be trusted?

`make explain` puts the usual value in a feature's place, one at a time, and says how the risk
moves. Here that is compared with Shapley values from the same usual values, with whole groups of
features put in their place together, and with a model trained a month later that is as good.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.study import Raw, Recipe, Watch, recorded
from pipeline.__main__ import run_command
from pipeline.features.definitions import NUMERIC, ROLLING, matrix

FLIGHTS, ORDERS = 200, 40
"""Flights explained; orders of the features that a Shapley value is a mean over, half reversed."""
LATER = "2013-04-30"
Predict = Callable[[np.ndarray], np.ndarray]
UNITS = "shares of flights; gap: points of risk; rolling_ratio: effects one by one to all together"


def one_at_a_time(predict: Predict, rows: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """For each row and column, the risk less the risk with the usual value in that column."""
    base = predict(rows)
    found = np.empty(rows.shape)
    for column in range(rows.shape[1]):
        other = rows.copy()
        other[:, column] = usual[column]
        found[:, column] = base - predict(other)
    return found


def shapley(predict: Predict, rows: np.ndarray, usual: np.ndarray, orders: int) -> np.ndarray:
    """For each row and column, the mean rise of the risk when the row's value comes in.

    The mean is over random orders, each also reversed (Strumbelj and Kononenko 2014); a row's
    values add up to its risk less that of the usual values.
    """
    rng, columns = np.random.default_rng(0), rows.shape[1]
    total = np.zeros(rows.shape)
    for _ in range(orders // 2):
        order = rng.permutation(columns)
        for turn in (order, order[::-1]):
            now = np.tile(usual, (len(rows), 1)).astype(rows.dtype)
            last = predict(now)
            for column in turn:
                now[:, column] = rows[:, column]
                risk = predict(now)
                total[:, column] += risk - last
                last = risk
    return total / (2 * (orders // 2))


def same_first(one: np.ndarray, other: np.ndarray) -> float:
    """The share of rows in which both name the same column as the strongest."""
    return round(float((np.abs(one).argmax(axis=1) == np.abs(other).argmax(axis=1)).mean()), 4)


def shared_three(one: np.ndarray, other: np.ndarray) -> float:
    """The mean share of the three strongest columns that both name."""
    first, second = (np.argsort(-np.abs(of), axis=1)[:, :3] for of in (one, other))
    both = [len(set(a) & set(b)) / 3 for a, b in zip(first, second, strict=True)]
    return round(float(np.mean(both)), 4)


def together(predict: Predict, rows: np.ndarray, usual: np.ndarray, of: list[int]) -> np.ndarray:
    """The risk less the risk with the usual values in all columns of a group."""
    other = rows.copy()
    other[:, of] = usual[of]
    return predict(rows) - predict(other)


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """Every figure of the benchmark."""
    recipe, frame = Recipe.of(raw), raw.honest
    columns = [recipe.names.index(name) for name in NUMERIC]
    scored = matrix(frame[recipe.scored], recipe.names)
    rows = scored[np.random.default_rng(0).choice(len(scored), FLIGHTS, replace=False)]
    usual = rows[0].copy()
    usual[columns] = np.nanmedian(matrix(frame[recipe.learned], recipe.names)[:, columns], axis=0)
    risks: dict[str, Predict] = {}
    for name, one in {"now": recipe, "later": recipe.until(LATER)}.items():
        risks[name] = _predict(one.fit(frame), rows, columns)
        watch.said(f"model of {one.train.window.last} trained")
    numeric, middle = rows[:, columns], usual[columns]
    single = one_at_a_time(risks["now"], numeric, middle)
    fair = shapley(risks["now"], numeric, middle, ORDERS)
    watch.said(f"{FLIGHTS} predictions explained")
    whole = risks["now"](numeric) - risks["now"](np.tile(middle, (FLIGHTS, 1)))
    rolling = [NUMERIC.index(one.name) for one in ROLLING]
    group = together(risks["now"], numeric, middle, rolling)
    strong = np.abs(group) > 0.05
    return {
        "flights": FLIGHTS,
        "features": len(NUMERIC),
        "shapley_gap": round(float(np.abs(fair.sum(axis=1) - whole).max()), 9),
        "one_at_a_time_gap": round(float(np.median(np.abs(single.sum(axis=1) - whole))), 4),
        "whole": round(float(np.median(np.abs(whole))), 4),
        "same_first": same_first(single, fair),
        "shared_three": shared_three(single, fair),
        "rolling_flights": int(strong.sum()),
        "rolling_ratio": round(
            float(np.median(single[strong][:, rolling].sum(axis=1) / group[strong])), 3
        ),
        "same_first_a_month_later": same_first(
            single, one_at_a_time(risks["later"], numeric, middle)
        ),
    }


def _predict(model: Any, rows: np.ndarray, columns: list[int]) -> Predict:
    """A model's risk of numeric inputs; carrier and origin stay those of each flight."""

    def predict(numeric: np.ndarray) -> np.ndarray:
        inputs = rows.copy()
        inputs[:, columns] = numeric
        return np.asarray(model.predict_proba(inputs)[:, 1])

    return predict


def main() -> int:
    """Measure, print, and write benchmarks/explanations.json."""
    print("explanations: one feature at a time, and what that leaves out", flush=True)
    print(json.dumps(recorded("explanations", measured, UNITS), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
