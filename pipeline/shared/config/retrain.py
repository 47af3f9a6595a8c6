"""The config of retrain: configs/retrain.yaml."""

from typing import Literal

from pydantic import Field

from pipeline.shared.config.sections import Day, Section, Share, StageConfig


class Budget(Section):
    """At most so many trainings within so many days."""

    trainings: int = Field(ge=1)
    days: int = Field(ge=1)


class Policy(Section):
    """The retraining policy: triggers, budget, cooldown; days are the simulated clock's."""

    check_weekday: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ]
    outcome_alert: bool
    max_age_days: int | None = Field(ge=7)
    max_fresh_labels: int | None = Field(gt=0)
    cooldown_days: int = Field(ge=0)
    retry_days: int = Field(ge=1)
    min_fresh_labels: int = Field(ge=0)
    refreshed_days: int = Field(ge=14)
    budget: Budget


class Guards(Section):
    """Guards on the training rows, beside the gate's checks of the model."""

    recent_days: int = Field(ge=7)
    min_coverage: Share
    min_complete: Share
    min_rows_a_day: float = Field(gt=0)
    max_staleness_ratio: float = Field(ge=1)


class RetrainConfig(StageConfig):
    """The training window, which follows the calendar, and the retraining policy."""

    stage = "retrain"
    first_training_day: Day
    window_days: int | None = Field(ge=28)
    holdout_days: int = Field(ge=7, le=62)
    online_share: Share
    policy: Policy
    guards: Guards
