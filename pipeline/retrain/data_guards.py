"""Guards on the training rows: broken rows are refused before any model is trained.

The gate evaluates a model on the newest days. The refit that goes live learns from those days
too, so a fault within them harms it unseen. The guards therefore check the rows: do the labels
agree with the proxy, is any part of the day missing, are the features fresh?
"""

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.build import read_accepted
from pipeline.features.definitions import KNOWN_AT, LABEL, NAME, PROXY
from pipeline.features.feature_table import read
from pipeline.monitor.performance.label_checks import label_agreement, require_agreement
from pipeline.monitor.predictions import days_of
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig, OutcomeRule
from pipeline.shared.config.retrain import Guards, RetrainConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import Check, Kind, at_least, at_most
from pipeline.shared.errors import TrainingRefused
from pipeline.usecase.chosen import USECASE

_GROUP = next(iter(USECASE.monitored.categories), "sched_hour")
"""The category that divides rows into cells, together with the part of the day."""


def coverage(rows: pd.DataFrame, limits: Guards, first_hours: list[int]) -> Check:
    """Rows a day by group and part of the day: the newest days against those before.

    A feed that loses the mornings shows in no other figure.
    """
    new, cell = _is_new(rows, limits.recent_days), _cells(rows, first_hours)
    before, after = (_a_day(cell[chosen], rows[chosen]) for chosen in (~new, new))
    usual = before[before >= limits.min_rows_a_day]
    share = (after.reindex(usual.index).fillna(0) / usual).sort_values()
    worst = str(share.index[0]) if len(share) else "none"
    detail = (
        f"{worst}: {after.get(worst, 0):.1f} {USECASE.noun} a day in the newest "
        f"{limits.recent_days} days, {usual.get(worst, 0):.1f} before; the lowest of {len(share)} "
        "cells"
    )
    found = round(float(share.iloc[0]), 4) if len(share) else 0.0
    name = f"coverage of {_GROUP} and hour"
    return at_least(Kind.DATA, name, found, limits.min_coverage, detail)


def completeness(
    rows: pd.DataFrame, events: pd.DataFrame, limits: Guards, first_hours: list[int]
) -> Check:
    """Training rows against the events that arrived, by group and part of the day.

    Events missing from all days pass `coverage`, which compares days with each other.
    """
    there, arrived = (_cells(table, first_hours).value_counts() for table in (rows, events))
    share = (there.reindex(arrived.index).fillna(0) / arrived).sort_values()
    worst = str(share.index[0])
    came = f"{USECASE.noun} that arrived"
    detail = f"{worst}: {there.get(worst, 0):,} rows of {arrived[worst]:,} {came}"
    found = round(float(share.iloc[0]), 4)
    name = f"rows of {came}"
    return at_least(Kind.DATA, name, found, limits.min_complete, detail)


def freshness(rows: pd.DataFrame, limits: Guards) -> Check:
    """The age of each feature view at T: the newest days' median against the days before."""
    new, ratios, ages = _is_new(rows, limits.recent_days), {}, {}
    for column in KNOWN_AT:
        age = (rows["predict_at"] - rows[column]).dt.total_seconds() / 60
        now, before = _median(age[new]), _median(age[~new])
        view = column.removesuffix("_known_at")
        # A view without any value has no age and counts as infinitely stale.
        ratios[view] = now / before if now == now and before > 0 else np.inf
        ages[view] = f"{view}: {now:.0f} minutes, {before:.0f} before"
    worst = max(ratios, key=lambda view: ratios[view])
    found = min(round(ratios[worst], 4), 1e9)
    detail = f"median of {ages[worst]}"
    return at_most(Kind.DATA, "age of features", found, limits.max_staleness_ratio, detail)


def agreement(rows: pd.DataFrame, rule: OutcomeRule) -> Check:
    """The labels against the proxy, by group and week.

    Raises:
        LabelsRefused: a week's labels disagree with the proxy.
    """
    known = rows[[LABEL, PROXY]].assign(**{NAME: USECASE.names_of(rows)})
    weeks = label_agreement(known, rule)
    require_agreement(weeks, rule)
    worst = next((week for week in weeks if week.trusted is not None), None)
    found = worst.agreement if worst else 1.0
    words = (
        f"{worst.group} in the week of {worst.week}"
        if worst
        else f"no week has enough {USECASE.noun}"
    )
    detail = f"{words}: the lowest of {len(weeks)} {USECASE.words.group}-weeks"
    return at_least(Kind.DATA, "labels agree with flags", found, rule.min_agreement, detail)


def require_sound_rows() -> list[Check]:
    """Run every guard on the current training rows.

    Raises:
        LabelsRefused: labels contradict the proxy.
        TrainingRefused: a part of the day is missing, or features are older than they were.
    """
    config, gate = load(TrainConfig), load(EvaluateConfig)
    limits = load(RetrainConfig).guards
    rows, events = read(config.whole), _arrived(config.whole)
    return check_rows(rows, events, limits, load(MonitorConfig).outcome, gate)


def _arrived(window: Window) -> pd.DataFrame:
    """The requests of a window's accepted events, with the hour of each."""
    arrived = windows.requests(read_accepted()[0], load(FeaturesConfig))
    days = days_of(USECASE.names_of(arrived))
    return arrived[(days >= window.first) & (days <= window.last)]


def guards() -> str:
    """Run every guard on the current training rows; return a summary line.

    Raises:
        LabelsRefused: labels contradict the proxy.
        TrainingRefused: a part of the day is missing, or features are older than they were.
    """
    if USECASE.split:
        return f"0 guards: {USECASE.noun} have no order that days could lack; the data gate judges"
    checks = require_sound_rows()
    words = "; ".join(f"{c.name} {c.found:g} (limit {c.limit:g})" for c in checks)
    return f"{len(checks)} guards passed for training to {load(TrainConfig).whole.last}: {words}"


def check_rows(
    rows: pd.DataFrame,
    events: pd.DataFrame,
    limits: Guards,
    rule: OutcomeRule,
    gate: EvaluateConfig,
) -> list[Check]:
    """Run every guard on rows of the feature table; `events` are those that arrived.

    Raises:
        LabelsRefused: labels contradict the proxy.
        TrainingRefused: names each failed guard with its figure and its limit.
    """
    checks = [
        agreement(rows, rule),
        coverage(rows, limits, gate.slices.hour_bands),
        completeness(rows, events, limits, gate.slices.hour_bands),
        freshness(rows, limits),
    ]
    if failed := [check for check in checks if not check.passed]:
        words = "; ".join(f"{c.name}: {c.found:g}, limit {c.limit:g} ({c.detail})" for c in failed)
        raise TrainingRefused(
            f"{len(failed)} of {len(checks)} guards refuse the {len(rows):,} training rows: "
            f"{words}; look for the fault in data/features/ and before it, then `make retrain`"
        )
    return checks


def _median(ages: pd.Series) -> float:
    """The median of the known ages; NaN if there is none."""
    known = ages.dropna()
    return float(known.median()) if len(known) else np.nan


def _is_new(rows: pd.DataFrame, days: int) -> pd.Series:
    """Whether each row belongs to the newest days."""
    names = pd.Series(days_of(USECASE.names_of(rows)), index=rows.index)
    newest = pd.Timestamp(names.max())
    return pd.Series(names >= f"{newest - pd.Timedelta(days=days - 1):%Y-%m-%d}")


def _cells(rows: pd.DataFrame, first_hours: list[int]) -> pd.Series:
    band = np.searchsorted(first_hours, rows["sched_hour"].to_numpy(), side="right") - 1
    starts = np.array([f" from {hour:02}h" for hour in first_hours])[band]
    return pd.Series(rows[_GROUP].astype(str) + starts)


def _a_day(cells: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Rows a day in each cell."""
    days = rows[["month", "day"]].drop_duplicates()
    return pd.Series(cells.value_counts()) / float(max(len(days), 1))
