"""The configs of an adopted table, derived from it: windows, limits, and the size of the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.adopt.choices import Guesses
from pipeline.shared.errors import AdoptionRefused
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration

LEAST_DAYS = 42
"""Of events: 7 to warm up, 21 to learn from, 14 to judge on."""
_LEAST_LABELS = 40
_USUAL_A_DAY = 800
"""Events of a day for which the steps in configs/rollout.yaml are meant."""


@dataclass(frozen=True)
class Calendar:
    """The windows of learning and judging, and the months that have arrived."""

    first_month: str
    as_of: str
    train: dict[str, str]
    judge: dict[str, str]
    reference: list[str]


def configs(
    name: str, of: Declaration, rows: pd.DataFrame, files: dict[str, str], when: Calendar
) -> dict[str, Any]:
    """`configs.yaml` of a table whose snapshots hold `rows`: `instead` of files, `over` their keys.

    Raises:
        AdoptionRefused: too few of its rows to learn from or to judge on have one of both labels.
    """
    label = published.labels(rows, of)
    learned = in_window(rows, when.train)
    counts = {"learned from": label[learned], "held out": label[in_window(rows, when.judge)]}
    for what, values in counts.items():
        if min(values.sum(), len(values) - values.sum()) < _LEAST_LABELS / 2:
            raise AdoptionRefused(
                f"of {len(values):,} rows {what} {int(values.sum()):,} are positive: at least "
                f"{_LEAST_LABELS // 2} of both kinds are needed; give more rows, or "
                "another `label` in adopt.yaml"
            )
    model = name.replace("_", "-")
    over = {
        "train": {
            "window": when.train,
            "min_rows": max(50, int(learned.sum() / 2)),
            "boosting": _boosting(int(learned.sum())),
        },
        "tune": {"folds": 3, "fold_days": 1, "holdout_days": 2},
        "evaluate": {
            "window": when.judge,
            "slices": {"hour_bands": [0], "min_positives": 30, "min_days": 7, "veto_point": 0.05},
            "behaviour": {"rows": 700, "seed": 0, "tolerance": 1e-6, "raises": {}, "lowers": {}},
        },
        "monitor": {
            "window": dict(when.judge),
            "tripwires.min_share_of_reference_day": _least_day(rows),
        },
        "retrain": {"first_training_day": when.train["first"]},
        "register": {"model_name": model, "experiment": model},
        "rollout": _rollout(of, rows),
    }
    instead = {
        "ingest": {
            "source": f"pipeline/{name}/published",
            "as_of": when.as_of,
            "first_month": when.first_month,
            "files": files,
        },
        "validate": _limits(of, rows, label, when),
        "features": _features(of, label[learned]),
    }
    return {"instead": instead, "over": over}


def calendar(rows: pd.DataFrame, of: Declaration, guesses: Guesses) -> Calendar:
    """The windows of a table whose snapshots hold `rows`.

    Raises:
        AdoptionRefused: its events do not suffice for the windows, or a month has none.
    """
    return _of_events(rows, of, guesses) if of.time else _of_versions()


def _of_versions() -> Calendar:
    month, learned = published.FIRST_VERSION, published.LEARNED_DAYS
    train = {"first": f"{month}-01", "last": f"{month}-{learned:02d}"}
    last = learned + published.HELD_OUT_DAYS
    judge = {"first": f"{month}-{learned + 1:02d}", "last": f"{month}-{last:02d}"}
    return Calendar(month, month, train, judge, [month])


def _of_events(rows: pd.DataFrame, of: Declaration, guesses: Guesses) -> Calendar:
    assert of.time is not None
    local = rows[published.INSTANT].dt.tz_convert(of.time.zone).dt.tz_localize(None)
    first, last = local.min().normalize(), local.max().normalize()
    days = (last - first).days + 1
    if days < LEAST_DAYS:
        raise AdoptionRefused(
            f"the {of.noun} reach over {days} day(s), at least {LEAST_DAYS} are needed to learn "
            "from and to judge on later days: give more of them, or `time: none` in adopt.yaml"
        )
    whole = local.max().is_month_end
    months = [str(month) for month in pd.period_range(first, last, freq="M")]
    _require_months(local, months, of)
    judged = int(np.clip(days // 5, 14, 31))
    warm = max(of.time.days) if days >= 4 * max(of.time.days) else 7
    begin = last - pd.Timedelta(days=judged - 1)
    train = {"first": _day(first + pd.Timedelta(days=warm)), "last": _day(begin - _ONE)}
    judge = {"first": _day(begin), "last": _day(last)}
    guesses.add("windows", f"judged on {judge['first']} to {judge['last']}", "the newest fifth")
    reference = [month for month in months[:-1] if month < judge["first"][:7]][:3] or months[:1]
    return Calendar(months[0], months[-1] if whole else _day(last), train, judge, reference)


_ONE = pd.Timedelta(days=1)


def _day(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d}"


def _require_months(local: pd.Series, months: list[str], of: Declaration) -> None:
    there = set(local.dt.strftime("%Y-%m"))
    if none := [month for month in months if month not in there]:
        raise AdoptionRefused(
            f"{len(none)} of {len(months)} months have no {of.noun}, each must have some: "
            f"{', '.join(none[:5])}; give the rows since the last gap alone, or "
            "`time: none` in adopt.yaml"
        )


def in_window(rows: pd.DataFrame, window: dict[str, str]) -> np.ndarray:
    """Whether each row is of a window's days."""
    day = (rows["year"] * 10_000 + rows["month"] * 100 + rows["day"]).to_numpy()
    first, last = (int(window[end].replace("-", "")) for end in ("first", "last"))
    return (day >= first) & (day <= last)


def _boosting(rows: int) -> dict[str, Any]:
    """Trees whose size follows the number of rows."""
    leaf = int(np.clip(rows // 100, 5, 200))
    nodes = 15 if rows > 2_000 else 7
    return {
        "max_iter": 120,
        "learning_rate": 0.06,
        "max_leaf_nodes": nodes,
        "min_samples_leaf": leaf,
        "l2_regularization": 1.0,
    }


def _limits(
    of: Declaration, rows: pd.DataFrame, label: np.ndarray, when: Calendar
) -> dict[str, Any]:
    """The data gate's limits: the extremes of the snapshots, widened."""
    months = rows.assign(label_is=label).groupby(["year", "month"])
    shares, counts = months["label_is"].mean(), months.size()
    ranges = {}
    for column in of.numeric:
        low, high = float(rows[column].min()), float(rows[column].max())
        width = (high - low) / 2 or 1.0
        ranges[column] = [_round(low - width), _round(high + width)]
    inputs = [*of.numeric, *of.categories]
    missing = rows[inputs].isna().groupby([rows["year"], rows["month"]]).mean().max()
    return {
        "reference": when.reference,
        "rows": [1, _round(2.0 * counts.max())],
        "max_hours_to_month_end": 744,
        "max_quarantined_share": 0.005,
        "max_quarantined_share_of_day": 0.2,
        "label_share": [_round(shares.min() / 2), _round(1 - (1 - shares.max()) / 2)],
        "ranges": ranges,
        "max_missing_share": {n: min(1.0, _round(2 * missing[n] + 0.05)) for n in inputs},
    }


def _least_day(rows: pd.DataFrame) -> float:
    """Half the share of the usual rows that the day with the fewest has, of days that are whole."""
    counts = rows.groupby(["year", "month", "day"]).size().iloc[1:-1]
    return min(0.5, _round(counts.min() / counts.median() / 2))


def _rollout(of: Declaration, rows: pd.DataFrame) -> dict[str, Any]:
    """The steps of a canary by the events of a day; fewer than usual take weeks.

    The least requests of a step do not fall with them: a canary that is short of requests stays.
    """
    slices = {"canary.slices": [*[n for n in of.categories if n not in of.pooled][:1], "hour_band"]}
    a_day = len(rows) / max(1, rows[["year", "month", "day"]].drop_duplicates().shape[0])
    if a_day >= _USUAL_A_DAY:
        return slices
    return {
        "shadow.min_pairs": int(np.clip(0.8 * a_day, 20, 200)),
        "canary.steps": [_step(25, 2, 8, a_day), _step(50, 7, 70, a_day)],
        "canary.fast_track": [_step(25, 1, 4, a_day), _step(50, 4, 40, a_day)],
        "canary.max_days": 30,
        **slices,
    }


def _step(weight: int, days: int, least: int, a_day: float) -> dict[str, int]:
    """A step that passes with two thirds of the requests that its days bring."""
    return {
        "set_weight": weight,
        "days": days,
        "min_requests": max(least, int(a_day * days * weight / 150)),
    }


def _features(of: Declaration, label: np.ndarray) -> dict[str, Any]:
    entities = ["system", *of.time.entities] if of.time else []
    return {
        "horizon_minutes": 1,
        "grid_minutes": 15,
        "baseline_days": 28,
        "shrink_rows": dict.fromkeys(entities, 5),
        "prior": {of.label.column: _round(float(label.mean()))} if of.time else {},
    }


def _round(value: float) -> float:
    return float(f"{value:.4g}")
