"""Would other hyperparameters be better: the search of `make tune`, then three months it never saw?

The search as the command runs it, with its folds and its hold-out in the training window. Its best
settings and the present ones then learn from the whole window and are judged on the months after
it: benchmarks/tuning.json.
"""

import sys
from dataclasses import replace
from typing import Any

from benchmarks.study import UNITS, Raw, Recipe, Watch, interval, recorded
from pipeline.__main__ import run_command
from pipeline.shared.config.loading import load
from pipeline.shared.config.tune import TuneConfig
from pipeline.tune.folds import split
from pipeline.tune.random_search import PRESENT, Trial, best, compare_settings, search
from pipeline.usecase.chosen import USECASE


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """Every trial on the folds; the best against the present, on the hold-out and on the months."""
    recipe, config = Recipe.of(raw), load(TuneConfig)
    frame = raw.honest[recipe.learned].reset_index(drop=True)
    parts = split(frame, config)

    def note(trial: Trial) -> None:
        watch.said(f"trial {trial.number} of {config.trials}: log loss {trial.loss:.4f}")

    trials = search(config, recipe.train, frame, parts, note)
    chosen = best(trials)
    held = compare_settings(recipe.train, chosen.settings, frame, parts.holdout, recipe.bootstrap)
    words = f"against the present on the hold-out: {held.of(USECASE.noun)}"
    watch.said(f"the best, trial {chosen.number}, {words}")
    train = recipe.train.model_copy(update={"boosting": chosen.settings})
    later = _worse_by(recipe, replace(recipe, train=train), raw)
    watch.said(f"the same on the months after the window: {interval(later)}")
    return {
        **recipe.told(),
        "config": config.model_dump(),
        "trials": [trial.model_dump() for trial in trials],
        "better_on_folds": sum(trial.loss < trials[PRESENT].loss for trial in trials),
        "best": chosen.model_dump(),
        "present": trials[PRESENT].model_dump(),
        "holdout": {
            "window": parts.window,
            "flights": held.rows,
            "days": held.days,
            "worse_by": {end: round(getattr(held, end), 4) for end in ("point", "low", "high")},
        },
        "later": {"worse_by": later},
    }


def _worse_by(present: Recipe, other: Recipe, raw: Raw) -> dict[str, float]:
    """How much more log loss another recipe has than the present one, after the window."""
    risks = [one.risk(one.fit(raw.honest), raw.honest) for one in (other, present)]
    return present.worse_by(*risks)


def main() -> int:
    """Measure, print, and write benchmarks/tuning.json."""
    config = load(TuneConfig)
    print(f"tuning: {config.trials} trials on {config.folds} folds, then later days", flush=True)
    found = recorded("tuning", measured, UNITS)
    print(f"worse_by is log loss less that of the present settings, 95% over days. {UNITS}")
    print(f"tuning: done in {found['seconds']:.0f} s -> benchmarks/tuning.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
