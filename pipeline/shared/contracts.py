"""What stages hand to each other: folders, keys, and the records that they write and read."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

INGEST = Path("data/ingest")
VALIDATE = Path("data/validate")
FEATURES = Path("data/features")
TRAIN = Path("data/train")
EVALUATE = Path("data/evaluate")
REGISTER = Path("data/register")
MONITOR = Path("data/monitor")

FLIGHT_KEY = ["year", "month", "day", "carrier", "flight", "origin"]
"""What tells one flight from every other; without the origin, 24 keys of the year occur twice."""
WEATHER_KEY = ["origin", "observed_utc"]


class Record(BaseModel):
    """A file between two stages: typed, frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Snapshot(Record):
    """One month of one table as it arrived; `first` and `last` are UTC instants."""

    table: Literal["flights", "weather"]
    month: str
    path: str
    rows: int
    first: str
    last: str
    content_hash: str
    file_hash: str


class Manifest(Record):
    """What has arrived: every snapshot, and the published files that it came from."""

    source: str
    as_of: str
    files: dict[str, str]
    snapshots: list[Snapshot]


def snapshot_path(folder: Path, table: str, month: str) -> Path:
    """Where a stage keeps one month of one table."""
    return folder / table / f"{month}.parquet"


class Check(Record):
    """One question of the gate with its two numbers: what was found, and what was allowed."""

    name: str
    passed: bool
    blocking: bool
    found: float
    limit: float
    detail: str


class Verdict(Record):
    """The gate's answer for exactly one challenger against exactly one champion (or none yet)."""

    challenger: str
    champion: str | None
    window: str
    rows: int
    days: int
    inputs: dict[str, str]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every blocking check passed; a verdict without checks never does."""
        blocking = [check for check in self.checks if check.blocking]
        return bool(blocking) and all(check.passed for check in blocking)


class Training(Record):
    """What was trained: the model's digest, on what, and how equal its stored form is."""

    digest: str
    baselines: dict[str, str]
    window: str
    rows: int
    positives: int
    features: list[str]
    parity: dict[str, float]
    predictions_hash: str
    seed: int
    threads: int
