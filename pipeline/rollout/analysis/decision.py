"""What an analysis of a rollout is asked and what it answers; a record, so it can be made again."""

import json
from typing import Literal

from pydantic import ConfigDict, Field

from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import Record
from pipeline.shared.files import text_hash

Outcome = Literal["advance", "promote", "hold", "pause", "rollback", "inconclusive"]
"""What to do: next step; replace the champion; go on as it is; let a person look, with all traffic
back at the champion; the same for a bad challenger; over without an answer: champion stays."""


class Finite(Record):
    """A record without NaN and infinity: JSON has neither, so what is read is what was written."""

    model_config = ConfigDict(allow_inf_nan=False)


class Start(Finite):
    """What is frozen when a canary starts, beside its plan.

    `challenger` and `control` are the releases that should answer; `slow_seconds` is the champion's
    limit of a slow answer of before; `same_model` says that both releases hold the same model.
    """

    challenger: str = Field(min_length=1)
    control: str = Field(min_length=1)
    slow_seconds: float = Field(gt=0)
    same_model: bool = False


class Position(Finite):
    """When a canary is judged: its step, days since the start and the step's; is it running?"""

    step: int = Field(ge=0)
    days: float = Field(ge=0)
    days_at_step: float = Field(ge=0)
    alive: bool = True


class ArmSummary(Finite):
    """What one arm showed: how many were seen, and the bad ones among them or the mean."""

    of: int
    bad: int | None = None
    mean: float | None = None


class Metric(Finite):
    """One comparison of challenger and control, with the numbers that decided it.

    `estimate` is in `unit`, with an interval and a `p` that hold whenever a canary is looked at,
    and a shadow at its looks. It is `alarmed` where p is below `alpha` (0: reported only), and was
    so after `alarmed_at` of the challenger's requests. A rate's `events` are the challenger's and
    the control's: bad requests that share a cause are one. `seen` is what the smaller arm showed in
    this step (of a shadow: days), `enough` whether the step asks no more.
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
    """A limit that needs no sample size: trips as soon as more is found than allowed."""

    name: str
    found: int
    allowed: int
    tripped: bool


class SliceRates(Finite):
    """One group of requests, reported only: how many in each arm, and the bad ones by metric."""

    name: str
    challenger: int
    control: int
    bad: dict[str, tuple[int, int]]


class Decision(Finite):
    """What to do and why, with all that is needed to decide the same again from the same rows.

    A canary's `start` and `at`, or a shadow's `refresh`, are what was asked beside the plan.
    """

    plan: Sha256
    start: Start | None = None
    at: Position | None = None
    refresh: bool | None = None
    outcome: Outcome
    reasons: list[str]
    metrics: list[Metric]
    breakers: list[Breaker] = Field(default_factory=list)
    slices: list[SliceRates] = Field(default_factory=list)

    def metric(self, name: str) -> Metric:
        """The metric of this name."""
        return next(metric for metric in self.metrics if metric.name == name)


def plan_hash(config: RolloutConfig) -> Sha256:
    """The digest of a plan: of its values in a fixed order, whatever its file looks like."""
    values = config.model_dump(mode="json")
    return text_hash(json.dumps(values, sort_keys=True, separators=(",", ":")))


def rounded(value: float) -> float:
    """Six digits, so that another machine's last bit does not make another decision record."""
    return float(f"{value:.6g}")
