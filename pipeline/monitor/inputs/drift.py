"""Drift of inputs and predictions as effect sizes; the door to Evidently.

With tens of thousands of events the difference of any two days is "significant", so each column
gets a population stability index (PSI) instead of a p-value, and only some columns may raise an
alarm. Drift does not imply lower performance: an alarm asks a person to look, and never promotes or
pages.
"""

import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import NAME, NUMERIC, SCHEDULE
from pipeline.monitor.inputs import psi as windows
from pipeline.monitor.predictions import RISK, days_of
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.contracts import MONITOR, Record
from pipeline.shared.files import atomic_write
from pipeline.usecase.chosen import USECASE

CATEGORIES = USECASE.monitored.categories
DRIFT_PAGE = MONITOR / "drift.html"
WORKSPACE = Path("state/monitor/evidently")
"""Evidently's own workspace: a snapshot of each month, for its own window."""
_PROJECT = "Drift by month"
DriftStatus = Literal["alert", "warn", "quiet", "report"]


class Histogram(Record):
    """The shares of a column's present values in bins, in the training window and now.

    A bin is named by its value, or by its edges: "0.1..0.2".
    """

    bins: list[str]
    reference: list[float]
    now: list[float]


class ColumnDrift(Record):
    """One column's PSI against the training window, and its status.

    `psi` is that of the whole window, by Evidently; `looks` those of the trailing windows, the
    oldest first. `lasting` is the least of the newest ones, as many as an alert takes, over the
    factor of the family; None: there are fewer.
    """

    column: str
    group: str
    psi: float
    looks: list[float]
    lasting: float | None
    status: DriftStatus
    histogram: Histogram | None = None


class Drift(Record):
    """The drift between the champion's training window and the served window.

    `look_days` are the last days of the trailing windows. `family_factor` multiplies the limits, so
    that all columns together raise no more false alarms than planned.
    """

    reference: str
    window: str
    reference_rows: int
    rows: int
    mean_risk_reference: float
    mean_risk: float
    look_days: list[str]
    family_factor: float
    columns: list[ColumnDrift]


def group_of(column: str) -> str:
    """The group whose rule a column follows."""
    groups = {**USECASE.monitored.groups, "static": [*SCHEDULE, *CATEGORIES]}
    if column == RISK:
        return "prediction"
    return next((name for name, columns in groups.items() if column in columns), "rolling")


def limits_of(config: MonitorConfig) -> dict[str, tuple[float, float]]:
    """The warning and alert limits of each group that may alarm; the others follow the season."""
    tripwire = (config.tripwire_warn, config.tripwire_alert)
    prediction = (config.prediction_warn, config.prediction_alert)
    return {"prediction": prediction, **dict.fromkeys(USECASE.monitored.alarming, tripwire)}


def judge_column(
    column: str, psi: float, looks: list[float], config: MonitorConfig, factor: float = 1.0
) -> ColumnDrift:
    """Judge a column's drift: a warning at once, an alert only if it lasts.

    An alert needs the configured number of consecutive looks beyond the limit; without any trailing
    look the whole window is one.
    """
    group, count = group_of(column), config.trailing.persist_looks if looks else 1
    last = (looks or [psi])[-count:]
    lasting = round(min(last) / factor, 6) if len(last) == count else None
    status: DriftStatus = "report"
    if group in (limits := limits_of(config)):
        warn, alert = limits[group]
        status = "warn" if last[-1] >= warn * factor else "quiet"
        if lasting is not None and lasting >= alert:
            status = "alert"
    return ColumnDrift(
        column=column,
        group=group,
        psi=round(psi, 6),
        looks=[round(look, 6) for look in looks],
        lasting=lasting,
        status=status,
    )


def load_evidently() -> None:
    """Load Evidently ahead of its use, since that takes seconds."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    warnings.filterwarnings("ignore", module="(evidently|litestar|sklearn|numpy|scipy).*")
    import evidently.presets  # noqa: F401


def measure(
    reference: pd.DataFrame, current: pd.DataFrame, html: bool, last_day: str = ""
) -> dict[str, float]:
    """Each column's PSI by Evidently, without columns that are empty on either side.

    With `html` its report is written to data/monitor/, and kept as that of the month in which
    `last_day` lies.
    """
    load_evidently()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    filled = [c for c in reference if reference[c].notna().any() and current[c].notna().any()]
    numbers = [column for column in filled if column not in CATEGORIES]
    columns = DataDefinition(numerical_columns=numbers, categorical_columns=CATEGORIES)
    preset = DataDriftPreset(columns=[*numbers, *CATEGORIES], method="psi", threshold=0.1)
    snapshot = Report([preset]).run(
        Dataset.from_pandas(current, data_definition=columns),
        Dataset.from_pandas(reference, data_definition=columns),
        timestamp=pd.Timestamp(last_day).to_pydatetime() if last_day else None,
    )
    if html:
        with atomic_write(DRIFT_PAGE) as temporary:
            snapshot.save_html(str(temporary))
        if last_day:
            _keep(snapshot, last_day)
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"] == "evidently:metric_v2:ValueDrift"
    }


def _keep(snapshot: Any, last_day: str) -> None:
    """Keep a month's snapshot in Evidently's workspace, in place of an earlier one."""
    from evidently.ui.workspace import Workspace

    workspace = Workspace.create(str(WORKSPACE))
    found = [one for one in workspace.list_projects() if one.name == _PROJECT]
    project = found[0] if found else workspace.create_project(_PROJECT, "PSI against training")
    month = last_day[:7]
    for run in workspace.list_runs(project.id):
        if workspace.get_run(project.id, run).name == month:
            workspace.delete_run(project.id, run)
    workspace.add_run(project.id, snapshot, name=month)


def measure_drift(
    reference: pd.DataFrame, rows: pd.DataFrame, first: str, config: MonitorConfig
) -> Drift:
    """The drift of served rows from day `first` on, against the training window.

    Both tables come from `served_predictions`; `rows` may begin before `first`, for the trailing
    windows.
    """
    seen = [*NUMERIC, *CATEGORIES, RISK]
    days, current = days_of(rows[NAME]), rows[seen]
    inside = days >= first
    bins = windows.make_bins(reference[seen], current, CATEGORIES)
    before = windows.count_bins(reference[seen], days_of(reference[NAME]), bins)
    after = windows.count_bins(current, days, bins)
    look_days = trailing_ends(after.days, first, config)
    looks = windows.psi(before, after, _trailing(after.days, look_days, config)).T.tolist()
    factor = max(1.0, _family_factor(before, config))
    month = (after.days >= first)[None, :].astype("float64")
    whole = windows.psi(before, after, month)[0]
    html = config.html == "full"
    found = measure(reference[seen], current[inside], html, str(after.days[-1]))
    psi = [max(found.get(name, 0.0), ours) for name, ours in zip(seen, whole, strict=True)]
    pictures = _histograms(before, after, month)
    columns = [
        judge_column(name, one, trend, config, factor).model_copy(update={"histogram": picture})
        for name, one, trend, picture in zip(seen, psi, looks, pictures, strict=True)
    ]
    return Drift(
        reference=f"{before.days[0]}..{before.days[-1]}",
        window=f"{first}..{after.days[-1]}",
        reference_rows=len(reference),
        rows=int(inside.sum()),
        mean_risk_reference=round(float(reference[RISK].mean()), 6),
        mean_risk=round(float(current[RISK][inside].mean()), 6),
        look_days=look_days,
        family_factor=round(factor, 4),
        columns=sorted(columns, key=lambda c: (-c.psi, c.column)),
    )


def _histograms(
    before: windows.Counts, after: windows.Counts, month: np.ndarray
) -> list[Histogram]:
    """Each column's histogram in the training window and in the month."""
    reference, now = before.total(np.ones((1, len(before.days)))), after.total(month)
    return [
        Histogram(bins=one.labels, reference=_shares(old[0]), now=_shares(new[0]))
        for one, old, new in zip(before.bins, reference, now, strict=True)
    ]


def _shares(counts: np.ndarray) -> list[float]:
    present = counts[:-1]
    return [round(float(one), 6) for one in present / max(present.sum(), 1)]


def trailing_ends(days: np.ndarray, first: str, config: MonitorConfig) -> list[str]:
    """The last days of the trailing windows: the newest day, and back in whole steps to `first`."""
    trailing, numbers = config.trailing, _numbers(days)
    kept = [
        place
        for place in range(len(days) - 1, -1, -1)
        if (numbers[-1] - numbers[place]) % trailing.every_days == 0
        and numbers[place] - numbers[0] + 1 >= trailing.min_days
        and days[place] >= first
    ]
    return [str(days[place]) for place in reversed(kept)]


def _trailing(days: np.ndarray, looks: list[str], config: MonitorConfig) -> np.ndarray:
    ends = _numbers(np.array(looks, dtype="U10")).tolist()
    return windows.trailing(_numbers(days), ends, config.trailing.window_days)


def _numbers(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype("int64")


def _family_factor(reference: windows.Counts, config: MonitorConfig) -> float:
    limits = limits_of(config)
    alarming = {
        one.name: limits[group][1]
        for one in reference.bins
        if (group := group_of(one.name)) in limits
    }
    rule = config.trailing
    return windows.family_limit(
        reference,
        alarming,
        rule.window_days,
        rule.block_days,
        rule.draws,
        rule.family_alpha,
        rule.seed,
    )
