"""Contracts between stages: data folders, keys, and the records that stages write and read."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.shared.config.sections import Sha256
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


class Record(BaseModel):
    """A file between two stages: typed, frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


MonthName = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?$")]
"""A month, or its beginning up to a day: 2013-05 or 2013-05-12."""
FileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""A safe part of a path: no dot, no slash, no line end."""


_SIGNIFICANT = 9
"""Digits of a recorded number: digits 15 to 17 differ between processors, by summation order."""


def significant(value: float) -> float:
    """A number to its first _SIGNIFICANT digits, the same on every processor."""
    return float(f"{value:.{_SIGNIFICANT}g}")


Figure = Annotated[float, AfterValidator(significant)]
"""A computed number as recorded, without the digits that depend on the processor."""


class Snapshot(Record):
    """One month of one table as it arrived; `first` and `last` are UTC instants."""

    table: FileName
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
    """The data that have arrived: every snapshot, and the published files behind them."""

    source: str
    as_of: MonthName
    files: dict[str, Sha256]
    snapshots: list[Snapshot]


def snapshot_path(folder: Path, table: str, month: str) -> Path:
    """The path of one month of one table in a stage's folder."""
    return folder / table / f"{month}.parquet"


class Kind(StrEnum):
    """The subject of a check; pages, reports and the journal select by it, never by name."""

    DATA = "data"
    EVIDENCE = "evidence"
    CHAMPION = "champion"
    BASELINE = "baseline"
    REFIT = "refit"
    CHAMPION_SLICE = "champion slice"
    BASELINE_SLICE = "baseline slice"
    BEHAVIOUR = "behaviour"


COMPARISONS = (Kind.CHAMPION, Kind.BASELINE)
"""The loss over all evaluated rows, against the champion and against the baselines."""
OVERALL = (*COMPARISONS, Kind.REFIT)
"""The headline checks: these, and whether the refitted model stays near the evaluated one."""
SLICES = (Kind.CHAMPION_SLICE, Kind.BASELINE_SLICE)
"""The loss on critical slices, against the same models."""


class Estimate(Record):
    """A model's mean log loss less another's, in nats, with its interval over whole days."""

    point: Figure
    low: Figure
    high: Figure
    days: int

    def __str__(self) -> str:
        """As "-0.0123 [-0.0200, -0.0046] over 30 days"."""
        return f"{self.point:+.4f} [{self.low:+.4f}, {self.high:+.4f}] over {self.days} days"


class Check(Record):
    """One check with its two numbers: the measured value, and the limit.

    A comparison of losses holds its `estimate`, of which `found` is the point or a bound.
    """

    kind: Kind
    name: str
    passed: bool
    blocking: bool
    found: Figure
    limit: float
    detail: str
    estimate: Estimate | None = None


def checks_of(verdict: Mapping[str, Any]) -> list[Check]:
    """The checks of a release's recorded verdict; one older than kinds has names only."""
    return [Check.model_validate({"kind": _kind_of(c["name"])} | c) for c in verdict["checks"]]


def _kind_of(name: str) -> Kind:
    """The kind of a check in an older verdict, by its name: the only place that reads names."""
    if " against " in name:
        return Kind.CHAMPION_SLICE if name.endswith(" against champion") else Kind.BASELINE_SLICE
    if name == "beats champion" or name.endswith("worse than champion"):
        return Kind.CHAMPION
    if name.startswith(("invariance:", "direction:", "minimum:")):
        return Kind.BEHAVIOUR
    starts = {"beats ": Kind.BASELINE, "refit ": Kind.REFIT}
    return next((kind for start, kind in starts.items() if name.startswith(start)), Kind.EVIDENCE)


def at_most(
    kind: Kind, name: str, found: float, limit: float, detail: str, of: Estimate | None = None
) -> Check:
    """A blocking check that passes up to its limit; NaN never passes."""
    return _blocking(kind, name, found <= limit, found, limit, detail, of)


def at_least(kind: Kind, name: str, found: float, limit: float, detail: str) -> Check:
    """A blocking check that passes from its limit on; NaN never passes."""
    return _blocking(kind, name, found >= limit, found, limit, detail)


def _blocking(
    kind: Kind,
    name: str,
    passed: bool,
    found: float,
    limit: float,
    detail: str,
    of: Estimate | None = None,
) -> Check:
    values: dict[str, Any] = {"found": found, "limit": limit, "detail": detail, "estimate": of}
    return Check(kind=kind, name=name, passed=bool(passed), blocking=True, **values)


def decide(checks: list[Check]) -> bool:
    """Whether every blocking check passed; without any, the decision is no."""
    blocking = [check for check in checks if check.blocking]
    return bool(blocking) and all(check.passed for check in blocking)


class FeatureService(Record):
    """A feature service: features by name, and a version that changes with their meaning."""

    version: str
    features: list[str]


class Verdict(Record):
    """The gate's verdict on exactly one challenger against exactly one champion (or none yet).

    `challenger` is the model that may go live, `judged` the evaluated one: the same model, or the
    one of which it is a refit. A `refresh` is the champion's training configuration on newer days,
    a `change` anything else. `predictions_hash` is that of the evaluated model's predictions, in
    order.
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
        """Whether the evaluated model is the champion itself, so that only its days are new."""
        return self.kind == "refresh" and self.judged == self.champion

    @model_validator(mode="after")
    def _says_what_its_checks_say(self) -> "Verdict":
        if self.passed is not decide(self.checks):
            raise ValueError(f"passed is {self.passed}, its checks say {decide(self.checks)}")
        return self


class Training(Record):
    """A training: the model's digest, its data, and the parity of its stored form.

    `candidate` is the digest of the model that the gate evaluates: trained without the newest days
    of `window`, those after `candidate_window`; or the model itself, without a refit. `recipe` is a
    digest of the training configuration without the days, and of the training code.
    `predictions_hash` is that of the model's predictions for every row of the feature table, in
    order.
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
    """The warm-up prediction of a new server: rows of inputs (None: missing), and their risks.

    scikit-learn computed the risks at training; `tolerance` is the config's.
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
