"""Were the year's alerts right? Three rules on outcomes and drift, graded as ADR 12 fixed before.

The champion is never retrained. Every Monday a fresh model is fitted on the labels that had come;
it says what the champion loses in that week, and two weeks later it is the refit of the check.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.study import kept
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL, matrix
from pipeline.monitor.inputs import drift
from pipeline.monitor.inputs import psi as windows
from pipeline.monitor.monitored_model import Champion, load_champion, refit
from pipeline.monitor.performance.quality import expected_loss
from pipeline.monitor.performance.refit_gain import training_rows_before
from pipeline.monitor.predictions import RISK, days_of, events_of_window, served_predictions
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

DAY = pd.Timedelta(days=1)
LOST = 0.01
"""Nats by which a week's fresh model has to beat the champion for the week to be lost."""
RIGHT_DAYS, EARLY_DAYS, AFTER_DAYS = 21, 14, 14


@dataclass(frozen=True)
class Span:
    """From the first to the last day of a loss, or from an alert's first to its last check."""

    first: pd.Timestamp
    last: pd.Timestamp

    def __str__(self) -> str:
        """As "2013-06-03..2013-09-29"."""
        return f"{self.first:%Y-%m-%d}..{self.last:%Y-%m-%d}"


def spans(days: list[pd.Timestamp], gap_days: int, length_days: int = 1) -> list[Span]:
    """Days in order as spans; those at most so far apart are one, each lasts so many days."""
    found: list[Span] = []
    for day in days:
        last = day + (length_days - 1) * DAY
        if found and (day - found[-1].last).days <= gap_days:
            found[-1] = Span(found[-1].first, last)
        else:
            found.append(Span(day, last))
    return found


def grade(alert: Span, losses: list[Span]) -> str:
    """Right, early, late or false, by ADR 12."""
    for loss in losses:
        since = (alert.first - loss.first).days
        if 0 <= since <= RIGHT_DAYS and alert.first <= loss.last + AFTER_DAYS * DAY:
            return "right"
        if -EARLY_DAYS <= since < 0 and alert.last >= loss.first:
            return "early"
        if since > RIGHT_DAYS and alert.first <= loss.last + AFTER_DAYS * DAY:
            return "late"
    return "false"


def missed(alerts: list[Span], losses: list[Span]) -> list[str]:
    """The losses that no alert met."""
    return [
        str(loss)
        for loss in losses
        if not any(a.first <= loss.last + AFTER_DAYS * DAY and a.last >= loss.first for a in alerts)
    ]


class Year:
    """April to December as it was served, and every Monday's fresh model on the weeks after it."""

    def __init__(self, champion: Champion):
        """Fits all of the fresh models, which takes minutes."""
        self.champion, self.config = champion, load(MonitorConfig)
        self.frame = events_of_window(Window(first="2013-04-01", last="2013-12-31"))
        self.rows = served_predictions(self.frame, champion.scorer, None)
        self.day = pd.to_datetime(days_of(self.frame["name"]))
        self.late = self.frame[LABEL].to_numpy()
        self.loss = log_loss(self.late, self.rows[RISK].to_numpy())
        self.mondays = list(pd.date_range("2013-04-01", "2013-12-30", freq="7D"))
        self._fresh = {monday: self._fitted(monday) for monday in self.mondays}

    def _fitted(self, monday: pd.Timestamp) -> np.ndarray:
        """The fresh model's loss less the champion's on the three weeks from its Monday on."""
        learned = training_rows_before(self.champion, f"{monday:%Y-%m-%d}")
        names = self.champion.scorer.model.features
        model = refit(load(TrainConfig), names, matrix(learned, names), learned[LABEL].to_numpy())
        chosen = self._between(monday, 14)
        risk = model.predict_proba(matrix(self.frame[chosen], names))[:, 1]
        print(f"{monday:%Y-%m-%d}: {len(learned):,} flights learned", flush=True)
        return np.asarray(log_loss(self.late[chosen], risk) - self.loss[chosen])

    def _between(self, first: pd.Timestamp, days: int) -> np.ndarray:
        return np.asarray((self.day >= first) & (self.day < first + days * DAY))

    def weeks(self) -> Iterator[tuple[pd.Timestamp, float]]:
        """What the champion loses in each week against its fresh model, in nats."""
        for monday in self.mondays:
            week = self.day[self._between(monday, 14)] < monday + 7 * DAY
            yield monday, -float(self._fresh[monday][week].mean())

    def refit_wins(self) -> list[pd.Timestamp]:
        """The Mondays on which the refit of two weeks before is surely better."""
        fired = []
        for began in self.mondays[:-2]:
            day = self.day[self._between(began, 14)].to_numpy()
            found = difference(self._fresh[began], day, load(EvaluateConfig).bootstrap)
            if found.high < 0 and found.point <= -self.config.diagnosis.margin:
                fired.append(began + 14 * DAY)
        return fired

    def level(self) -> list[pd.Timestamp]:
        """The days on which the 14 newest labelled days break the level rule."""
        rule, risk = self.config.outcome, self.rows[RISK].to_numpy()
        parts = np.column_stack([self.loss - expected_loss(risk), self.late - risk])
        daily = (
            pd.DataFrame(parts, columns=["excess", "gap"]).groupby(self.day).agg(["sum", "size"])
        )
        rolled = daily.rolling(rule.window_days, min_periods=rule.min_days).sum()
        excess, gap = (rolled[n]["sum"] / rolled[n]["size"] for n in ("excess", "gap"))
        over = (excess > rule.max_excess_loss) | (gap.abs() > rule.max_gap)
        return [day + DAY for day in over.index[over]]  # the label file comes a day later

    def drifted(self) -> list[pd.Timestamp]:
        """The Sundays on which the predictions' drift has lasted."""
        reference = served_predictions(self.champion.reference, self.champion.scorer, None)
        names = days_of(self.rows["flight"])
        bins = windows.make_bins(reference[[RISK]], self.rows[[RISK]], drift.CATEGORIES)
        before = windows.count_bins(reference, days_of(reference["flight"]), bins)
        after = windows.count_bins(self.rows, names, bins)
        number = after.days.astype("datetime64[D]").astype("int64")
        told = self.config.trailing
        looks = list(range(int(number[0]) + 6, int(number[-1]) + 1, told.every_days))
        psi = windows.psi(before, after, windows.trailing(number, looks, told.window_days))[:, 0]
        over = psi >= self.config.prediction_alert
        lasting = over & np.concatenate([[False], over[:-1]])
        return [
            pd.Timestamp(look, unit="D")
            for look, fires in zip(looks, lasting, strict=True)
            if fires
        ]


def main() -> int:
    """Write benchmarks/alerts.json."""
    year = Year(load_champion())
    weeks = dict(year.weeks())
    losses = spans([monday for monday, lost in weeks.items() if lost > LOST], 8, 7)
    months = pd.period_range("2013-04", "2013-12", freq="M")
    lossy = {day.to_period("M") for loss in losses for day in pd.date_range(loss.first, loss.last)}
    quiet = [str(month) for month in months if month not in lossy]
    rules = {"refit": year.refit_wins(), "level": year.level(), "drift": year.drifted()}
    graded = {}
    for name, days in rules.items():
        alerts = spans(days, 7)
        told = {str(alert): grade(alert, losses) for alert in alerts}
        graded[name] = {
            "checks_that_fired": len(days),
            "alerts": told,
            **{
                kind: list(told.values()).count(kind)
                for kind in ("right", "early", "late", "false")
            },
            "missed": missed(alerts, losses),
            "begun_in_quiet_months": sum(str(a.first.to_period("M")) in quiet for a in alerts),
        }
        print(name, graded[name])
    kept(
        "alerts",
        {
            "losses": [str(loss) for loss in losses],
            "quiet_months": quiet,
            "lost_by_week": {f"{day:%Y-%m-%d}": round(lost, 4) for day, lost in weeks.items()},
            "rules": graded,
        },
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
