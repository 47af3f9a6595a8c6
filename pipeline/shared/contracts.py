"""What stages hand to each other: folders, keys, and the records that they write and read."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from pipeline.shared.config import Sha256
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import read_json

INGEST = Path("data/ingest")
VALIDATE = Path("data/validate")
FEATURES = Path("data/features")
TRAIN = Path("data/train")
EVALUATE = Path("data/evaluate")
REGISTER = Path("data/register")
REPRODUCE = Path("data/reproduce")
SERVE = Path("data/serve")
ROLLOUT = Path("data/rollout")
MONITOR = Path("data/monitor")
RETRAIN = Path("data/retrain")

FLIGHT_KEY = ["year", "month", "day", "carrier", "flight", "origin"]
"""What tells one flight from every other; without the origin, 24 keys of the year occur twice."""
WEATHER_KEY = ["origin", "observed_utc"]


class Record(BaseModel):
    """A file between two stages: typed, frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Table = Literal["flights", "weather"]
MonthName = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?$")]
"""A month, or its beginning up to a day: 2013-05 or 2013-05-12."""
FileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""What becomes part of a path leads nowhere else: no dot, no slash, no line's end."""


SIGNIFICANT = 9
"""Digits of a recorded number. Processors add in other orders, so digits 15 to 17 may differ."""


def significant(value: float) -> float:
    """A number to its first SIGNIFICANT digits, the same on every processor."""
    return float(f"{value:.{SIGNIFICANT}g}")


Figure = Annotated[float, AfterValidator(significant)]
"""A computed number as it is recorded: without the last digits, which follow the processor."""


class Snapshot(Record):
    """One month of one table as it arrived; `first` and `last` are UTC instants."""

    table: Table
    month: MonthName
    path: str
    rows: int
    first: str
    last: str
    content_hash: Sha256
    file_hash: Sha256

    @model_validator(mode="after")
    def _lies_where_ingest_puts_it(self) -> "Snapshot":
        if self.path != (there := str(snapshot_path(INGEST, self.table, self.month))):
            raise ValueError(f"path is {self.path!r:.80}, its table and month say {there!r}")
        return self


class Manifest(Record):
    """What has arrived: every snapshot, and the published files that it came from."""

    source: str
    as_of: MonthName
    files: dict[str, Sha256]
    snapshots: list[Snapshot]


def snapshot_path(folder: Path, table: str, month: str) -> Path:
    """Where a stage keeps one month of one table."""
    return folder / table / f"{month}.parquet"


class Check(Record):
    """One question of the gate with its two numbers: what was found, and what was allowed."""

    name: str
    passed: bool
    blocking: bool
    found: Figure
    limit: float
    detail: str


Part = Literal["overall", "slice", "behaviour", "evidence"]
"""What a check of the gate asks about: the loss overall, a slice, behaviour, or the evidence."""


def part_of(name: str) -> Part:
    """The part of a verdict that a check belongs to, so that every page shows each check once."""
    if " against " in name:
        return "slice"
    if name.startswith(("invariance:", "direction:", "minimum:")):
        return "behaviour"
    if name.startswith(("beats ", "refit ")) or name.endswith("worse than champion"):
        return "overall"
    return "evidence"


def at_most(name: str, found: float, limit: float, detail: str) -> Check:
    """A blocking check that passes up to its limit; a number that is none never does."""
    passed = bool(found <= limit)
    return Check(name=name, passed=passed, blocking=True, found=found, limit=limit, detail=detail)


def at_least(name: str, found: float, limit: float, detail: str) -> Check:
    """A blocking check that passes from its limit on; a number that is none never does."""
    passed = bool(found >= limit)
    return Check(name=name, passed=passed, blocking=True, found=found, limit=limit, detail=detail)


def decide(checks: list[Check]) -> bool:
    """Whether every blocking check passed; no checks at all are a no."""
    blocking = [check for check in checks if check.blocking]
    return bool(blocking) and all(check.passed for check in blocking)


class FeatureService(Record):
    """What a model is served with: features by name, and a version that changes with a meaning."""

    version: str
    features: list[str]


class Verdict(Record):
    """The gate's answer for exactly one challenger against exactly one champion (or none yet).

    `challenger` is what may go live, `judged` what the figures are of: the same model, or the one
    that it was fitted again from. A `refresh` is the champion's recipe on newer days, a `change`
    anything else. `predictions_hash` is that of the judged model's predictions, in order.
    """

    challenger: Sha256
    judged: Sha256
    champion: Sha256 | None
    kind: Literal["first", "change", "refresh"]
    window: str
    rows: int
    days: int
    config_hash: Sha256
    features_hash: Sha256
    predictions_hash: Sha256
    checks: list[Check]
    passed: bool

    @property
    def fast_track(self) -> bool:
        """Whether what was judged is the champion itself: only the judged days are new."""
        return self.kind == "refresh" and self.judged == self.champion

    @model_validator(mode="after")
    def _says_what_its_checks_say(self) -> "Verdict":
        if self.passed is not decide(self.checks):
            raise ValueError(f"passed is {self.passed}, its checks say {decide(self.checks)}")
        return self


class Training(Record):
    """What was trained: the model's digest, on what, and how equal its stored form is.

    `candidate` is the digest of what the gate judges: the same recipe without the newest days of
    `window`, those after `candidate_window`; or the model itself, where it is not fitted again.
    `recipe` is a digest of all but the days, the code that trains included. `predictions_hash` is
    that of the model's predictions for every row of the feature table, in order.
    """

    digest: Sha256
    candidate: Sha256
    candidate_window: str
    recipe: Sha256
    baselines: dict[FileName, Sha256]
    window: str
    rows: int
    positives: int
    features: list[str]
    feature_service: str
    parity: dict[str, Figure]
    predictions_hash: Sha256
    data_hash: Sha256
    config_hash: Sha256
    seed: int
    threads: int


class WarmUp(Record):
    """What a fresh server has to answer: a few rows of inputs (None: missing), and their risks.

    scikit-learn predicted them when the model was trained; `tolerance` is that of the config.
    """

    features: list[str]
    inputs: list[list[float | None]]
    risk: list[Figure]
    tolerance: float

    @model_validator(mode="after")
    def _is_whole(self) -> "WarmUp":
        widths = {len(row) for row in self.inputs}
        if widths != {len(self.features)} or len(self.inputs) != len(self.risk):
            raise ValueError(
                f"{len(self.inputs)} rows of {sorted(widths)} inputs for {len(self.risk)} risks "
                f"and {len(self.features)} features"
            )
        return self


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path, made_by: str) -> R:
    """Read a record that the stage `made_by` wrote.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactTampered: the file is not such a record, or contradicts itself.
    """
    try:
        return kind.model_validate(read_json(path, made_by))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        raise ArtifactTampered(
            f"{path} is not what `make {made_by}` writes: {where}: {first['msg']}; "
            f"run `make {made_by}`"
        ) from error
