"""The signals of a check, as of an instant: performance on labelled events, feeds, drift.

Labels come only through the label ledger, as files of the day before at 10:00 UTC. Every figure
here could have been computed at that instant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME, PROXY
from pipeline.monitor.inputs import data_quality, drift
from pipeline.monitor.inputs import psi as windows
from pipeline.monitor.monitored_model import live_champion
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.label_checks import label_agreement
from pipeline.monitor.performance.label_ledger import LABEL_LEDGER, read_events, receive
from pipeline.monitor.performance.performance import PerformanceAlert, check_alert
from pipeline.monitor.predictions import RISK, days_of
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain import journal
from pipeline.retrain.policy import RefreshGain, RetrainingSignals
from pipeline.retrain.refresh_gain import refresh_gain
from pipeline.retrain.replayed_predictions import ReplayedYear, serves_all
from pipeline.shared.clock import LABELS_COMPLETE
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import write_parquet

FEED = Path("state/retrain/feed")
"""The folder in which the daily label files arrive."""
LabelFeed = Callable[[ReplayedYear, str, pd.Timestamp], pd.DataFrame | None]
"""Returns the label file of a day that the source has sent by an instant; None: nothing yet."""
DAY = pd.Timedelta(days=1)
_RECENT = 7
"""Days of predictions that a check searches for a broken feed."""


def daily_file(year: ReplayedYear, day: str, now: pd.Timestamp) -> pd.DataFrame | None:
    """The label file of a day, sent by its source when the last of its labels is known."""
    events = delayed_labels.daily(year.frame[year.day == day])
    if (events["arrived_at"] > now).any():
        return None
    return events.drop(columns="arrived_at") if len(events) else None


@dataclass
class Monitor:
    """Monitoring within the loop: the label events received so far, and the signals from them."""

    year: ReplayedYear
    label_events: pd.DataFrame
    feed: LabelFeed = daily_file

    @classmethod
    def from_ledger(cls, year: ReplayedYear, feed: LabelFeed = daily_file) -> "Monitor":
        """Start with all events of the label ledger.

        Raises:
            ArtifactTampered: the ledger holds less than the journal counted.
        """
        events = read_events()
        if lost := missing_labels(events):
            raise ArtifactTampered(f"{LABEL_LEDGER}: {lost}; {REPAIR}")
        return cls(year, events, feed)

    def receive(self, first: str, day: str) -> int:
        """Receive label files that have arrived by 10:00 UTC after a day; return how many labels.

        Files of days since `first` that were late are requested again. A file that was received
        before adds nothing.
        """
        now = pd.Timestamp(day, tz="UTC") + LABELS_COMPLETE
        known = set(days_of(self.label_events[NAME]))
        due = [f"{one:%Y-%m-%d}" for one in pd.date_range(first, day)]
        for late in [one for one in due if one not in known]:
            if (file := self.feed(self.year, late, now)) is not None:
                self._add_file(late, file, now)
        return int((self.label_events["arrived_at"] == now).sum())

    def _add_file(self, day: str, file: pd.DataFrame, now: pd.Timestamp) -> None:
        path = FEED / f"{day}.parquet"
        write_parquet(path, file)
        receipt = receive(path, now)
        path.unlink()  # the ledger has it
        if not receipt.known:
            new = file.assign(arrived_at=now)[delayed_labels.LABEL_COLUMNS].astype(
                self.label_events.dtypes
            )
            self.label_events = pd.concat([self.label_events, new], ignore_index=True)

    def performance_alert(self, known: list[Entry], now: pd.Timestamp) -> PerformanceAlert:
        """The cheap performance rule on the newest days that the current champion served alone."""
        rule, (side, since) = load(MonitorConfig).outcome, serves_all(known)
        newest = now - delayed_labels.LABELS_DUE
        first = max(since, f"{newest - (rule.window_days - 1) * DAY:%Y-%m-%d}")
        rows = self.year.predictions(known, self.year.between(first, f"{newest:%Y-%m-%d}"))
        rows = rows[rows["release"] == side.release]
        return check_alert(rows, self._events_of(rows), now, rule)

    def _events_of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The label events of some rows; events of others would count as unrequested."""
        return self.label_events[self.label_events[NAME].isin(rows[NAME])]

    def signals(self, known: list[Entry], now: pd.Timestamp, skew: int) -> RetrainingSignals:
        """All signals that the policy decides from, at a check."""
        version, window = live_champion()
        side, since = serves_all(known)
        alert, config = self.performance_alert(known, now), load(MonitorConfig)
        age = self._age_hours(now)
        trained = self.year.predict(side, self.year.between(window.first, window.last))
        psi, status = self._drift(known, trained, now, config)
        return RetrainingSignals(
            at=f"{now:%Y-%m-%dT%H:%MZ}",
            champion=version.number,
            trained_until=window.last,
            served_since=since,
            fresh_labels=int((days_of(self.label_events[NAME]) > window.last).sum()),
            outcome=alert.status,
            outcome_reasons=alert.reasons,
            excess=alert.figures.excess,
            gap=alert.figures.gap,
            labels_stale=age is None or age > config.outcome.max_labels_age_hours,
            labels_age_hours=age,
            broken=self._broken(known, trained, now, config),
            skew=skew,
            prediction_psi=psi,
            drift=status,
            refreshed=self._refresh_gain(known, now),
        )

    def _refresh_gain(self, known: list[Entry], now: pd.Timestamp) -> RefreshGain | None:
        """The effect of the refreshes of the newest weeks, by the labels that have arrived."""
        first = f"{now - load(RetrainConfig).policy.refreshed_days * DAY:%Y-%m-%d}"
        recent = self.label_events[days_of(self.label_events[NAME]) >= first]
        return refresh_gain(self.year, known, recent, load(EvaluateConfig).bootstrap)

    def _age_hours(self, now: pd.Timestamp) -> float | None:
        if not len(self.label_events):
            return None
        return round(
            float((now - self.label_events["arrived_at"].max()) / pd.Timedelta(hours=1)), 2
        )

    def _recent(self, known: list[Entry], now: pd.Timestamp, days: int) -> pd.DataFrame:
        """The predictions of so many days before the day of `now`."""
        first, last = (f"{now - back * DAY:%Y-%m-%d}" for back in (days, 1))
        return self.year.predictions(known, self.year.between(first, last))

    def _broken(
        self, known: list[Entry], trained: pd.DataFrame, now: pd.Timestamp, config: MonitorConfig
    ) -> list[str]:
        """Failed data-quality checks of the last week, and labels that disagree with the proxy."""
        checks = data_quality.check_quality(
            trained, self._recent(known, now, _RECENT), config.tripwires, now
        )
        failed = data_quality.failures(checks)
        weeks = label_agreement(self._labels_with_proxy(now), config.outcome)
        return [f"{c.name}: {c.found:g}, limit {c.limit:g}" for c in failed] + [
            f"labels of {w.group} in the week of {w.week} agree with flags in {w.agreement:.3f}, "
            f"limit {config.outcome.min_agreement:g}"
            for w in weeks
            if w.trusted is False
        ]

    def _labels_with_proxy(self, now: pd.Timestamp) -> pd.DataFrame:
        """The labels of the last four weeks beside the proxy as known by now."""
        frame = self.year.frame
        chosen = self.year.between(f"{now - 28 * DAY:%Y-%m-%d}", f"{now:%Y-%m-%d}")
        chosen &= (frame[f"{PROXY}_known_at"] <= now).to_numpy()
        flags = pd.Series(frame[PROXY].to_numpy()[chosen], frame["name"].to_numpy()[chosen])
        recent = self.label_events[days_of(self.label_events[NAME]) >= f"{now - 28 * DAY:%Y-%m-%d}"]
        table = delayed_labels.fold(recent).table
        return table.assign(**{LABEL: table["late"], PROXY: table[NAME].map(flags)})

    def _drift(
        self, known: list[Entry], trained: pd.DataFrame, now: pd.Timestamp, config: MonitorConfig
    ) -> tuple[float | None, Literal["quiet", "warn", "alert"]]:
        """The predictions' PSI of trailing days against the training window, and its status.

        As in `make monitor`, an alert only if it lasts. A promotion restarts the trailing days.
        """
        rule, (side, since) = config.trailing, serves_all(known)
        rows = self._recent(known, now, 2 * rule.window_days)
        rows = rows[(rows["release"] == side.release) & (days_of(rows[NAME]) >= since)]
        days = days_of(rows[NAME])
        if len(np.unique(days)) < rule.min_days:
            return None, "quiet"
        bins = windows.make_bins(trained[[RISK]], rows[[RISK]], drift.CATEGORIES)
        before = windows.count_bins(trained, days_of(trained[NAME]), bins)
        after = windows.count_bins(rows, days, bins)
        number = after.days.astype("datetime64[D]").astype("int64")
        back = range(rule.persist_looks - 1, -1, -1)
        looks = [int(number[-1]) - rule.every_days * n for n in back]
        looks = [look for look in looks if look - int(number[0]) + 1 >= rule.min_days]
        psi = windows.psi(before, after, windows.trailing(number, looks, rule.window_days))[:, 0]
        found = drift.judge_column(RISK, float(psi[-1]), [float(one) for one in psi], config)
        assert found.status != "report", "predictions have limits"
        return found.looks[-1], found.status


def missing_labels(events: pd.DataFrame) -> str:
    """The difference if the label ledger holds less than the journal counted; else ""."""
    counted = sum(int(e.told["labels"]) for e in journal.events() if e.kind == "day")
    if len(events) >= counted:
        return ""
    return f"it holds {len(events):,} labels, the journal counted {counted:,}"
