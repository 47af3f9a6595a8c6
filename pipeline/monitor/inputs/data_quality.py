"""Data-quality checks of served rows, before drift: retraining cannot repair broken data.

A missing view, an unknown category, an impossible value, half a day: each is presumed to be a fault
of a feed and has a limit of its own.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, NAME, NUMERIC, RANGES, REQUEST, ROLLING
from pipeline.features.windows import ZONE
from pipeline.monitor.predictions import days_of
from pipeline.shared.config.monitor import DataQualityLimits, OddRequests
from pipeline.shared.contracts import MONITOR, Check, Kind, at_least, at_most
from pipeline.usecase.chosen import USECASE

if TYPE_CHECKING:
    from pipeline.shared.expectations import RuleResult

DOCS = MONITOR / "docs"
_CATEGORIES = USECASE.monitored.unseen
_STEADY = [
    *(r.name for r in ROLLING if r.hours <= 24 and r.view == "system"),
    *USECASE.monitored.steady,
]
"""Features that differ within any day of hundreds of events; a constant is a stuck feed."""


def check_quality(
    reference: pd.DataFrame,
    rows: pd.DataFrame,
    limits: DataQualityLimits,
    now: pd.Timestamp | None = None,
) -> list[Check]:
    """Check served rows for faults of the feeds, each with its figure and its limit.

    Both tables come from `served_predictions`; `reference` is of the training window. With an
    instant `now`, the unfinished day does not count for the volume.
    """
    day = days_of(rows[NAME])
    return [
        *_missing(reference, rows, limits.max_missing_rise),
        *_unseen(reference, rows, limits.max_unseen_share),
        *_impossible(rows, limits.odd_requests),
        *_stuck(rows, day),
        _volume(
            days_of(reference[NAME]),
            _finished_days(day, now),
            limits.min_share_of_reference_day,
        ),
    ]


def _missing(reference: pd.DataFrame, rows: pd.DataFrame, limit: float) -> list[Check]:
    found = []
    for column in KNOWN_AT:
        before, now = reference[column].isna().mean(), rows[column].isna().mean()
        found.append(
            at_most(
                Kind.DATA,
                f"missing {column.removesuffix('_known_at')}",
                round(float(now - before), 6),
                limit,
                f"{now:.1%} of rows without, {before:.1%} in training",
            )
        )
    return found


def _unseen(reference: pd.DataFrame, rows: pd.DataFrame, limit: float) -> list[Check]:
    found = []
    for column in _CATEGORIES:
        strange = ~rows[column].isin(set(reference[column]))
        named = ", ".join(sorted(map(str, set(rows.loc[strange, column])))[:5]) or "none"
        share = round(float(strange.mean()), 6)
        detail = f"not in training: {named}"
        found.append(at_most(Kind.DATA, f"unseen {column}", share, limit, detail))
    return found


def _impossible(rows: pd.DataFrame, odd: OddRequests) -> list[Check]:
    """Impossible values: none is allowed in our features, a few in callers' inputs.

    Values are counted, so that a request with two of them counts twice. For our features the detail
    names requests, since one is enough to find the cause.
    """
    wrong = {name: (rows[name] < low) | (rows[name] > high) for name, (low, high) in RANGES.items()}
    wrong |= {name: np.isinf(rows[name]) for name in NUMERIC if name not in RANGES}
    wrong["risk"] = ~rows["risk"].between(0, 1)
    callers = {name: rows_ for name, rows_ in wrong.items() if name in REQUEST}
    ours = {name: rows_ for name, rows_ in wrong.items() if name not in REQUEST}
    found = [sum(int(one.sum()) for one in of.values()) for of in (ours, callers)]
    named = _names_text(ours) + _requests(rows, pd.concat(ours, axis=1).any(axis=1))
    detail = f"values that cannot be: {named}"
    return [
        at_most(Kind.DATA, "impossible values", float(found[0]), 0, detail),
        at_most(
            Kind.DATA,
            "impossible requests",
            float(found[1]),
            odd.allowed(len(rows)),
            f"values of callers that cannot be: {_names_text(callers)}",
        ),
    ]


def _names_text(wrong: dict[str, pd.Series]) -> str:
    counts = {name: int(rows.sum()) for name, rows in wrong.items()}
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"


def _requests(rows: pd.DataFrame, wrong: pd.Series) -> str:
    """The ids of the first wrong rows, for `make explain`."""
    ids = rows.loc[wrong, "request_id"].head(3).tolist()
    return f" in request {', '.join(map(str, ids))}" if ids else ""


def unexplained_skew(skew: dict[str, int], rows: int, odd: OddRequests) -> dict[str, int]:
    """The features with skew in more rows than odd requests explain."""
    return {name: count for name, count in skew.items() if count > odd.allowed(rows)}


def stuck_days(rows: pd.DataFrame, day: np.ndarray) -> dict[str, list[str]]:
    """The days of a hundred events or more with a constant feature, and its names."""
    spread = rows[_STEADY].groupby(day).nunique()
    large = pd.Series(day).value_counts().reindex(spread.index) >= 100
    stuck = spread[large] <= 1
    return {
        str(date): [str(name) for name, still in row.items() if still]
        for date, row in stuck.iterrows()
        if row.any()
    }


def _stuck(rows: pd.DataFrame, day: np.ndarray) -> list[Check]:
    found = stuck_days(rows, day)
    named = "; ".join(f"{date}: {', '.join(names)}" for date, names in found.items()) or "none"
    detail = f"a value never changed on {named}"
    return [at_most(Kind.DATA, "stuck days", float(len(found)), 0, detail)]


def _finished_days(day: np.ndarray, now: pd.Timestamp | None) -> np.ndarray:
    return day if now is None else day[day < f"{now.tz_convert(ZONE):%Y-%m-%d}"]


def _volume(before: np.ndarray, day: np.ndarray, limit: float) -> Check:
    """The quietest day's count as a share of the training window's median day."""
    usual = float(pd.Series(before).value_counts().median())
    if not len(day):
        return at_least(Kind.DATA, f"{USECASE.noun} a day", 1.0, limit, "no day is over yet")
    counts = pd.Series(day).value_counts()
    least = counts.idxmin()
    share = round(float(counts.min() / usual), 6)
    detail = f"{counts.min():,} {USECASE.noun} on {least}, usual are {usual:,.0f} a day"
    return at_least(Kind.DATA, f"{USECASE.noun} a day", share, limit, detail)


def validate_served(
    name: str, rows: pd.DataFrame, odd: OddRequests, docs: Path | None = DOCS
) -> list[Check]:
    """Run the data gate's own rules on served rows, by Great Expectations; docs go to `docs`."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipeline.monitor.inputs import served_rules

        outcomes = served_rules.apply_rules(name, rows, docs)
    return [_check(outcome, rows, odd) for outcome in outcomes]


def _check(outcome: "RuleResult", rows: pd.DataFrame, odd: OddRequests) -> Check:
    """A rule's outcome as a check: callers may get a few rows of their own columns wrong."""
    callers = outcome.rule != "never-null" and set(REQUEST) >= set(outcome.columns)
    limit = odd.allowed(len(rows)) if callers else 0
    first = [] if callers else outcome.positions[:3]
    ids = [str(rows["request_id"].iloc[at]) for at in first]
    named = f" in request {', '.join(ids)}" if ids else ""
    return Check(
        kind=Kind.DATA,
        name=f"{outcome.rule} {' '.join(outcome.columns)}",
        passed=outcome.unexpected <= limit if callers else outcome.passed,
        blocking=True,
        found=float(outcome.unexpected),
        limit=float(limit),
        detail=f"Great Expectations: {outcome.unexpected:,} of {len(rows):,} rows{named}",
    )


def failures(checks: list[Check]) -> list[Check]:
    """The checks that did not pass."""
    return [check for check in checks if not check.passed]
