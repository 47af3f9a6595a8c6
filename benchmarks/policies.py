"""The loop's year beside policies that are simpler, on the same flights: was it worth it?

Every Monday and every first of a month the project's recipe is fitted on all labels that had come;
what was fitted is kept, so that a run that was stopped goes on. Policies without a gate put each
model live at once, at 12:00 UTC. The real loop's year is held against them (`benchmarks.loop`).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features.definitions import FEATURES, LABEL, matrix
from pipeline.models.trees import boosting, limit_threads
from pipeline.monitor.predictions import days_of, events_of_window
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.files import text_hash, write_parquet
from pipeline.shared.scores import log_loss, roc_auc

YEAR = Window(first="2013-01-08", last="2013-12-31")
BEGINS = "2013-04-01"
DAY = pd.Timedelta(days=1)
KEPT = Path("state/policies")
ANSWERS = KEPT / "loop.parquet"
"""What the loop answered, flight by flight; `make measure M=year` writes it."""
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
        frame, config = events_of_window(YEAR), load(TrainConfig)
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
        with limit_threads(self.config.threads):
            model = boosting(
                self.config,
                self.names,
                matrix(self.frame[learned], self.names),
                self.frame[LABEL].to_numpy()[learned],
            )
            found = model.predict_proba(matrix(self.frame[self.served], self.names))
        return np.asarray(found[:, 1])

    def answered(self, live: Live, window_days: int | None = None) -> np.ndarray:
        """The risk of every served flight by whichever model was live at its T.

        The first champion is the same whatever the window: only what is retrained differs.
        """
        at = self.frame["predict_at"][self.served]
        risk = self.risk(live[0][1]).copy()
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


def scored(told: pd.DataFrame, name: str) -> dict[str, Any]:
    """ROC AUC and log loss of one column of risks, by month and in all.

    `told` has a row per flight (flight, late, risks); AUC of the year is the mean over its months.
    """
    months = {}
    for month, rows in told.groupby(told["flight"].str[:7]):
        late, risk = rows["late"].to_numpy(), rows[name].to_numpy()
        months[str(month)] = {
            "roc_auc": round(roc_auc(late, risk), 4),
            "log_loss": round(float(log_loss(late, risk).mean()), 4),
        }
    whole = log_loss(told["late"].to_numpy(), told[name].to_numpy())
    return {
        "roc_auc": round(float(np.mean([m["roc_auc"] for m in months.values()])), 4),
        "log_loss": round(float(whole.mean()), 4),
        "months": months,
    }


def less(told: pd.DataFrame, name: str, other: str) -> dict[str, Any]:
    """How much log loss one column of risks has more than another: whole weeks are drawn, 95 %."""
    late = told["late"].to_numpy()
    change = log_loss(late, told[name].to_numpy()) - log_loss(late, told[other].to_numpy())
    return over_weeks(change, days_of(told["flight"]))


def over_weeks(change: np.ndarray, days: np.ndarray) -> dict[str, Any]:
    """The mean of a change by flight, and its 95 % interval over weeks; `days` are the flights'.

    Models serve for weeks and weather lasts for days, so neither flights nor days are the unit.
    """
    day = pd.Series(pd.to_datetime(days))
    week = ((day - pd.Timestamp(BEGINS)) // (7 * DAY)).to_numpy()
    names, place = np.unique(week, return_inverse=True)
    total, flights_in = np.bincount(place, change), np.bincount(place).astype("float64")
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    means = (drawn @ total) / (drawn @ flights_in)
    low, high = np.quantile(means, [0.025, 0.975])
    found = {"point": change.mean(), "low": low, "high": high}
    return {key: round(float(value), 4) for key, value in found.items()} | {"weeks": len(names)}


WINDOWS = (30, 60, 90)
"""Days of a sliding window that are held against all days."""


def answers(fits: Fits, told: pd.DataFrame) -> pd.DataFrame:
    """The flights of the loop with what each simpler policy would have said of them."""
    plans: dict[str, list[str]] = {"monthly": firsts(), "weekly": mondays()}
    risks = {name: fits.answered(at_once(days)) for name, days in plans.items()}
    for days in WINDOWS:
        risks[f"{days} days"] = fits.answered(at_once(firsts()), days)
    names = fits.frame["name"][fits.served].to_numpy()
    found = pd.DataFrame(risks, index=names).loc[told["flight"]].reset_index(drop=True)
    return pd.concat([told.reset_index(drop=True), found], axis=1)


def lost_weeks(told: pd.DataFrame, name: str, nats: float = 0.01) -> list[str]:
    """The Mondays of weeks in which weekly retraining would have lost less by `nats`."""
    late = told["late"].to_numpy()
    worse = log_loss(late, told[name].to_numpy()) - log_loss(late, told["weekly"].to_numpy())
    by_week = pd.Series(worse).groupby([monday(day) for day in days_of(told["flight"])]).mean()
    return [str(week) for week, lost in by_week.items() if lost > nats]


def monday(day: str) -> str:
    """The Monday of a day's week."""
    date = pd.Timestamp(str(day))
    return f"{date - date.dayofweek * DAY:%Y-%m-%d}"


def alarms(alerted: list[str], lost: list[str]) -> dict[str, Any]:
    """Weeks in which the outcome alerted, against those in which a fresh model would gain."""
    alert = {monday(day) for day in alerted}
    return {
        "lost": lost,
        "alerted": sorted(alert),
        "right": sorted(alert & set(lost)),
        "false": sorted(alert - set(lost)),
        "missed": sorted(set(lost) - alert),
    }


def table(found: dict[str, Any]) -> str:
    """Policies by month: log loss (ROC AUC)."""
    lines = ["month    " + "".join(f"{name:>16}" for name in found)]
    for month in next(iter(found.values()))["months"]:
        lines.append(f"{month}  " + _cells(one["months"][month] for one in found.values()))
    lines.append("all      " + _cells(found.values()))
    return "\n".join(lines)


def _cells(told: Iterable[dict[str, Any]]) -> str:
    return "".join(f"  {one['log_loss']:.4f} ({one['roc_auc']:.3f})" for one in told)


def main() -> int:
    """Write benchmarks/policies.json: the loop's year beside policies without a gate."""
    loop = json.loads((ROOT / "benchmarks/loop.json").read_text(encoding="utf-8"))
    if not ANSWERS.is_file():
        raise SystemExit(f"{ANSWERS} is missing: `make measure M=year` writes it")
    told = answers(Fits.of(), pd.read_parquet(ANSWERS))
    trainings = {"never": 0, "monthly": len(firsts()), "weekly": len(mondays())}
    found = {
        name: {**scored(told, name), "trainings": trainings[name], "loop": less(told, "risk", name)}
        for name in trainings
    }
    whole = {f"{days} days": f"{days} days" for days in WINDOWS}
    windows = {
        name: {**scored(told, name), "against_all": less(told, name, "monthly")} for name in whole
    }
    lost = lost_weeks(told, "risk")
    record = {
        "loop_journal": loop["journal"],
        "policies": found,
        "windows": {"all": scored(told, "monthly"), **windows},
        "alarms": alarms(loop["alerted"], lost),
    }
    kept("policies", record)
    print(table({**found, "loop": loop["loop"]}))
    print(table(record["windows"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
