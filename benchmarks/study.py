"""What studies of the features share: half a year of raw tables, the real recipe, the real scores.

A study changes how features are joined and nothing else, so whatever differs is the join. The model
learns from the window of configs/train.yaml and is judged on the three months after it.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.year import timed
from exercises.drill import replace_once
from exercises.scratch import ROOT, scratch
from pipeline.features import windows
from pipeline.features.build import read_accepted
from pipeline.features.definitions import FEATURES, LABEL, matrix
from pipeline.features.point_in_time import historical
from pipeline.shared.config.evaluate import Bootstrap, EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss, roc_auc

SCORED = ("2013-04-01", "2013-06-30")
"""The first and the last day that a study is judged on."""


UNITS = "AUC: ROC AUC, 1 is best; loss: log loss in nats, 0 is best"


@dataclass(frozen=True)
class Raw:
    """The accepted tables, and what the real code makes of them: requests and every view's rows."""

    flights: pd.DataFrame
    weather: pd.DataFrame
    config: FeaturesConfig

    @cached_property
    def asked(self) -> pd.DataFrame:
        """One request per flight."""
        return windows.requests(self.flights, self.config)

    @cached_property
    def views(self) -> dict[str, pd.DataFrame]:
        """Every view's rows; no horizon is in them, it only says which of them a request meets."""
        return windows.views(self.flights, self.weather, self.config)

    @cached_property
    def honest(self) -> pd.DataFrame:
        """The feature table as the project makes it."""
        return self.joined({})

    def joined(self, instead: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """The feature table with other rows for some views."""
        return historical(self.asked, self.views | instead, self.config)


def published(last_month: str = SCORED[1][:7]) -> Raw:
    """The published files until a month, through the real ingest and validate in a scratch copy."""
    with tempfile.TemporaryDirectory(prefix="study-") as name:
        folder = scratch(Path(name))
        replace_once(folder / "configs/ingest.yaml", "as_of: 2013-04", f"as_of: {last_month}")
        for stage in ("ingest", "validate"):
            timed(folder, stage)
        with contextlib.chdir(folder):
            return Raw(*read_accepted(), load(FeaturesConfig))


@dataclass(frozen=True)
class Recipe:
    """How the project trains and compares, and on which flights: the same for every join."""

    train: TrainConfig
    bootstrap: Bootstrap
    asked: pd.DataFrame

    @classmethod
    def of(cls, raw: Raw) -> "Recipe":
        """The recipe of the configs."""
        return cls(load(TrainConfig), load(EvaluateConfig).bootstrap, raw.asked)

    @cached_property
    def learned(self) -> np.ndarray:
        """Flights of the training window whose label was known before the window's end."""
        window = self.train.window
        end = (pd.Timestamp(window.last) + pd.Timedelta(days=1)).tz_localize("UTC")
        return self._between(window.first, window.last) & (
            self.asked["late_known_at"] < end
        ).to_numpy(dtype=bool)

    @cached_property
    def scored(self) -> np.ndarray:
        """Flights that judge."""
        return self._between(*SCORED)

    def _between(self, first: str, last: str) -> np.ndarray:
        dates = (int(date.replace("-", "")) for date in (first, last))
        return self._day.between(*dates).to_numpy(dtype=bool)

    @property
    def _day(self) -> pd.Series:
        return self.asked["year"] * 10_000 + self.asked["month"] * 100 + self.asked["day"]

    @property
    def names(self) -> list[str]:
        """The model's inputs."""
        return [name for name in FEATURES if name not in self.train.drop_features]

    @cached_property
    def _labels(self) -> np.ndarray:
        return self.asked[LABEL].to_numpy()

    def fit(self, frame: pd.DataFrame) -> Any:
        """The project's model on one feature table."""
        import sklearn.ensemble  # noqa: F401  a limit holds only for libraries that are loaded
        from threadpoolctl import threadpool_limits

        from pipeline.models.trees import boosting

        inputs = matrix(frame[self.learned], self.names)
        with threadpool_limits(self.train.threads):
            return boosting(self.train, self.names, inputs, self._labels[self.learned])

    def risk(self, model: Any, frame: pd.DataFrame) -> np.ndarray:
        """What a model says of the flights that judge, fed with one feature table."""
        return self.predict(model, frame[self.scored])

    def predict(self, model: Any, frame: pd.DataFrame) -> np.ndarray:
        """What a model says of every row."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self.train.threads):
            return np.asarray(model.predict_proba(matrix(frame, self.names))[:, 1])

    def until(self, last: str) -> "Recipe":
        """The same recipe, learning up to a later day."""
        window = Window(first=self.train.window.first, last=last)
        return replace(self, train=self.train.model_copy(update={"window": window}))

    def scores(self, risk: np.ndarray) -> dict[str, float]:
        """ROC AUC, and the mean log loss in nats."""
        return {
            "roc_auc": round(roc_auc(self._labels[self.scored], risk), 4),
            "log_loss": round(float(self._losses(risk).mean()), 4),
        }

    def worse_by(self, risk: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """How much more log loss one prediction has than another, with its interval over days."""
        by_flight = self._losses(risk) - self._losses(other)
        found = difference(by_flight, self._day[self.scored].to_numpy(), self.bootstrap)
        return {name: round(getattr(found, name), 4) for name in ("point", "low", "high")}

    def _losses(self, risk: np.ndarray) -> np.ndarray:
        return log_loss(self._labels[self.scored], risk)

    def told(self) -> dict[str, Any]:
        """What was learned from and what judged, for the record of a study."""
        window = self.train.window
        return {
            "learned": {
                "window": f"{window.first}..{window.last}",
                "flights": int(self.learned.sum()),
            },
            "scored": {
                "window": f"{SCORED[0]}..{SCORED[1]}",
                "flights": int(self.scored.sum()),
                "days": int(self._day[self.scored].nunique()),
            },
        }


@dataclass
class Watch:
    """Says what is done and how long it took, since a reader waits for more than two seconds."""

    started: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def said(self, what: str) -> None:
        """Print what was just done, with its own seconds."""
        now = time.perf_counter()
        print(f"{now - self.last:6.1f} s  {what}", flush=True)
        self.last = now

    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.perf_counter() - self.started, 1)


def kept(name: str, found: dict[str, Any]) -> None:
    """Write what a study found into benchmarks/<name>.json."""
    path = ROOT / "benchmarks" / f"{name}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def recorded(
    name: str, measure: Callable[[Raw, Watch], dict[str, Any]], units: str
) -> dict[str, Any]:
    """What is measured on the published tables, as it was written into benchmarks/<name>.json."""
    watch = Watch()
    raw = published()
    watch.said("raw tables accepted, point-in-time features")
    found = measure(raw, watch) | {"units": units, "seconds": watch.seconds()}
    kept(name, found)
    return found


def interval(found: dict[str, float]) -> str:
    """As "+0.0123 [+0.0046, +0.0200]"."""
    return f"{found['point']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
