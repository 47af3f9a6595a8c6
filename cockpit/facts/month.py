"""The month's monitoring: performance, drift, alerts, from the files of `make monitor`."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from cockpit.reading import Fact, Missing, read_json

_COMMAND = "make monitor"


class Figures(Fact):
    """Performance figures of some events; losses in nats."""

    rows: int
    labelled: int
    coverage: float
    mean_outcome: float | None = None
    mean_risk: float | None = None
    gap: float | None = None
    log_loss: float | None = None
    expected_log_loss: float | None = None
    excess: float | None = None
    roc_auc: float | None = None


class Day(Fact):
    """One day: whether its labels are complete, and its figures."""

    date: str
    state: str
    figures: Figures


class Tenth(Fact):
    """A tenth of the rows by risk: what was predicted, and what came."""

    mean_risk: float
    mean_outcome: float
    rows: int


class Slice(Fact):
    """A slice's figures, and whether they are worse than chance allows."""

    figures: Figures
    noticed: bool


class Interval(Fact):
    """A figure with the ends of its interval over days."""

    point: float
    low: float
    high: float


class Rule(Fact):
    """The performance rule: its status and its reasons, over the newest days with labels."""

    status: str
    first: str | None
    last: str | None
    reasons: list[str]


class Performance(Fact):
    """Model performance by the labels that have arrived."""

    at: datetime
    alert: Rule
    overall: Figures
    intervals: dict[str, Interval]
    calibration: list[Tenth] = Field(default_factory=list)
    days: list[Day]
    slices: dict[str, Slice]


class Histogram(Fact):
    """A column's shares by bin, in the training window and now."""

    bins: list[str]
    reference: list[float]
    now: list[float]


class Column(Fact):
    """A column's drift: its PSI, how it moved, and its status."""

    column: str
    group: str
    psi: float
    looks: list[float]
    status: str
    histogram: Histogram | None = None


class Drift(Fact):
    """The drift of every column between two windows, the largest first."""

    reference: str
    window: str
    rows: int
    mean_risk_reference: float
    mean_risk: float
    look_days: list[str]
    columns: list[Column]


class Alert(Fact):
    """An alert that fires, and why."""

    area: str
    name: str
    severity: str
    summary: str
    reason: str


class Signals(Fact):
    """The month's end in numbers, as Prometheus is shown them."""

    at: datetime
    version: str
    release: str
    model_age_days: float | None = None
    labels_age_hours: float | None = None
    coverage: float | None = None
    excess_loss: float | None = None
    outcome_gap: float | None = None
    prediction_psi: float | None = None
    quality_failures: int | None = None
    skew_mismatches: int | None = None


@dataclass(frozen=True)
class Month:
    """Everything that the last monitoring run found."""

    performance: Performance
    drift: Drift
    alerts: list[Alert]
    signals: Signals


def read(folder: Path) -> Month | Missing:
    """Read the files of the last monitoring run, all of them or none."""
    kinds: dict[str, Any] = {
        "outcome": Performance,
        "drift": Drift,
        "alerts": list[Alert],
        "signals": Signals,
    }
    found = []
    for name, kind in kinds.items():
        path = folder / "data" / "monitor" / f"{name}.json"
        content = read_json(kind, path, "the month's report", _COMMAND)
        if isinstance(content, Missing):
            return content
        found.append(content)
    return Month(*found)
