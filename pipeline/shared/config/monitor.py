"""The config of monitor: configs/monitor.yaml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.shared.config.sections import (
    Alpha,
    Positive,
    Section,
    Share,
    StageConfig,
    Window,
    in_order,
)


class Trailing(Section):
    """Drift detection: trailing windows, and how long drift must persist for an alert."""

    window_days: int = Field(ge=7, le=92)
    min_days: int = Field(ge=1)
    every_days: int = Field(ge=1)
    persist_looks: int = Field(ge=1)
    block_days: int = Field(ge=1)
    draws: int = Field(ge=200)
    family_alpha: Alpha
    seed: int = Field(ge=0)


class OddRequests(Section):
    """The tolerated implausible requests: a number, or a share of all rows."""

    fewest: int = Field(ge=0)
    share: float = Field(ge=0, lt=1)

    def allowed(self, rows: int) -> int:
        """The tolerated number among `rows`."""
        return max(self.fewest, int(self.share * rows))


class DataQualityLimits(Section):
    """Limits of the data-quality checks on served rows, which precede drift tests."""

    odd_requests: OddRequests

    max_missing_rise: Share
    max_unseen_share: Share
    min_share_of_reference_day: Share


class MembershipParameters(Section):
    """Parameters of the domain classifier that separates two windows."""

    max_iter: int = Field(gt=0)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)


class Diagnosis(Section):
    """The decomposition of a change in loss, and the limits of its claims."""

    membership: MembershipParameters
    max_rows: int = Field(ge=1_000)
    folds: int = Field(ge=2, le=10)
    draws: int = Field(ge=200)
    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0)
    min_effective_share: Share
    min_separation: float = Field(ge=0.5, le=1)
    margin: float = Field(ge=0, le=0.1)
    gain_days: int = Field(ge=5)


class OutcomeRule(Section):
    """Model performance: when labels suffice, their plausibility, and the alert's limits.

    Losses are in nats. `min_agreement` is that of labels with the proxy, by group and week of at
    least `agreement_min_rows`; `min_balanced_agreement` is its mean over rows whose proxy is 1 and
    those whose is 0, with `agreement_min_each` of both.
    """

    window_days: int = Field(ge=2, le=92)
    min_days: int = Field(ge=2)
    min_coverage: float = Field(gt=0.5, le=1)
    max_excess_loss: float = Field(gt=0, le=1)
    max_gap: float = Field(gt=0, le=1)
    max_labels_age_hours: float = Field(gt=0)
    slice_alpha: Alpha
    agreement_min_rows: int = Field(ge=10)
    min_agreement: Share
    agreement_min_each: int = Field(ge=5)
    min_balanced_agreement: Share

    @model_validator(mode="after")
    def _window_holds_its_days(self) -> "OutcomeRule":
        if self.min_days > self.window_days:
            raise ValueError(f"min_days {self.min_days} is above window_days {self.window_days}")
        return self


class Burn(Section):
    """A burn rate of the error budget, over a long window and a short one."""

    rate: float = Field(gt=1)
    long_minutes: int = Field(gt=0)
    short_minutes: int = Field(gt=0)

    @model_validator(mode="after")
    def _looks_back_in_order(self) -> "Burn":
        if self.short_minutes >= self.long_minutes:
            raise ValueError(
                f"short_minutes {self.short_minutes} is not below long_minutes {self.long_minutes}"
            )
        return self


HourOfDay = Annotated[int, Field(ge=0, le=24)]


class Objectives(Section):
    """Service-level objectives, and the limits of the other operational alerts."""

    availability: float = Field(gt=0, lt=1)
    budget_days: int = Field(gt=0, le=90)
    fast: Burn
    slow: Burn
    min_failures: int = Field(gt=0)
    latency_ms: Literal[10, 25, 50, 100, 250, 500, 1000, 2500]
    latency_share: float = Field(gt=0, lt=1)
    silent_minutes: int = Field(gt=0)
    busy_hours: Annotated[tuple[HourOfDay, HourOfDay], AfterValidator(in_order)]
    max_missing_share: Share
    max_stale_share: Share
    max_waiting_share: Share
    max_model_age_days: Positive
    max_job_age_hours: Positive

    @model_validator(mode="after")
    def _can_be_missed(self) -> "Objectives":
        """Refuse a burn rate above 100% failures: its alert could never fire."""
        for name in ("fast", "slow"):
            if (share := getattr(self, name).rate * (1 - self.availability)) >= 1:
                raise ValueError(
                    f"{name}.rate asks for {share:.0%} failures, at most 100% of requests can fail"
                )
        return self


class MonitorConfig(StageConfig):
    """The monitored window, the limits of drift and model performance, and the SLOs."""

    stage = "monitor"
    window: Window
    prediction_warn: float = Field(gt=0)
    prediction_alert: float = Field(gt=0)
    tripwire_warn: float = Field(gt=0)
    tripwire_alert: float = Field(gt=0)
    trailing: Trailing
    tripwires: DataQualityLimits
    diagnosis: Diagnosis
    html: Literal["full", "none"]
    outcome: OutcomeRule
    slo: Objectives

    @model_validator(mode="after")
    def _warns_before_it_alerts(self) -> "MonitorConfig":
        for group in ("prediction", "tripwire"):
            warn, alert = getattr(self, f"{group}_warn"), getattr(self, f"{group}_alert")
            if warn > alert:
                raise ValueError(f"{group}_warn {warn} is above {group}_alert {alert}")
        return self
