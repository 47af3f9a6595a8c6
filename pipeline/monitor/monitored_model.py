"""The monitored model: the live champion, its training window, and its out-of-fold risks there.

The champion's training window is the reference of every comparison. Losses there are those of
models fitted without the day in question, since in-sample losses are too low.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, matrix
from pipeline.models import classifier, trees
from pipeline.monitor.predictions import CACHE, RISK, ScoringModel, days_of, events_of_window
from pipeline.registry import champions, versions
from pipeline.registry.model import load as load_model
from pipeline.shared import clock
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.errors import RegistryRefused, WrongMonth
from pipeline.shared.files import content_hash, file_hash, text_hash, write_parquet
from pipeline.usecase.chosen import USECASE

FOLDS = 5


@dataclass(frozen=True)
class Champion:
    """The monitored version."""

    scorer: ScoringModel
    digest: str
    window: Window

    @cached_property
    def reference(self) -> pd.DataFrame:
        """The events of its training window with the labels that it was trained on."""
        return labelled_before(events_of_window(self.window), self.trained_until)

    @property
    def trained_until(self) -> pd.Timestamp:
        """The end of its training window: it has seen no later label."""
        return (pd.Timestamp(self.window.last) + pd.Timedelta(days=1)).tz_localize("UTC")

    @cached_property
    def out_of_fold_risk(self) -> np.ndarray:
        """Its recipe's risk for each event of `reference`, by a fit without that day.

        Cached while the model, its recipe and its data stay; it costs a fit per fold.
        """
        names = self.scorer.model.features
        return self.cached_risk(
            "unseen",
            [content_hash(self.reference)],
            lambda: out_of_fold(self.reference, load(TrainConfig), names),
        )

    def cached_risk(
        self, kind: str, data: list[str], fitted: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Cached risks of a fit; valid while the model, its recipe and the `data` stay."""
        key = [self.digest, load(TrainConfig).model_dump_json(), file_hash(Path(trees.__file__))]
        path = CACHE / f"{kind}-{text_hash(' '.join([*key, *data]))[:12]}.parquet"
        if path.is_file():
            return pd.read_parquet(path)[RISK].to_numpy()
        risk = fitted()
        write_parquet(path, pd.DataFrame({RISK: risk}))
        return risk


def live_champion(first: str | None = None) -> tuple[versions.Version, Window]:
    """The live champion's version and training window, if days from `first` on are held out.

    Raises:
        RegistryRefused: there is none.
        WrongMonth: it was trained on the day `first`.
    """
    registry = load(RegisterConfig)
    version = champions.current(registry)
    if version is None:
        raise RegistryRefused(
            f"{registry.model_name} has no champion to monitor in {registry.tracking_url}; "
            "`make champion` registers one"
        )
    begins, ends = version.tag("window").split("..")
    if first is not None and first <= ends:
        raise WrongMonth(
            f"the champion, version {version.number}, was trained on days up to {ends}, and "
            f"{first} is one of them: its figures there are too good; monitor a later month, "
            f"`make monitor MONTH={month_after(ends)}`"
        )
    return version, Window(first=begins, last=ends)


def load_champion(first: str | None = None) -> Champion:
    """The live champion with its model, if days from `first` on are held out.

    Raises:
        RegistryRefused: there is none, or its file is lost.
        WrongMonth: it was trained on the day `first`.
    """
    version, window = live_champion(first)
    model = load_model(versions.fetch_model(load(RegisterConfig), version), version.digest)
    scorer = ScoringModel(version.number, version.tag("release"), model)
    return Champion(scorer, version.digest, window)


def month_window(month: str | None, config: MonitorConfig) -> Window:
    """A month as a window; the configured one by default.

    Raises:
        WrongMonth: it is not in the replayed year.
    """
    if month is None:
        return config.window
    last = str((pd.Period(USECASE.ends, freq="D") - 1).asfreq("M"))
    if month not in (known := clock.months(USECASE.begins[:7], last)):
        raise WrongMonth(
            f"{month!r} is not a month of the replayed year, {known[0]} to {known[-1]}; run `make "
            f"monitor MONTH={config.window.first[:7]}`"
        )
    period = pd.Period(month, freq="M")
    if USECASE.split:
        learned, held_out = USECASE.split  # the model has learned from the same rows before
        return Window(first=f"{month}-{learned + 1:02}", last=f"{month}-{learned + held_out:02}")
    return Window(first=str(period.start_time.date()), last=str(period.end_time.date()))


def month_after(day: str) -> str:
    """The month after that of `day`."""
    return str(pd.Period(day, freq="M") + 1)


def labelled_before(frame: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """The events whose label was known before an instant."""
    return frame[frame[f"{LABEL}_known_at"] < instant].reset_index(drop=True)


def out_of_fold(frame: pd.DataFrame, config: TrainConfig, names: list[str]) -> np.ndarray:
    """Each event's risk by a fit on other days: folds of whole days, drawn by the seed."""
    inputs, labels = matrix(frame, names), frame[LABEL].to_numpy()
    days, place = np.unique(days_of(frame["name"]), return_inverse=True)
    fold = (np.random.default_rng(config.seed).permutation(len(days)) % FOLDS)[place]
    risk = np.zeros(len(frame))
    for held in range(FOLDS):
        learned = fold != held
        model = refit(config, names, inputs[learned], labels[learned])
        risk[~learned] = model.predict_proba(inputs[~learned])[:, 1]
    return risk


def refit(config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray) -> Any:
    """Fit the champion's recipe on other rows, with training's number of threads."""
    with trees.limit_threads(config.threads):
        return classifier.fit(config, names, inputs, labels)
