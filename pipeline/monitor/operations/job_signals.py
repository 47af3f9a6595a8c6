"""The daily monitoring job's signals, as Prometheus reads them; None where nothing is known yet.

The job writes it and ends; the exporter shows it for as long as nothing newer is there. What it
says is of an instant of the replay's clock. When the job last ran is another thing, of the wall's
clock and for operations only: the file's own time, so that a job that died shows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field

from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import MONITOR, Record, read_record
from pipeline.shared.files import write_json

if TYPE_CHECKING:
    from pipeline.shared.prometheus import GaugeValue

SIGNALS = MONITOR / "signals.json"
PREFIX = "monitor_"
ABOUT = {
    "model_age_days": "Days since the end of the champion's training window",
    "labels_age_hours": "Hours since the newest labels arrived",
    "coverage": "Share of the predictions of the last 14 days whose outcome is known",
    "due_days": "Days of the last 14 whose labels are due",
    "excess_loss": "Log loss of 14 days less what the model expects of itself, in nats",
    "outcome_gap": "Mean outcome less mean risk, over 14 days",
    "labels_disagreeing": "Weeks of a group whose labels contradict the flags of the proxy",
    "refit_gain": "Log loss of a refit less the champion's on the newest 14 days, in nats",
    "refit_gain_high": "The upper end of its interval over days",
    "prediction_psi": "Population stability index of the risks that has lasted",
    "quality_failures": "Checks of the data that failed",
    "skew_mismatches": "Values that were served and differ from what training reads",
}
"""The numbers without labels, by name."""


class JobSignals(Record):
    """The monitoring job's knowledge at an instant of the replay.

    A PSI is against the training window, and the least of as many trailing windows in a row as an
    alert takes. `input_psi` holds the tripwires only, columns that should hardly move within a
    month: an alarm on the others would ring with the seasons.
    """

    at: AwareDatetime
    version: str
    release: Sha256
    model_age_days: float | None = None
    labels_age_hours: float | None = None
    coverage: float | None = None
    due_days: int | None = None
    excess_loss: float | None = None
    outcome_gap: float | None = None
    labels_disagreeing: int | None = None
    refit_gain: float | None = None
    refit_gain_high: float | None = None
    prediction_psi: float | None = None
    input_psi: dict[str, float] = Field(default_factory=dict)
    quality_failures: int | None = None
    skew_mismatches: int | None = None


def write_signals(signals: JobSignals, path: Path = SIGNALS) -> None:
    """Tell what is known; if nothing has changed too: the file's time says that the job ran."""
    write_json(path, signals.model_dump(mode="json"))


def read(path: Path = SIGNALS) -> JobSignals:
    """The job's last signals.

    Raises:
        ArtifactMissing: it never has.
        ArtifactTampered: the file is something else.
    """
    return read_record(JobSignals, path, "monitor")


def gauge_values(signals: JobSignals, heartbeat: float) -> "Iterator[GaugeValue]":
    """The numbers that Prometheus is shown; what is not known is not there, rather than zero."""
    from pipeline.shared.prometheus import GaugeValue

    yield GaugeValue(f"{PREFIX}heartbeat_seconds", "When the job last ran (wall clock)", heartbeat)
    yield GaugeValue(f"{PREFIX}at_seconds", "The replay's instant", signals.at.timestamp())
    who = {"version": signals.version, "release": signals.release[:12]}
    yield GaugeValue(f"{PREFIX}model_info", "The release that is watched", 1, who)
    for name, about in ABOUT.items():
        if (value := getattr(signals, name)) is not None:
            yield GaugeValue(f"{PREFIX}{name}", about, value)
    for column, psi in sorted(signals.input_psi.items()):
        about = "Population stability index of a tripwire that has lasted"
        yield GaugeValue(f"{PREFIX}input_psi", about, psi, {"column": column})
