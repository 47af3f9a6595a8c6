"""Who is watched: the live champion, what it was trained on, and how it does on days unseen there.

The reference of every comparison is the champion's training window. Its losses there are those of
models fitted without the day in question: what a model says of its own training days flatters it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, matrix
from pipeline.models import trees
from pipeline.monitor.predictions import CACHE, RISK, ScoringModel, days_of, flights
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

FOLDS = 5


@dataclass(frozen=True)
class Champion:
    """The version that is watched."""

    scorer: ScoringModel
    digest: str
    window: Window

    @cached_property
    def reference(self) -> pd.DataFrame:
        """The flights of its training window whose labels it was trained on."""
        return labelled_before(flights(self.window), self.trained_until)

    @property
    def trained_until(self) -> pd.Timestamp:
        """The end of its training window: no later label was known to it."""
        return (pd.Timestamp(self.window.last) + pd.Timedelta(days=1)).tz_localize("UTC")

    @cached_property
    def out_of_fold_risk(self) -> np.ndarray:
        """Its recipe's risk for each flight of `reference`, by a fit that never saw the day.

        Kept for as long as the model, its recipe and its data stay; it costs as many fits as there
        are folds.
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
        """Risks that cost a fit, for as long as the model, its recipe and the `data` stay."""
        told = [self.digest, load(TrainConfig).model_dump_json(), file_hash(Path(trees.__file__))]
        path = CACHE / f"{kind}-{text_hash(' '.join([*told, *data]))[:12]}.parquet"
        if path.is_file():
            return pd.read_parquet(path)[RISK].to_numpy()
        risk = fitted()
        write_parquet(path, pd.DataFrame({RISK: risk}))
        return risk


def live_champion(first: str | None = None) -> tuple[versions.Version, Window]:
    """The live champion's version and training window, if days from `first` on are new to it.

    Raises:
        RegistryRefused: there is none.
        WrongMonth: it was trained on the day `first`.
    """
    registry = load(RegisterConfig)
    version = champions.current(registry)
    if version is None:
        raise RegistryRefused(
            f"{registry.model_name} has no champion to watch in {registry.tracking_url}; "
            "`make run` registers one"
        )
    begins, ends = version.tag("window").split("..")
    if first is not None and first <= ends:
        raise WrongMonth(
            f"the champion, version {version.number}, was trained on days up to {ends}, and "
            f"{first} is one of them: what it says there flatters it; watch a later month, "
            f"`make monitor MONTH={month_after(ends)}`"
        )
    return version, Window(first=begins, last=ends)


def load_champion(first: str | None = None) -> Champion:
    """The live champion with its model, if days from `first` on are new to it.

    Raises:
        RegistryRefused: there is none, or its file is lost.
        WrongMonth: it was trained on the day `first`.
    """
    version, window = live_champion(first)
    model = load_model(versions.fetch(load(RegisterConfig), version), version.digest)
    answerer = ScoringModel(version.number, version.tag("release"), model)
    return Champion(answerer, version.digest, window)


def month_window(month: str | None, config: MonitorConfig) -> Window:
    """A month as a window; the configured one if none is named.

    Raises:
        WrongMonth: it is none of the replayed year.
    """
    if month is None:
        return config.window
    if month not in clock.months("2013-01", "2013-12"):
        raise WrongMonth(
            f"{month!r} is no month of the replayed year, 2013-01 to 2013-12; run `make monitor "
            "MONTH=2013-07`"
        )
    period = pd.Period(month, freq="M")
    return Window(first=str(period.start_time.date()), last=str(period.end_time.date()))


def month_after(day: str) -> str:
    """The first month of which no day is up to `day`."""
    return str(pd.Period(day, freq="M") + 1)


def labelled_before(frame: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """The flights whose outcome was known before an instant."""
    return frame[frame["late_known_at"] < instant].reset_index(drop=True)


def out_of_fold(frame: pd.DataFrame, config: TrainConfig, names: list[str]) -> np.ndarray:
    """Each flight's risk by a fit on the other days: whole days to a fold, drawn by the seed."""
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
    """The champion's recipe on other rows, with the threads that training has."""
    with trees.limit_threads(config.threads):
        return trees.boosting(config, names, inputs, labels)
