"""How much does a leaky join gain offline, and what is left of it in service?

Each join looks ahead in its own way; the project's own model learns from it and is scored twice:
on the same leaky features, as a notebook would show it, and on the features that were known when
each prediction was made, as production has them. The guard of the feature table judges each join.
"""

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import ENTITIES, ROLLING
from pipeline.features.feature_table import require_point_in_time
from pipeline.features.point_in_time import as_of
from pipeline.features.windows import (
    NEVER,
    Minutes,
    entity_names,
    instants,
    minutes,
    outcomes,
    rolling_rows,
    windows,
)
from pipeline.flights.events import OBSERVATION_MINUTES
from pipeline.shared.domain import Event, Rolling
from pipeline.shared.errors import LeakFound


def point_in_time(raw: Raw) -> pd.DataFrame:
    """The honest join: every value was known before its prediction."""
    return raw.honest


def date(raw: Raw) -> pd.DataFrame:
    """Every rolling feature becomes its entity's mean over the flight's whole New York date.

    What a notebook writes: group by date, join on the date. At noon it holds the evening, and the
    flight's own end.
    """
    known = outcomes(raw.flights)
    day = [raw.asked[part] for part in ("year", "month", "day")]
    columns: dict[str, Any] = {}
    for view in ENTITIES:
        own = [w for w in ROLLING if w.view == view]
        values = pd.DataFrame({w.name: known[w.value].value for w in own}, index=raw.asked.index)
        newest = pd.Series(_newest(own, known), index=raw.asked.index)
        groups = [*day, entity_names(raw.asked, view)]
        columns |= dict(values.groupby(groups, observed=True).transform("mean").astype("float32"))
        told = instants(newest.groupby(groups, observed=True).transform("max").to_numpy())
        columns[f"{view}_known_at"] = told.array
    return raw.honest.assign(**columns)


def scheduled(raw: Raw) -> pd.DataFrame:
    """Rolling means over the flights scheduled before this one, whether they have ended or not.

    What a notebook writes: sort by schedule, roll. An outcome counts as known at its flight's
    scheduled departure, and the join is as of this flight's own, a horizon after the prediction.
    """
    return raw.joined(_rolled(raw, raw.config.horizon_minutes))


def scheduled_before_prediction(raw: Raw) -> pd.DataFrame:
    """The same, joined as of the prediction: the right instant, of outcomes not yet known then."""
    return raw.joined(_rolled(raw, 0))


def weather_of_the_scheduled_hour(raw: Raw) -> pd.DataFrame:
    """The weather observed in the hour of the scheduled departure, joined on hour and origin.

    The row of an hour counts as there when the hour begins, a horizon early.
    """
    rows = raw.views["weather"]
    early = rows["known_at"] - OBSERVATION_MINUTES - raw.config.horizon_minutes
    return raw.joined({"weather": rows.assign(available_at=early)})


JOINS: dict[str, Callable[[Raw], pd.DataFrame]] = {
    join.__name__: join
    for join in (
        point_in_time,
        date,
        scheduled,
        scheduled_before_prediction,
        weather_of_the_scheduled_hour,
    )
}
"""The honest join, then each that looks ahead."""


def _newest(own: list[Rolling], known: dict[str, Event]) -> Minutes:
    """For each flight, when the last of the outcomes that these windows use was known."""
    return np.maximum.reduce([known[w.value].known for w in own])


def _rolled(raw: Raw, early: int) -> dict[str, pd.DataFrame]:
    """The rolling views when an outcome counts as known so long before its scheduled departure."""
    counted = minutes(raw.flights["sched_dep_utc"]) - early
    known = outcomes(raw.flights)
    leaky = {
        name: Event(event.value, np.where(event.known == NEVER, NEVER, counted))
        for name, event in known.items()
    }
    found = {}
    for view in ENTITIES:
        entity, own = entity_names(raw.asked, view), windows(view, raw.config)
        rows = rolling_rows(entity, leaky, own, raw.config.grid_minutes)
        found[view] = _honestly_dated(rows, entity, counted, _newest(own, known))
    return found


def _honestly_dated(
    rows: pd.DataFrame, entity: pd.Series, counted: Minutes, known: Minutes
) -> pd.DataFrame:
    """The rows, each with the instant at which the newest outcome it has held was known in truth.

    The values leak, the instants do not lie: that is what the guard must see. An outcome that left
    a short window still dates the row, as its flight is in the entity's longer ones.
    """
    ends = pd.DataFrame({"entity": entity, "available_at": counted, "known_at": known})
    ends = ends.sort_values(["entity", "available_at"], ignore_index=True)
    ends["known_at"] = ends.groupby("entity", observed=True)["known_at"].cummax()
    ends["entity"] = ends["entity"].astype("category")
    found = as_of(ends, rows["entity"], rows["known_at"].to_numpy())
    return rows.assign(known_at=ends["known_at"].to_numpy()[found])


def guard(frame: pd.DataFrame) -> dict[str, Any]:
    """What the guard of the feature table says: whether it refuses, which view, how many rows."""
    try:
        require_point_in_time(frame)
    except LeakFound as leak:
        view, rows = re.findall(r"^(\w+) features of ([\d,]+) of", str(leak))[0]
        return {"refused": True, "view": view, "rows": int(rows.replace(",", ""))}
    return {"refused": False, "rows": 0}


def measured(recipe: Recipe, raw: Raw, watch: Watch) -> dict[str, Any]:
    """Each join: what its model scores on its own features, and what on those that service has."""
    found: dict[str, Any] = {}
    honest = None
    for name, join in JOINS.items():
        frame = join(raw)
        model = recipe.fit(frame)
        offline, served = recipe.risk(model, frame), recipe.risk(model, raw.honest)
        honest = served if honest is None else honest
        found[name] = {
            "offline": recipe.scores(offline),
            "served": recipe.scores(served),
            "served_minus_honest": recipe.worse_by(served, honest),
            "guard": guard(frame),
        }
        watch.said(f"{name.replace('_', ' ')}: joined, trained, scored")
    return found


def table(joins: dict[str, Any]) -> str:
    """The joins as lines of text."""
    lines = [
        f"{'':<30}{'offline':^17}{'served':^17}  {'served less honest':<28}guard",
        f"{'join':<30}{'AUC':>7}{'loss':>8}  {'AUC':>7}{'loss':>8}  "
        f"{'loss, 95% over days':<28}refuses",
    ]
    for name, found in joins.items():
        scores = "  ".join(
            f"{found[side]['roc_auc']:7.4f}{found[side]['log_loss']:8.4f}"
            for side in ("offline", "served")
        )
        refused = f"{found['guard']['rows']:,} rows" if found["guard"]["refused"] else "nothing"
        lines.append(
            f"{name.replace('_', ' '):<30}{scores}  "
            f"{interval(found['served_minus_honest']):<28}{refused}"
        )
    return "\n".join([*lines, UNITS])


def main() -> int:
    """Measure, print, and write benchmarks/leak.json."""
    print(f"leak: {len(JOINS)} ways to join the same features, a model for each", flush=True)
    watch = Watch()
    raw = published()
    recipe = Recipe.of(raw)
    watch.said("raw tables accepted")
    joins = measured(recipe, raw, watch)
    kept("leak", {**recipe.told(), "joins": joins, "seconds": watch.seconds()})
    print(table(joins))
    print(f"leak: done in {watch.seconds():.0f} s -> benchmarks/leak.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
