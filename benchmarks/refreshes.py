"""How often to refresh, and how long the way of a refresh may be, on the year's flights.

A refresh is the recipe on all labels that had come. Its way: days of shadow, days on which it
answers a share of the traffic, then all of it. What a schedule's champions would have answered is
computed flight by flight, and held against weekly and monthly retraining that is live at once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.policies import (
    BEGINS,
    DAY,
    LIVE_HOUR,
    YEAR,
    Fits,
    firsts,
    mondays,
    over_weeks,
)
from benchmarks.study import Watch, kept
from pipeline.__main__ import run_command
from pipeline.evaluate.refresh import stays_near
from pipeline.features.definitions import LABEL
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

AFTER_DAYS = 28
"""Days after a promotion on which it is held against the champion before it."""


@dataclass(frozen=True)
class Way:
    """What a refresh passes before all requests are its own: days of shadow, shares by day."""

    shadow_days: int
    shares: tuple[float, ...]

    @property
    def days(self) -> int:
        """Whole days from the midnight after its training until it answers all."""
        return self.shadow_days + len(self.shares)


@dataclass(frozen=True)
class Promotion:
    """A refresh that came to answer all requests: from which day on, trained when, after whom."""

    live_from: str
    trained: str
    before: str


@dataclass
class Lived:
    """A schedule on the year: each flight's expected loss, promotions, refreshes held back."""

    loss: np.ndarray
    promotions: list[Promotion]
    held_back: list[str]


@dataclass
class Replay:
    """The served flights of the year, their days and labels, and each model's loss on them."""

    fits: Fits

    @cached_property
    def day(self) -> np.ndarray:
        """The day of each served flight, as "2013-04-01"."""
        return np.asarray(self.fits.day[self.fits.served]).astype(str)

    @cached_property
    def late(self) -> np.ndarray:
        """The label of each served flight."""
        return self.fits.frame[LABEL].to_numpy()[self.fits.served]

    def loss(self, trained: str) -> np.ndarray:
        """Log loss of each served flight under the model trained on a day."""
        return log_loss(self.late, self.fits.risk(trained))

    def at_once(self, days: list[str]) -> np.ndarray:
        """Each flight's loss where every model is live on the day of its training."""
        at, found = self.fits.frame["predict_at"][self.fits.served], self.loss(BEGINS)
        for day in days:
            later = (at >= pd.Timestamp(day, tz="UTC") + LIVE_HOUR).to_numpy()
            found[later] = self.loss(day)[later]
        return found

    def lived(self, checks: list[str], way: Way, max_distance: float) -> Lived:
        """A schedule's year: at each check a refresh, unless one is still on its way.

        One whose risks are further from the champion's than `max_distance`, in the mean over the
        days that are new to the champion, is held back.
        """
        champion, free = BEGINS, pd.Timestamp(BEGINS)
        found = Lived(self.loss(BEGINS), [], [])
        for check in checks:
            first = pd.Timestamp(check) + DAY
            live = first + way.days * DAY
            if first - DAY < free or live > pd.Timestamp(YEAR.last):
                continue
            if not self._is_near(check, champion, max_distance):
                found.held_back.append(check)
                continue
            for past, share in enumerate(way.shares):
                on = self.day == f"{first + (way.shadow_days + past) * DAY:%Y-%m-%d}"
                mixed = share * self.loss(check) + (1 - share) * self.loss(champion)
                found.loss[on] = mixed[on]
            after = self.day >= f"{live:%Y-%m-%d}"
            found.loss[after] = self.loss(check)[after]
            found.promotions.append(Promotion(f"{live:%Y-%m-%d}", check, champion))
            champion, free = check, live
        return found

    def _is_near(self, check: str, champion: str, limit: float) -> bool:
        new = (self.day >= champion) & (self.day < check)
        ours, theirs = (self.fits.risk(trained)[new] for trained in (check, champion))
        return stays_near(theirs, ours, limit).passed

    def after(self, promotion: Promotion) -> dict[str, float] | None:
        """What a promotion changed over the four weeks after; None where two days are not left."""
        last = pd.Timestamp(promotion.live_from) + AFTER_DAYS * DAY
        on = (self.day >= promotion.live_from) & (self.day < f"{last:%Y-%m-%d}")
        if len(np.unique(self.day[on])) < 2:
            return None
        worse = (self.loss(promotion.trained) - self.loss(promotion.before))[on]
        found = difference(worse, self.day[on], load(EvaluateConfig).bootstrap)
        return {name: round(float(getattr(found, name)), 4) for name in ("point", "low", "high")}


def twice_a_week() -> list[str]:
    """The Mondays and Thursdays of the year after its first champion."""
    thursdays = pd.date_range(BEGINS, YEAR.last, freq="W-THU")
    return sorted([*mondays(), *(f"{day:%Y-%m-%d}" for day in thursdays)])


_NONE, _HALF, _RISING, _LONG = (
    Way(0, ()),
    Way(1, (0.5,)),
    Way(1, (0.25, 0.5)),
    Way(1, (0.05, 0.25, 0.25, 0.5, 0.5, 0.5)),
)
SCHEDULES: dict[str, tuple[list[str], Way]] = {
    "twice a week, a shadow day, a canary day": (twice_a_week(), _HALF),
    "twice a week, a shadow day, two canary days": (twice_a_week(), _RISING),
    "weekly, from the next midnight on": (mondays(), _NONE),
    "weekly, a canary day": (mondays(), Way(0, (0.5,))),
    "weekly, a shadow day, a canary day": (mondays(), _HALF),
    "weekly, a shadow day, two canary days": (mondays(), _RISING),
    "weekly, a shadow day, six canary days": (mondays(), _LONG),
    "every other week, a shadow day, a canary day": (mondays()[1::2], _HALF),
}
"""Checks, and the way of what they train."""


def told(replay: Replay, name: str) -> dict[str, Any]:
    """A schedule's figures, beside weekly and monthly retraining without a gate, live at once."""
    checks, way = SCHEDULES[name]
    lived = replay.lived(checks, way, load(EvaluateConfig).max_refit_distance)
    after = [found for one in lived.promotions if (found := replay.after(one))]
    return {
        "log_loss": round(float(lived.loss.mean()), 4),
        "less_weekly": over_weeks(lived.loss - replay.at_once(mondays()), replay.day),
        "less_monthly": over_weeks(lived.loss - replay.at_once(firsts()), replay.day),
        "trainings": len(lived.promotions) + len(lived.held_back),
        "promotions": len(lived.promotions),
        "held_back": lived.held_back,
        "worse_after": sum(found["point"] > 0 for found in after),
        "surely_worse_after": sum(found["low"] > 0 for found in after),
        "worst_after": max(found["point"] for found in after),
    }


def main() -> int:
    """Write benchmarks/refreshes.json."""
    watch, replay = Watch(), Replay(Fits.of())
    found = {}
    for name in SCHEDULES:
        found[name] = told(replay, name)
        watch.said(f"{name}: {found[name]['log_loss']}, less weekly {found[name]['less_weekly']}")
    kept("refreshes", found)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
