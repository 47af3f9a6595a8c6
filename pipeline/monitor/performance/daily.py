"""Daily performance: provisional until the labels are due, then final; revisions are reported.

The feed keeps every event with its arrival, so the first final figure can always be recomputed and
need not be stored.
"""

from typing import Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.label_join import figures_of
from pipeline.monitor.performance.quality import Figures
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.contracts import Record

DayState = Literal["provisional", "incomplete", "final"]


class Revision(Record):
    """A revised final day: its first figures, and the current ones."""

    labels_changed: int
    first: Figures
    now: Figures


class DailyPerformance(Record):
    """One local day: its state, its figures, and the revision of a final one, if any.

    The figures of a provisional day are of events whose deadline has passed: of the others only
    ones on time can be known, which would bias the figures.
    """

    date: str
    state: DayState
    figures: Figures
    revised: Revision | None = None


def due_at(day: pd.Series) -> pd.Series:
    """The instant at which each local day's labels are due by the feed's promise."""
    return day + delayed_labels.LABELS_DUE


def judge_days(
    served: pd.DataFrame, events: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule
) -> list[DailyPerformance]:
    """The performance of every day in order, with the revision of a final one."""
    if served.empty:
        return []
    first, found = _first_final_labels(served, events, rule), []
    for day, group in served.groupby("day"):
        over = now >= pd.Timestamp(str(day)) + delayed_labels.LABELS_DUE
        covered = bool(group[LABEL].notna().mean() >= rule.min_coverage)
        state: DayState = "provisional" if not over else "final" if covered else "incomplete"
        shown = group if over else group[group["deadline"] <= now]
        revised = _revision(group, first.loc[group.index]) if state == "final" else None
        date = f"{pd.Timestamp(str(day)):%Y-%m-%d}"
        found.append(
            DailyPerformance(date=date, state=state, figures=figures_of(shown), revised=revised)
        )
    return found


def _first_final_labels(served: pd.DataFrame, events: pd.DataFrame, rule: OutcomeRule) -> pd.Series:
    """The label of each event when its day first became final.

    A day is final once its labels are due and enough of them have arrived.
    """
    events = events[events["known_at"] > events[NAME].map(served.set_index(NAME)["predict_at"])]
    arrived = served[NAME].map(events.groupby(NAME)["arrived_at"].min())
    place = arrived.groupby(served["day"]).rank(method="first")
    needed = np.ceil(rule.min_coverage * served.groupby("day")[NAME].transform("size"))
    enough = arrived.where(place == needed).groupby(served["day"]).max()
    promised = due_at(enough.index.to_series())
    final = enough.where(enough > promised, promised).where(enough.notna())
    final_at = pd.Series(served["day"].map(final).array, index=served[NAME])
    then = events[events["arrived_at"] <= events[NAME].map(final_at)]
    late = delayed_labels.fold(then).table.set_index(NAME)["late"].astype("float64")
    return served[NAME].map(late).astype("float64")


def _revision(day: pd.DataFrame, first: pd.Series) -> Revision | None:
    changed = ~((day[LABEL] == first) | (day[LABEL].isna() & first.isna()))
    if not changed.any():
        return None
    before = figures_of(day.assign(**{LABEL: first}))
    return Revision(labels_changed=int(changed.sum()), first=before, now=figures_of(day))
