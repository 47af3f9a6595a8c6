"""The search as a command: tries settings, records each trial, proposes; the gate decides."""

import sys

import pandas as pd

from pipeline.features.feature_table import read
from pipeline.registry import search_runs
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import BoostingParameters, TrainConfig
from pipeline.shared.config.tune import TuneConfig
from pipeline.shared.contracts import Figure, Record
from pipeline.shared.files import write_json, write_text
from pipeline.shared.paired_difference import Difference
from pipeline.tune.folds import Split, split
from pipeline.tune.random_search import PRESENT, TUNE, Trial, best, compare_settings, search
from pipeline.tune.search_report import search_report


class Holdout(Record):
    """The best trial's loss less that of the present settings on days that no trial saw, in nats.

    `looks` counts the searches that were judged on these days, this one included.
    """

    window: str
    point: Figure
    low: Figure
    high: Figure
    rows: int
    days: int
    looks: int

    @property
    def better(self) -> bool:
        """Whether the best trial is significantly better than the present settings."""
        return self.high < 0


class Search(Record):
    """A search: its days, its trials, and the comparison; none if the present settings are best."""

    window: str
    trials: list[Trial]
    best: int
    holdout: Holdout | None


def run(trials: int | None = None) -> str:
    """Search on the training window, write data/tune/ and the runs; the proposal in words."""
    train, registry = load(TrainConfig), load(RegisterConfig)
    config = load(TuneConfig)
    if trials is not None:
        config = config.model_copy(update={"trials": trials})
    frame = labelled_rows(train)
    parts = split(frame, config)
    before = search_runs.looks(registry, parts.window)
    name = f"{config.trials} trials, seed {config.seed}"
    with search_runs.search_run(registry, name) as recorded:
        recorded.add_values(config.model_dump(exclude={"space"}) | config.space)
        tried = search(config, train, frame, parts, lambda trial: _note(recorded, trial, config))
        found = _judge(train, frame, parts, tried, before + 1)
        write_json(TUNE / "search.json", found.model_dump())
        write_text(TUNE / "search.html", search_report(found.trials, best(tried), words(found)))
        judged_on = parts.window if found.holdout else None
        recorded.conclude(_figures(found), words(found), TUNE, judged_on)
    return f"{words(found)}\n  {TUNE}/search.html; run {recorded.run_id[:8]}: make ui TOOL=mlflow"


def labelled_rows(train: TrainConfig) -> pd.DataFrame:
    """The rows of the training window whose label had arrived by its end."""
    end = pd.Timestamp(train.window.last) + pd.Timedelta(days=1)
    return read(train.window, end.tz_localize("UTC"))


def _note(recorded: search_runs.SearchRun, trial: Trial, config: TuneConfig) -> None:
    """Record a trial and show it, since the next is minutes away on a slow machine."""
    name = "present settings" if trial.number == PRESENT else f"trial {trial.number}"
    folds = {f"log_loss_fold_{number}": loss for number, loss in enumerate(trial.by_fold, 1)}
    metrics = {"log_loss": trial.loss, **folds, "seconds": trial.seconds}
    recorded.add_trial(name, trial.settings.model_dump(), metrics)
    sys.stderr.write(f"tune: {trial.number}/{config.trials}  log loss {trial.loss:.4f}  {name}\n")


def _judge(
    train: TrainConfig, frame: pd.DataFrame, parts: Split, tried: list[Trial], looks: int
) -> Search:
    chosen, held = best(tried), None
    if chosen.number != PRESENT:
        bootstrap = load(EvaluateConfig).bootstrap
        held = compare_settings(train, chosen.settings, frame, parts.holdout, bootstrap)
    return Search(
        window=f"{train.window.first}..{train.window.last}",
        trials=tried,
        best=chosen.number,
        holdout=_holdout(held, parts.window, looks) if held else None,
    )


def _holdout(found: Difference, window: str, looks: int) -> Holdout:
    return Holdout(
        window=window,
        point=found.point,
        low=found.low,
        high=found.high,
        rows=found.rows,
        days=found.days,
        looks=looks,
    )


def _figures(found: Search) -> dict[str, float]:
    """The parent run's metrics: losses of the best and the present, and the hold-out's interval."""
    figures = {"log_loss": found.trials[found.best].loss, "best_trial": float(found.best)}
    figures["log_loss_present"] = found.trials[PRESENT].loss
    if held := found.holdout:
        figures |= {f"holdout_{end}": getattr(held, end) for end in ("point", "low", "high")}
    return figures


def words(found: Search) -> str:
    """The finding in words, with the proposal: an edit and the next command, or to keep all."""
    chosen, present = found.trials[found.best], found.trials[PRESENT]
    head = f"{len(found.trials) - 1} trials on {len(present.by_fold)} folds in time: "
    if found.holdout is None:
        return f"{head}none is better than the present settings, log loss {present.loss:.4f}"
    held = found.holdout
    text = (
        f"{head}trial {found.best} is best, log loss {chosen.loss:.4f} against {present.loss:.4f} "
        f"of the present settings. On {held.days} later days, which no trial saw: "
        f"{held.point:+.4f} [{held.low:+.4f}, {held.high:+.4f}]"
    )
    if held.looks > 1:
        text += f" (search {held.looks} that was judged on these days: they wear out)"
    if not held.better:
        ending = "significantly worse" if held.low > 0 else "not significantly better"
        return f"{text}, {ending}: keep the present settings"
    return f"{text}, significantly better. {proposal(chosen.settings, present.settings)}"


def proposal(new: BoostingParameters, present: BoostingParameters) -> str:
    """The edit of configs/train.yaml and the commands that let the gate decide on it."""
    was = present.model_dump()
    changed = {name: value for name, value in new.model_dump().items() if value != was[name]}
    lines = [f"    {name}: {value}   # was {was[name]}" for name, value in changed.items()]
    sets = [f"-S 'configs/train.yaml:boosting.{name}={value}'" for name, value in changed.items()]
    edit = "\n".join(["Under `boosting` in configs/train.yaml:", *lines])
    return (
        f"{edit}\n  then `make evaluate`: the gate decides. "
        "Or beside the working tree, against the baselines:\n"
        f"    dvc exp run --temp evaluate {' '.join(sets)}"
    )
