"""Model performance against the labels (ground truth) that have arrived by an instant.

`measure_performance` takes requests and the label feed as of an instant, and gives a
`Performance`. Each request is joined with its event's label exactly once; figures count an event
once, by its first prediction. A day's figure is provisional until its labels are due, then final; a
final one changes only by a reported correction. Too few labels give "not known", never a pass.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME, PROXY
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.daily import DailyPerformance, judge_days
from pipeline.monitor.performance.label_checks import Agreement, is_distrusted, label_agreement
from pipeline.monitor.performance.label_join import (
    arrays,
    figures_of,
    join_labels,
    require_requests,
)
from pipeline.monitor.performance.quality import (
    Figures,
    Interval,
    Tenth,
    calibration,
    excess_interval,
    intervals,
)
from pipeline.monitor.performance.slice_performance import SliceFigures, judge_slices
from pipeline.monitor.predictions import days_of
from pipeline.shared.config.evaluate import Bootstrap, EvaluateConfig, SliceRule
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig, OutcomeRule
from pipeline.shared.contracts import Record
from pipeline.usecase.chosen import USECASE

PerformanceStatus = Literal["alert", "quiet", "not known"]


@dataclass(frozen=True)
class PerformanceRules:
    """The rules of performance: the outcome's own, and the gate's slices and bootstrap."""

    outcome: OutcomeRule
    slices: SliceRule
    bootstrap: Bootstrap

    @classmethod
    def of_configs(cls) -> "PerformanceRules":
        """Load the rules from configs/monitor.yaml and configs/evaluate.yaml."""
        gate = load(EvaluateConfig)
        return cls(load(MonitorConfig).outcome, gate.slices, gate.bootstrap)


class PerformanceAlert(Record):
    """The cheap rule over the newest days with due labels; each reason has both numbers.

    `excess_interval` is the excess log loss of the window with its 95 % interval over days.
    """

    status: PerformanceStatus
    first: str | None
    last: str | None
    days: int
    figures: Figures
    reasons: list[str]
    excess_interval: Interval | None = None


class FeedCounts(Record):
    """The label feed's counts, and the first names that were set aside."""

    events: int
    duplicates: int
    corrected: int
    conflicts: int
    conflicting: list[str]
    impossible: int
    impossibly_known: list[str]
    unasked: int
    labels_age_hours: float | None
    stale: bool


class Performance(Record):
    """Model performance as known at an instant; JSON by `model_dump(mode="json")`.

    `overall`, its intervals, calibration, slices and versions are of final days. `agreement` lists
    the weeks that are not trusted; it is None without proxies to check the labels against.
    """

    at: str
    requests: int
    rows: int
    retries: int
    alert: PerformanceAlert
    feed: FeedCounts
    overall: Figures
    intervals: dict[str, Interval]
    calibration: list[Tenth]
    days: list[DailyPerformance]
    slices: dict[str, SliceFigures]
    versions: dict[str, Figures]
    agreement: list[Agreement] | None
    agreement_checked: int
    distrusted_labels: int


def measure_performance(
    served: pd.DataFrame,
    events: pd.DataFrame,
    now: pd.Timestamp,
    rules: PerformanceRules,
    flags: pd.DataFrame | None = None,
    since: str | None = None,
) -> Performance:
    """Measure the performance of the requests in `served` by the labels that arrived by `now`.

    `served` has a row per request, in the order of the log, with REQUIRED columns; `events` are
    events of delayed_labels.LABEL_COLUMNS; `flags` (NAME, PROXY, arrived_at) check the labels.
    Days before `since` count for the alert's window and for nothing else.

    Raises:
        LabelsRefused: the requests or the feed's events are invalid.
    """
    require_requests(served)
    events, served = delayed_labels.arrived_events(events, now), served[served["predict_at"] <= now]
    first = served[~served[NAME].duplicated()]
    settled = delayed_labels.settle(first.set_index(NAME)["predict_at"], events)
    weeks = None if flags is None else _agreement(settled.table, flags, now, rules.outcome)
    broken = is_distrusted(settled.table[NAME], weeks or [])
    everyone = join_labels(first, settled.table[~broken])
    rows = everyone[_from(everyone, since)].reset_index(drop=True)
    requests = int(_from(served, since).sum())
    days = judge_days(rows, events, now, rules.outcome)
    return Performance(
        at=f"{now:%Y-%m-%dT%H:%MZ}",
        requests=requests,
        rows=len(rows),
        retries=requests - len(rows),
        alert=_alert(everyone, now, rules.outcome),
        feed=_feed(settled, now, rules.outcome),
        days=days,
        agreement=None if weeks is None else [w for w in weeks if w.trusted is False],
        agreement_checked=sum(w.trusted is not None for w in weeks or []),
        distrusted_labels=int(broken.sum()),
        **_of_final(rows, days, rules),
    )


def check_alert(
    served: pd.DataFrame, events: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule
) -> PerformanceAlert:
    """The cheap rule alone, as `measure_performance` has it: for every day.

    Raises:
        LabelsRefused: as `measure_performance`.
    """
    require_requests(served)
    settled = delayed_labels.settle(
        served.set_index(NAME)["predict_at"], delayed_labels.arrived_events(events, now)
    )
    return _alert(join_labels(served, settled.table), now, rule)


def _from(rows: pd.DataFrame, since: str | None) -> np.ndarray:
    return np.asarray(days_of(rows[NAME]) >= (since or ""))


def _of_final(
    rows: pd.DataFrame, days: list[DailyPerformance], rules: PerformanceRules
) -> dict[str, Any]:
    """The figures of final days only: of other days the negative ones may be known first."""
    final = [pd.Timestamp(day.date, tz="UTC") for day in days if day.state == "final"]
    counted = rows[rows["day"].isin(final)]
    late, risk, day = arrays(counted[counted[LABEL].notna()])
    return {
        "overall": figures_of(counted),
        "intervals": intervals(late, risk, day, rules.bootstrap) if len(late) else {},
        "calibration": calibration(late, risk),
        "slices": judge_slices(counted, rules.slices, rules.outcome, rules.bootstrap),
        "versions": {str(name): figures_of(of) for name, of in counted.groupby("version")},
    }


def _agreement(
    table: pd.DataFrame, flags: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule
) -> list[Agreement]:
    there = flags[flags["arrived_at"] <= now].drop_duplicates(NAME).set_index(NAME)
    flag = table[NAME].map(there[PROXY].astype("float64"))
    return label_agreement(table.assign(**{LABEL: table["late"], PROXY: flag}), rule)


def performance_status(
    figure: Figures, days: int, rule: OutcomeRule
) -> tuple[PerformanceStatus, list[str]]:
    """The performance status and its reasons, each with the figure and the limit."""
    unknown = []
    if days < rule.min_days:
        unknown.append(f"{days} days with due labels, at least {rule.min_days} are needed")
    if figure.coverage < rule.min_coverage:
        unknown.append(
            f"{figure.coverage:.1%} of {USECASE.noun} have labels, below {rule.min_coverage:.0%}"
        )
    excess, gap = figure.excess, figure.gap
    if unknown or excess is None or gap is None:
        return "not known", unknown or ["no labels"]
    found = []
    if excess > rule.max_excess_loss:
        found.append(
            f"log loss is {excess:+.4f} above its own expectation, limit {rule.max_excess_loss:g}"
        )
    if abs(gap) > rule.max_gap:
        share = f"{USECASE.words.positive} share less mean risk"
        found.append(f"{share} is {gap:+.4f}, limit {rule.max_gap:g} either way")
    return ("alert", found) if found else ("quiet", [])


def _alert(rows: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule) -> PerformanceAlert:
    last = (now - delayed_labels.LABELS_DUE).floor("D")
    first = last - pd.Timedelta(days=rule.window_days - 1)
    window = rows[rows["day"].between(first, last)]
    figure = figures_of(window)
    ends = [f"{day:%Y-%m-%d}" for day in sorted(window["day"].unique())]
    said, reasons = performance_status(figure, len(ends), rule)
    return PerformanceAlert(
        status=said,
        first=ends[0] if ends else None,
        last=ends[-1] if ends else None,
        days=len(ends),
        figures=figure,
        reasons=reasons,
        excess_interval=excess_interval(*arrays(window)),
    )


def _feed(
    settled: delayed_labels.RequestLabels, now: pd.Timestamp, rule: OutcomeRule
) -> FeedCounts:
    age = None if pd.isna(settled.newest) else (now - settled.newest) / pd.Timedelta(hours=1)
    conflicts, impossible = settled.folded.conflicts, settled.impossible
    return FeedCounts(
        events=settled.events,
        duplicates=settled.folded.duplicates,
        corrected=settled.folded.corrections,
        conflicts=conflicts[NAME].nunique(),
        conflicting=delayed_labels.first_names(conflicts[NAME]),
        impossible=impossible[NAME].nunique(),
        impossibly_known=delayed_labels.first_names(impossible[NAME]),
        unasked=settled.unrequested[NAME].nunique(),
        labels_age_hours=None if age is None else round(float(age), 2),
        stale=age is None or bool(age > rule.max_labels_age_hours),
    )
