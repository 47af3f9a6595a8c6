"""What does a new feature gain if its history is backfilled as known, and what if it is not?

The feature: how often this flight number was late. Its past can be filled with the value as it was
known at each prediction, or, as a hasty job does, with today's value for every row. Both tables are
learned from, and scored on what service would have had. The guard of the feature table judges each,
and the skew check compares each with what would have been served.
"""

import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.leak import guard
from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL
from pipeline.features.point_in_time import as_of
from pipeline.features.windows import Rolling, instants, minutes, outcomes, rolling_rows

NAME, KNOWN = "number_late", "number_known_at"
HISTORY = Rolling("number", LABEL, 28 * 24)
"""Its mean over what became known in four weeks."""
SHRINK = 3
"""Imaginary flights that are late as often as all: a flight number has few of its own."""


def numbers(raw: Raw) -> pd.Series:
    """Each flight's number, as text: "UA/1545/EWR"."""
    parts = (raw.asked[part].astype(str) for part in ("carrier", "flight", "origin"))
    carrier, number, origin = parts
    return carrier + "/" + number + "/" + origin


def as_known(raw: Raw) -> pd.DataFrame:
    """Each row gets the mean of the outcomes that were known at its own prediction."""
    entity, late = numbers(raw), {LABEL: outcomes(raw.flights)[LABEL]}
    rows = rolling_rows(entity, late, [HISTORY], raw.config.grid_minutes)
    last = as_of(rows, entity, minutes(raw.asked["predict_at"]))
    there = last >= 0
    total, count = (
        np.where(there, rows[f"{HISTORY.name}_{part}"].to_numpy()[last], 0)
        for part in ("sum", "count")
    )
    known = np.where(there, rows["known_at"].to_numpy()[last], np.iinfo("int64").min)
    return raw.honest.assign(**{NAME: _mean(total, count, raw), KNOWN: instants(known).array})


def todays_value(raw: Raw) -> pd.DataFrame:
    """Each row gets the mean over the whole table as it is on the day of the backfill.

    The rows say when that was known: at the end of the table.
    """
    of = raw.asked.groupby(numbers(raw))[LABEL]
    total, count = of.transform("sum").to_numpy("float64"), of.transform("count").to_numpy()
    newest = raw.asked[f"{LABEL}_known_at"].max()
    return raw.honest.assign(**{NAME: _mean(total, count, raw), KNOWN: newest})


def todays_value_dated_back(raw: Raw) -> pd.DataFrame:
    """The same values, under the instants at which they would have been known if they were honest.

    What most jobs write: a backfilled row with the time of its event.
    """
    return todays_value(raw).assign(**{KNOWN: as_known(raw)[KNOWN].array})


FILLS = {fill.__name__: fill for fill in (as_known, todays_value, todays_value_dated_back)}


def _mean(total: np.ndarray, count: np.ndarray, raw: Raw) -> np.ndarray:
    """Shrunk towards the share that is late before any flight is known."""
    prior = SHRINK * raw.config.prior[LABEL]
    return np.asarray((total + prior) / (count + SHRINK), dtype="float32")


def differing(filled: pd.DataFrame, served: pd.DataFrame) -> float:
    """The share of rows whose value is not the one that service would have had."""
    return round(float((filled[NAME] != served[NAME]).mean()), 4)


class WithNumber(Recipe):
    """The project's recipe, with one more input."""

    @property
    def names(self) -> list[str]:
        """The model's inputs, the new one last."""
        return [*super().names, NAME]


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """The model without the feature, then with each way to fill its past."""
    without = Recipe.of(raw)
    recipe = WithNumber(without.train, without.bootstrap, without.asked)
    before = without.risk(without.fit(raw.honest), raw.honest)
    watch.said("the model without it")
    began = time.process_time()
    served = as_known(raw)
    seconds = round(time.process_time() - began, 2)
    found: dict[str, Any] = {"without": recipe.scores(before), "seconds_as_known": seconds}
    for name, fill in FILLS.items():
        filled = fill(raw)
        model = recipe.fit(filled)
        offline, online = recipe.risk(model, filled), recipe.risk(model, served)
        found[name] = {
            "offline": recipe.scores(offline),
            "served": recipe.scores(online),
            "served_minus_without": recipe.worse_by(online, before),
            "guard": _judged(filled),
            "differ": differing(filled, served),
        }
        watch.said(f"{name.replace('_', ' ')}: filled, trained, scored")
    return found


def _judged(filled: pd.DataFrame) -> dict[str, Any]:
    """What the guard says of the new view's instants, under the name of one that it knows."""
    return guard(filled.assign(route_known_at=filled[KNOWN].array))


def main() -> int:
    """Measure, print, and write benchmarks/backfill.json."""
    print(f"backfill: {len(FILLS)} ways to fill the past of one feature", flush=True)
    watch = Watch()
    raw = published()
    watch.said("raw tables accepted, point-in-time features")
    recipe = Recipe.of(raw)
    found = recipe.told() | {"ways": measured(raw, watch), "seconds": watch.seconds()}
    kept("backfill", found)
    for name in FILLS:
        one = found["ways"][name]
        print(
            f"{name.replace('_', ' '):<26} offline {one['offline']['roc_auc']:.4f}, served "
            f"{one['served']['roc_auc']:.4f}, loss less without it "
            f"{interval(one['served_minus_without'])}, differs from service in {one['differ']:.0%}"
        )
    print(UNITS)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
