"""The inputs and the result of a rollout's analysis, as records, so a decision can be repeated."""

import json
from typing import Literal

from pydantic import ConfigDict, Field

from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import Record
from pipeline.shared.files import text_hash

Outcome = Literal["advance", "promote", "hold", "pause", "rollback", "inconclusive"]
"""advance: next step; promote: replace the champion; hold: go on unchanged; pause: a person looks,
with all traffic back at the champion; rollback: the same for a bad challenger; inconclusive: out of
time without a result, the champion stays."""


class Finite(Record):
    """A record without NaN and infinity: JSON has neither, so reading gives what was written."""

    model_config = ConfigDict(allow_inf_nan=False)


class Start(Finite):
    """The reference that is frozen, beside the plan, when a canary starts.

    `challenger` and `control` (the baseline) are the releases that should respond; `slow_seconds`
    is the limit of a slow response, from the champion's earlier requests; `same_model` is true if
    both releases hold the same model.
    """

    challenger: str = Field(min_length=1)
    control: str = Field(min_length=1)
    slow_seconds: float = Field(gt=0)
    same_model: bool = False


class Position(Finite):
    """A canary's position: step, days since its start and the step's; does its server live?"""

    step: int = Field(ge=0)
    days: float = Field(ge=0)
    days_at_step: float = Field(ge=0)
    alive: bool = True


class ArmSummary(Finite):
    """One arm's sample: its size, and the number of bad requests or the mean."""

    of: int
    bad: int | None = None
    mean: float | None = None


class MetricResult(Finite):
    """One comparison of challenger and baseline ("control"), with the numbers that decided it.

    `estimate` is in `unit`, with an interval and a `p` that are valid at any time for a canary, and
    at the interim analyses for a shadow. It is `alarmed` if p is below `alpha` (0: reported only),
    first after `alarmed_at` of the challenger's requests. A rate's `events` are the challenger's
    and the baseline's: bad requests that share a cause are one. `seen` is the smaller arm's sample
    in this step (of a shadow: days), `enough` whether the step needs no more.
    """

    name: str
    direction: Literal["more is worse", "both ways"]
    unit: str
    challenger: ArmSummary
    control: ArmSummary
    events: tuple[int, int] | None = None
    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    alpha: float
    alarmed: bool
    alarmed_at: int | None
    required: bool
    seen: int
    enough: bool


class Breaker(Finite):
    """A circuit breaker: a limit without a minimum sample size, `tripped` above `allowed`."""

    name: str
    found: int
    allowed: int
    tripped: bool


class SliceRates(Finite):
    """One slice of the requests, reported only: each arm's size, and its bad ones by metric."""

    name: str
    challenger: int
    control: int
    bad: dict[str, tuple[int, int]]


class Decision(Finite):
    """An outcome and its reasons, with all inputs needed to repeat it from the same rows.

    Beside the plan these are a canary's `start` and `at`, or a shadow's `refresh`.
    """

    plan: Sha256
    start: Start | None = None
    at: Position | None = None
    refresh: bool | None = None
    outcome: Outcome
    reasons: list[str]
    metrics: list[MetricResult]
    breakers: list[Breaker] = Field(default_factory=list)
    slices: list[SliceRates] = Field(default_factory=list)

    def metric(self, name: str) -> MetricResult:
        """The metric of this name."""
        return next(metric for metric in self.metrics if metric.name == name)


def plan_hash(config: RolloutConfig) -> Sha256:
    """The digest of a plan's values in a fixed order, independent of its file's layout."""
    values = config.model_dump(mode="json")
    return text_hash(json.dumps(values, sort_keys=True, separators=(",", ":")))


def round_digits(value: float) -> float:
    """Round to six digits, so that another machine's last bit makes no other decision record."""
    return float(f"{value:.6g}")
