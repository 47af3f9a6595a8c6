"""Which inputs and predictions drifted, and how far: effect sizes, not p-values.

The door to Evidently. With tens of thousands of flights a day's weather is "significant", so each
column gets a population stability index (PSI), and only some columns may raise an alarm. Drift says
that the world moved, not that the model lost: an alarm asks for a look, it never promotes or pages.
"""

import os
import warnings
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import AIRCRAFT, NUMERIC, REQUEST, WEATHER
from pipeline.features.rows import ROWS, read
from pipeline.shared import tracking
from pipeline.shared.config import MonitorConfig, RegisterConfig, Window, load
from pipeline.shared.contracts import MONITOR, Record, read_record
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered, RegistryRefused
from pipeline.shared.files import file_hash, replacing, text_hash, write_json
from pipeline.shared.model import Model
from pipeline.shared.model import load as load_model
from pipeline.shared.secrets import shown

RISK = "risk"
CATEGORIES = ["origin", "carrier"]
FOUND, PAGE = MONITOR / "drift.json", MONITOR / "drift.html"
_LEAST_SHARE = 0.0001
Status = Literal["alert", "warn", "quiet", "report"]


class ColumnDrift(Record):
    """One column's PSI against the training window, and what it calls for."""

    column: str
    group: str
    psi: float
    status: Status


class Drift(Record):
    """What moved between the champion's training window and the served window."""

    champion: str
    reference: str
    window: str
    reference_rows: int
    rows: int
    mean_risk_reference: float
    mean_risk: float
    columns: list[ColumnDrift]
    inputs: dict[str, str]


def group_of(column: str) -> str:
    """The group whose rule a column follows."""
    groups = {"aircraft": AIRCRAFT, "weather": WEATHER, "static": [*REQUEST, *CATEGORIES]}
    if column == RISK:
        return "prediction"
    return next((name for name, columns in groups.items() if column in columns), "rolling")


def judge(column: str, psi: float, config: MonitorConfig) -> ColumnDrift:
    """What a column's PSI calls for; rolling and weather features follow the season: a report."""
    limits = {
        "prediction": (config.prediction_warn, config.prediction_alert),
        "static": (config.tripwire_warn, config.tripwire_alert),
        "aircraft": (config.tripwire_warn, config.tripwire_alert),
    }
    group = group_of(column)
    status: Status = "report"
    if group in limits:
        warn, alert = limits[group]
        status = "alert" if psi >= alert else "warn" if psi >= warn else "quiet"
    return ColumnDrift(column=column, group=group, psi=round(psi, 6), status=status)


def measure(reference: pd.DataFrame, current: pd.DataFrame, html: bool) -> dict[str, float]:
    """Each column's PSI: Evidently's of its values, or that of its missing share if larger.

    Evidently's HTML report goes to data/monitor/ if asked for.
    """
    os.environ.setdefault("DO_NOT_TRACK", "true")
    warnings.filterwarnings("ignore", module="(evidently|litestar|sklearn|numpy|scipy).*")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    missing = missing_psi(reference, current)
    filled = [c for c in reference if reference[c].notna().any() and current[c].notna().any()]
    numbers = [column for column in filled if column not in CATEGORIES]
    columns = DataDefinition(numerical_columns=numbers, categorical_columns=CATEGORIES)
    preset = DataDriftPreset(columns=[*numbers, *CATEGORIES], method="psi", threshold=0.1)
    snapshot = Report([preset]).run(
        Dataset.from_pandas(current, data_definition=columns),
        Dataset.from_pandas(reference, data_definition=columns),
    )
    if html:
        with replacing(PAGE) as temporary:
            snapshot.save_html(str(temporary))
    values = {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"] == "evidently:metric_v2:ValueDrift"
    }
    return {column: max(values.get(column, 0.0), psi) for column, psi in missing.items()}


def missing_psi(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    """Each column's PSI of what is there against what is missing, which Evidently leaves out.

    Without it a feed that stops would look quiet: the values that are left have not moved.
    """
    found = {}
    for column in reference:
        kept = np.array([reference[column].notna().mean(), current[column].notna().mean()])
        both = (np.clip(shares, _LEAST_SHARE, 1) for shares in (kept, 1 - kept))
        found[str(column)] = sum(_psi_part(*shares) for shares in both)
    return found


def _psi_part(old: float, new: float) -> float:
    return float((new - old) * np.log(new / old))


def run() -> str:
    """Compare the window's inputs and predictions with the champion's training window."""
    config, registry = load(MonitorConfig), load(RegisterConfig)
    champion = tracking.aliased(registry, tracking.CHAMPION)
    if champion is None:
        raise RegistryRefused(
            f"{registry.model_name} has no champion to watch in {shown(registry.tracking_url)}; "
            "`make run` registers one"
        )
    inputs = {"features": file_hash(ROWS), "config": text_hash(config.model_dump_json())}
    if (standing := _standing(config, champion.digest, inputs)) is not None:
        return _line(standing, "stands: nothing that it rests on has changed")
    first, last = champion.tag("window").split("..")
    model = load_model(tracking.fetch(registry, champion), champion.digest)
    reference = _seen(model, Window(first=first, last=last))
    current = _seen(model, config.window)
    found = measure(reference, current, config.html == "full")
    columns = [judge(column, psi, config) for column, psi in found.items()]
    drift = Drift(
        champion=champion.digest,
        reference=champion.tag("window"),
        window=f"{config.window.first}..{config.window.last}",
        reference_rows=len(reference),
        rows=len(current),
        mean_risk_reference=round(float(reference[RISK].mean()), 6),
        mean_risk=round(float(current[RISK].mean()), 6),
        columns=sorted(columns, key=lambda c: (-c.psi, c.column)),
        inputs=inputs,
    )
    if config.html == "none":
        PAGE.unlink(missing_ok=True)  # an older one would show another comparison
    write_json(FOUND, drift.model_dump())
    return _line(drift, f"{drift.rows:,} flights against {drift.reference_rows:,}")


def _standing(config: MonitorConfig, champion: str, inputs: dict[str, str]) -> Drift | None:
    """What was found before, if it rests on the same; what cannot be read is measured anew."""
    try:
        found = read_record(Drift, FOUND, "monitor")
    except (ArtifactMissing, ArtifactTampered):
        return None
    shown = config.html == "none" or PAGE.is_file()
    return found if shown and (found.champion, found.inputs) == (champion, inputs) else None


def _seen(model: Model, window: Window) -> pd.DataFrame:
    """What the model was given and what it answered, one row per flight."""
    frame = read(window)
    return frame[[*NUMERIC, *CATEGORIES]].assign(**{RISK: model.predict(frame)})


def _line(drift: Drift, how: str) -> str:
    risk = next(c for c in drift.columns if c.column == RISK)
    alarms = [f"{c.column} {c.psi:.2f} ({c.status})" for c in drift.columns if _alarms(c)]
    season = [f"{c.column} {c.psi:.2f}" for c in drift.columns if c.status == "report"][:3]
    shown = ", ".join(alarms) or "none"
    return (
        f"{drift.window}: {how}; predictions PSI {risk.psi:.3f} ({risk.status}), mean risk "
        f"{drift.mean_risk_reference:.3f} -> {drift.mean_risk:.3f}; alarms: "
        f"{shown}; with the season: {', '.join(season)} -> {FOUND}"
    )


def _alarms(column: ColumnDrift) -> bool:
    return column.status in ("warn", "alert")
