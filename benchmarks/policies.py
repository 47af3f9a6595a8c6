"""Was it worth it? The loop's year beside policies that are simpler, on the same flights.

Every Monday and every first of a month the project's recipe is fitted on all labels that had come;
what was fitted is kept, so that a run that was stopped goes on. Policies without a gate put each
model live at once, at 12:00 UTC. The real loop's year is held against them (`benchmarks.loop`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import FEATURES, LABEL, matrix
from pipeline.monitor.served import days_of, flights
from pipeline.shared.config import TrainConfig, Window, load
from pipeline.shared.files import text_hash, write_parquet
from pipeline.shared.scores import log_loss, roc_auc
from pipeline.train.models import boosting, limited

YEAR = Window(first="2013-01-08", last="2013-12-31")
BEGINS = "2013-04-01"
DAY = pd.Timedelta(days=1)
KEPT = Path("state/policies")
DRAWS = 2000
LIVE_HOUR = pd.Timedelta(hours=12)
Live = list[tuple[pd.Timestamp, str]]
"""Which model serves from which instant on, the oldest first."""


@dataclass
class Fits:
    """The year's flights, and what models of many days say of those after their training."""

    frame: pd.DataFrame
    day: np.ndarray
    config: TrainConfig
    names: list[str]
    _risk: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls) -> "Fits":
        """The flights of the published year, with the recipe of the configs."""
        frame, config = flights(YEAR), load(TrainConfig)
        names = [name for name in FEATURES if name not in config.drop_features]
        return cls(frame, days_of(frame["name"]), config, names)

    @property
    def served(self) -> np.ndarray:
        """The flights of April to December."""
        return np.asarray(self.day >= BEGINS)

    def risk(self, day: str, window_days: int | None = None) -> np.ndarray:
        """The risk of every served flight by the model trained on what was known when `day` began.

        It has learned from all days since January 8, or from the newest `window_days`.
        """
        told = text_hash(f"{self.config.recipe} {day} {window_days} {len(self.frame)}")[:12]
        path = KEPT / f"{day}-{window_days or 'all'}-{told}.parquet"
        if str(path) not in self._risk:
            if not path.is_file():
                risk = self._fitted(day, window_days)
                write_parquet(path, pd.DataFrame({"risk": risk.astype("float32")}))
                print(f"{path.name}", flush=True)
            self._risk[str(path)] = pd.read_parquet(path)["risk"].to_numpy(dtype="float64")
        return self._risk[str(path)]

    def _fitted(self, day: str, window_days: int | None) -> np.ndarray:
        begins = pd.Timestamp(day, tz="UTC")
        learned = (self.frame["late_known_at"] < begins).to_numpy() & (self.day < day)
        if window_days is not None:
            learned &= self.day >= f"{begins - window_days * DAY:%Y-%m-%d}"
        with limited(self.config.threads):
            model = boosting(
                self.config,
                self.names,
                matrix(self.frame[learned], self.names),
                self.frame[LABEL].to_numpy()[learned],
            )
            found = model.predict_proba(matrix(self.frame[self.served], self.names))
        return np.asarray(found[:, 1])

    def answered(self, live: Live, window_days: int | None = None) -> np.ndarray:
        """The risk of every served flight by whichever model was live at its T."""
        at = self.frame["predict_at"][self.served]
        risk = self.risk(live[0][1], window_days).copy()
        for since, day in live[1:]:
            later = (at >= since).to_numpy()
            risk[later] = self.risk(day, window_days)[later]
        return risk


def mondays(first: str = "2013-04-08") -> list[str]:
    """The Mondays of the year after its first champion."""
    return [f"{day:%Y-%m-%d}" for day in pd.date_range(first, YEAR.last, freq="W-MON")]


def firsts() -> list[str]:
    """The first days of the months after its first champion's."""
    return [f"{day:%Y-%m-%d}" for day in pd.date_range("2013-05-01", YEAR.last, freq="MS")]


def at_once(days: list[str]) -> Live:
    """Every model live on the day of its training, whatever it is worth."""
    since = [(pd.Timestamp(day, tz="UTC") + LIVE_HOUR, day) for day in days]
    return [(pd.Timestamp(BEGINS, tz="UTC"), BEGINS), *since]


def scored(fits: Fits, risk: np.ndarray, counted: np.ndarray) -> dict[str, Any]:
    """ROC AUC and log loss by month and in all; AUC of the year is the mean over its months."""
    late, month = fits.frame[LABEL].to_numpy()[fits.served], _months(fits)
    months = {}
    for name in np.unique(month):
        chosen = counted & (month == name)
        months[str(name)] = {
            "roc_auc": round(roc_auc(late[chosen], risk[chosen]), 4),
            "log_loss": round(float(log_loss(late[chosen], risk[chosen]).mean()), 4),
        }
    return {
        "roc_auc": round(float(np.mean([m["roc_auc"] for m in months.values()])), 4),
        "log_loss": round(float(log_loss(late[counted], risk[counted]).mean()), 4),
        "months": months,
    }


def _months(fits: Fits) -> np.ndarray:
    return np.array([day[:7] for day in fits.day[fits.served]])


def less(fits: Fits, risk: np.ndarray, other: np.ndarray, counted: np.ndarray) -> dict[str, float]:
    """How much less log loss one policy has than another: whole weeks are drawn, 95 %.

    Models serve for weeks and weather lasts for days, so neither flights nor days are the unit.
    """
    late = fits.frame[LABEL].to_numpy()[fits.served][counted]
    change = log_loss(late, risk[counted]) - log_loss(late, other[counted])
    day = pd.to_datetime(fits.day[fits.served][counted])
    week = ((day - pd.Timestamp(BEGINS)) // (7 * DAY)).to_numpy()
    names, place = np.unique(week, return_inverse=True)
    total, flights_in = np.bincount(place, change), np.bincount(place).astype("float64")
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    means = (drawn @ total) / (drawn @ flights_in)
    low, high = np.quantile(means, [0.025, 0.975])
    found = {"point": change.mean(), "low": low, "high": high}
    return {name: round(float(value), 4) for name, value in found.items()} | {"weeks": len(names)}


def simpler(fits: Fits) -> dict[str, tuple[np.ndarray, int]]:
    """Policies without a gate: what they answer, and how many trainings they take."""
    plans: dict[str, list[str]] = {"never": [], "monthly": firsts(), "weekly": mondays()}
    return {name: (fits.answered(at_once(days)), len(days)) for name, days in plans.items()}


def windows(fits: Fits, counted: np.ndarray) -> dict[str, Any]:
    """Monthly retraining on all days, or on the newest so many: each against all days."""
    whole = fits.answered(at_once(firsts()))
    found: dict[str, Any] = {"all": scored(fits, whole, counted)}
    for days in (30, 60, 90):
        # The first champion is the same for each: only what is retrained differs.
        risk = _sliding(fits, days)
        worse = less(fits, risk, whole, counted)
        found[f"{days} days"] = {**scored(fits, risk, counted), "against_all": worse}
    return found


def _sliding(fits: Fits, days: int) -> np.ndarray:
    at = fits.frame["predict_at"][fits.served]
    risk = fits.risk(BEGINS).copy()
    for since, day in at_once(firsts())[1:]:
        later = (at >= since).to_numpy()
        risk[later] = fits.risk(day, days)[later]
    return risk


def lost_weeks(fits: Fits, risk: np.ndarray, counted: np.ndarray, nats: float = 0.01) -> list[str]:
    """The Mondays of weeks in which weekly retraining would have lost surely less: by `nats`."""
    late = fits.frame[LABEL].to_numpy()[fits.served]
    fresh = fits.answered(at_once(mondays()))
    worse = log_loss(late, risk) - log_loss(late, fresh)
    day = pd.to_datetime(fits.day[fits.served])
    monday = (day - pd.to_timedelta(day.dayofweek, unit="D")).strftime("%Y-%m-%d")
    by_week = pd.Series(worse[counted]).groupby(np.asarray(monday)[counted]).mean()
    return [str(week) for week, lost in by_week.items() if lost > nats]
