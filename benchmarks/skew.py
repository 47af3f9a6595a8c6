"""What each mistake of serving costs the model.

The honest model is fed what each known mistake would serve it, on three months; the drills plant
the same mistakes in the real online path and see them found by name. Beside them stands what
withholding costs: the values of a store that fell behind, missing instead of old.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import NUMERIC
from pipeline.features.on_demand import sources
from pipeline.serve.skew import Raw as Tables
from pipeline.serve.skew import mistakes

LAG = 360
"""How many minutes the stale store of the drill lies behind."""


def served(raw: Raw) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every mistake by its name, with the feature table that it would serve."""
    yield from mistakes(raw.honest, Tables(raw.flights, raw.weather, raw.config), [LAG])
    behind = [name for name in NUMERIC if sources(name)]
    yield "withheld as stale", raw.honest.assign(**dict.fromkeys(behind, np.float32("nan")))


def table(honest: dict[str, float], found: dict[str, Any]) -> str:
    """The mistakes as lines of text."""
    lines = [f"{'served':<24}{'AUC':>6}{'loss':>8}  loss less the honest one, 95% days"]
    lines.append(f"{'honest':<24}{honest['roc_auc']:6.4f}{honest['log_loss']:8.4f}")
    lines += [
        f"{name:<24}{of['roc_auc']:6.4f}{of['log_loss']:8.4f}  {interval(of['minus_honest'])}"
        for name, of in found.items()
    ]
    return "\n".join([*lines, UNITS])


def main() -> int:
    """Measure, print, and write benchmarks/skew.json."""
    print("skews: one honest model, fed with what each mistake would serve", flush=True)
    watch = Watch()
    raw = published()
    recipe = Recipe.of(raw)
    watch.said("raw tables accepted")
    model = recipe.fit(raw.honest)
    honest = recipe.risk(model, raw.honest)
    watch.said("honest model trained")
    found = {}
    for name, frame in served(raw):
        risk = recipe.risk(model, frame)
        found[name] = recipe.scores(risk) | {"minus_honest": recipe.worse_by(risk, honest)}
        watch.said(name)
    scores = recipe.scores(honest)
    kept("skew", {**recipe.told(), "honest": scores, "mistakes": found})
    print(table(scores, found))
    print(f"skews: done in {watch.seconds():.0f} s -> benchmarks/skew.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
