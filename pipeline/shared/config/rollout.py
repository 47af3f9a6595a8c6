"""The config of rollout: configs/rollout.yaml."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.shared.config.sections import Alpha, Section, StageConfig


class PassMargin(Section):
    """Non-inferiority margins in log loss (nats): for a refresh, and for a change."""

    refresh: float = Field(ge=0, le=0.05)
    change: float = Field(ge=0, le=0.05)


class ShadowPlan(Section):
    """A shadow's interim analyses, by days with labels, and its margins of log loss in nats."""

    looks: list[Annotated[int, Field(ge=3)]] = Field(min_length=1)
    rollback_margin: float = Field(ge=0, le=0.05)
    rollback_alpha: Alpha
    pass_margin: PassMargin
    pass_alpha: Alpha
    min_pairs: int = Field(gt=0)
    errors_alpha: Alpha

    @model_validator(mode="after")
    def _looks_rise(self) -> "ShadowPlan":
        if any(a >= b for a, b in pairwise(self.looks)):
            raise ValueError(f"looks {self.looks} do not rise")
        return self


class CanaryStep(Section):
    """A share of traffic in percent, held for days and for requests of each arm."""

    set_weight: int = Field(gt=0, le=50)
    days: float = Field(ge=0)
    min_requests: int = Field(gt=0)


class Guardrail(Section):
    """A guarded rate: its part of alpha, and its maximum ratio to the baseline's.

    Bad requests that begin within `stall_seconds` of one another share a cause, and are one event.
    """

    alpha: Alpha
    max_ratio: float = Field(ge=1, le=10)
    required: bool
    stall_seconds: float = Field(ge=0, le=60)


class Guardrails(Section):
    """Every rate that is compared between challenger and baseline."""

    errors: Guardrail
    slow: Guardrail
    missing: Guardrail
    stale: Guardrail
    fallback: Guardrail


class ScoreGuard(Section):
    """The mean risk, for a redeploy of the same model; requests are those of one arm."""

    alpha: Alpha
    sharpest_at: int = Field(gt=0)
    min_requests: int = Field(ge=30)


class SampleRatio(Section):
    """The sample-ratio test of an equal split; `concentration`: the prior's weight in requests."""

    alpha: Alpha
    concentration: float = Field(ge=1)


class Failing(Section):
    """`failed` failures among `of` consecutive requests."""

    failed: int = Field(gt=0)
    of: int = Field(gt=0)

    @model_validator(mode="after")
    def _can_happen(self) -> "Failing":
        if self.failed > self.of:
            raise ValueError(f"{self.failed} failures are more than {self.of} requests")
        return self


class InARow(Section):
    """`bad` consecutive bad requests of the challenger, over `seconds` or longer.

    It counts only if at most a share `control_bad` of the baseline's requests meanwhile is bad.
    """

    bad: int = Field(gt=1)
    seconds: float = Field(ge=0, le=3600)
    control_bad: float = Field(ge=0, lt=1)


class Resources(Section):
    """How much more of the machine a challenger's process may use than the baseline's.

    Memory in MB, log in kB, processor time in ms a request from `min_requests` on.
    """

    memory: int = Field(gt=0)
    files: int = Field(gt=0)
    threads: int = Field(gt=0)
    processor: int = Field(gt=0)
    min_requests: int = Field(ge=10)
    log: int = Field(gt=0)


class Breakers(Section):
    """Circuit breakers, which stop a canary at once, without a minimum sample."""

    failing: Failing
    in_a_row: InARow
    invalid_allowed: int = Field(ge=0)
    parity_tolerance: float = Field(gt=0, le=1e-3)
    parity_allowed: int = Field(ge=0)
    resources: Resources


class Unlogged(Section):
    """The tolerated responses of an arm without a log row: a number, or a share."""

    fewest: int = Field(ge=0)
    share: float = Field(ge=0, lt=1)


class CanaryPlan(Section):
    """A canary's steps, guardrails and breakers, and its time limit."""

    steps: list[CanaryStep] = Field(min_length=1)
    fast_track: list[CanaryStep] = Field(min_length=1)
    max_days: float = Field(gt=0)
    look_every: int = Field(gt=0)
    total_alpha: Alpha
    guardrails: Guardrails
    score: ScoreGuard
    sample_ratio: SampleRatio
    breakers: Breakers
    unlogged: Unlogged
    max_run: int = Field(ge=30)
    slices: list[str]
    bake_days: float = Field(ge=0)
    cooldown_days: float = Field(ge=0)

    @property
    def alphas(self) -> dict[str, float]:
        """Each alarm's false-positive rate."""
        rates = {name: getattr(self.guardrails, name).alpha for name in Guardrails.model_fields}
        return {**rates, "score": self.score.alpha, "sample_ratio": self.sample_ratio.alpha}

    @model_validator(mode="after")
    def _spends_no_more_than_it_has(self) -> "CanaryPlan":
        spent = round(sum(self.alphas.values()), 12)
        if spent > self.total_alpha:
            raise ValueError(f"the alphas add up to {spent}, total_alpha is {self.total_alpha}")
        return self

    @model_validator(mode="after")
    def _steps_rise_and_fit(self) -> "CanaryPlan":
        for steps in (self.steps, self.fast_track):
            weights = [step.set_weight for step in steps]
            if any(a >= b for a, b in pairwise(weights)):
                raise ValueError(f"the steps' weights {weights} do not rise")
            if (days := sum(step.days for step in steps)) > self.max_days:
                raise ValueError(f"the steps take {days} days, max_days is {self.max_days}")
        return self


class RolloutConfig(StageConfig):
    """The plan of a rollout, fixed before it starts: a shadow, then a canary in steps."""

    stage = "rollout"
    shadow: ShadowPlan
    canary: CanaryPlan

    def on_fast_track(self) -> "RolloutConfig":
        """The plan for a refresh close to the champion, with the fast track's steps."""
        steps = {"steps": self.canary.fast_track}
        return self.model_copy(update={"canary": self.canary.model_copy(update=steps)})
