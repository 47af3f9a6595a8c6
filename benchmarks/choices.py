"""Is each group of features worth having, are the settings near the best?

The project's recipe without one group of features, and with one setting halved or doubled, each
trained and scored as the recipe is: benchmarks/choices.json.
"""

import sys
from typing import Any

from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import FEATURES, ONE_HOT, ROLLING, SCHEDULE
from pipeline.flights.features import AIRCRAFT, WEATHER
from pipeline.shared.config.train import TrainConfig

GROUPS = {
    "schedule": SCHEDULE,
    "weather": WEATHER,
    "aircraft": AIRCRAFT,
    **{
        f"{v} so far": [r.name for r in ROLLING if r.view == v]
        for v in {r.view: 0 for r in ROLLING}
    },
    "which origin": [name for name, (column, _) in ONE_HOT.items() if column == "origin"],
    "which carrier": [name for name, (column, _) in ONE_HOT.items() if column == "carrier"],
}
"""Every feature is in exactly one: what comes from one place and would be left out together."""


def without(config: TrainConfig, names: list[str]) -> TrainConfig:
    """The recipe without some features."""
    return config.model_copy(update={"drop_features": [*config.drop_features, *names]})


def neighbours(config: TrainConfig) -> dict[str, TrainConfig]:
    """The recipe with each setting of its trees halved and doubled, one at a time."""
    found = {}
    for name, value in config.boosting.model_dump().items():
        for factor in (0.5, 2):
            other = type(value)(value * factor)
            changed = config.boosting.model_copy(update={name: other})
            found[f"{name} {other:g}"] = config.model_copy(update={"boosting": changed})
    return found


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """The recipe as it is, then each other one: its scores, and how much worse it surely is."""
    recipe, frame = Recipe.of(raw), raw.honest
    base = recipe.risk(recipe.fit(frame), frame)
    watch.said("as it is: joined, trained, scored")
    asked = {
        "without": {name: without(recipe.train, names) for name, names in GROUPS.items()},
        "with": neighbours(recipe.train),
    }
    found: dict[str, Any] = {**recipe.told(), "as it is": recipe.scores(base)}
    for kind, configs in asked.items():
        found[kind] = {}
        for name, config in configs.items():
            other = Recipe(config, recipe.bootstrap, recipe.asked)
            risk = other.risk(other.fit(frame), frame)
            found[kind][name] = recipe.scores(risk) | {"worse_by": recipe.worse_by(risk, base)}
            watch.said(f"{kind} {name}: {interval(found[kind][name]['worse_by'])}")
    return found


def main() -> int:
    """Measure, print, and write benchmarks/choices.json."""
    print(
        f"choices: {len(FEATURES)} features in {len(GROUPS)} groups, then the settings", flush=True
    )
    watch = Watch()
    raw = published()
    watch.said("raw tables accepted")
    found = measured(raw, watch)
    kept("choices", found | {"seconds": watch.seconds()})
    print(f"worse_by is log loss less that of the recipe as it is, 95% over days. {UNITS}")
    print(f"choices: done in {watch.seconds():.0f} s -> benchmarks/choices.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
