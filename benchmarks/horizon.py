"""What does it cost to predict earlier than two hours before departure?

A score that is computed ahead knows less. For each horizon: the features as known then, the
project's recipe trained for that moment, and the live model (trained for the horizon of
configs/features.yaml) fed with the same features, as a batch that asks too early would.
"""

import sys
from typing import Any

import pandas as pd

from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, kept, published
from pipeline.__main__ import run_command
from pipeline.features.feature_table import require_plausible, require_point_in_time
from pipeline.features.point_in_time import historical
from pipeline.features.windows import requests
from pipeline.shared.config.features import FeaturesConfig
from pipeline.usecase.chosen import SECTIONS

HOURS = [24, 8, 4, 2, 1]
"""Before the scheduled departure; 24 is the longest that the config allows."""


def known(raw: Raw, hours: int) -> pd.DataFrame:
    """The feature table as known so many hours before each departure, from the same views' rows."""
    values = raw.config.model_dump() | {"horizon_minutes": hours * 60}
    config = SECTIONS[FeaturesConfig].model_validate(values)
    frame = historical(requests(raw.flights, config), raw.views, config)
    require_point_in_time(frame)
    require_plausible(frame)
    return frame


def measured(recipe: Recipe, raw: Raw, watch: Watch) -> dict[str, Any]:
    """Each horizon's own model, and the live horizon's model on the same features."""
    live = raw.config.horizon_minutes // 60
    found: dict[int, dict[str, Any]] = {}
    model, base = None, None
    for hours in [live, *(h for h in HOURS if h != live)]:
        frame = known(raw, hours)
        own = recipe.fit(frame)
        model = own if model is None else model
        risks = {"own_model": recipe.risk(own, frame), "live_model": recipe.risk(model, frame)}
        base = risks["own_model"] if base is None else base
        found[hours] = {
            name: recipe.scores(risk) | {"minus_live": recipe.worse_by(risk, base)}
            for name, risk in risks.items()
        }
        watch.said(f"{hours} h: joined, trained, scored")
    return {f"{hours}h": found[hours] for hours in sorted(found, reverse=True)}


def table(horizons: dict[str, Any], live: str) -> str:
    """The horizons as lines of text."""
    sides = {"own_model": "trained for it", "live_model": f"trained for {live}"}
    column = f"{'AUC':>6}{'loss':>8}  {f'loss less {live}, 95% days':<26}"
    lines = [
        f"{'':<9}" + "  ".join(f"{title:<42}" for title in sides.values()),
        f"{'horizon':<9}" + "  ".join([column] * len(sides)),
    ]
    for name, found in horizons.items():
        shown = "  ".join(
            f"{found[side]['roc_auc']:6.4f}{found[side]['log_loss']:8.4f}  "
            f"{interval(found[side]['minus_live']):<26}"
            for side in sides
        )
        lines.append(f"{name:<9}{shown}")
    return "\n".join([*(line.rstrip() for line in lines), UNITS])


def main() -> int:
    """Measure, print, and write benchmarks/horizon.json."""
    print("horizon: features as known ever later, and a model for each moment", flush=True)
    watch = Watch()
    raw = published()
    recipe = Recipe.of(raw)
    watch.said("raw tables accepted")
    horizons, live = measured(recipe, raw, watch), f"{raw.config.horizon_minutes // 60}h"
    found = {**recipe.told(), "live_horizon": live, "horizons": horizons}
    kept("horizon", found | {"seconds": watch.seconds()})
    print(table(horizons, live))
    print(f"horizon: done in {watch.seconds():.0f} s -> benchmarks/horizon.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
