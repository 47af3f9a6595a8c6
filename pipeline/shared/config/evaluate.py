"""The config of evaluate: configs/evaluate.yaml."""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.shared.config.sections import Section, Share, StageConfig, Window


class Bootstrap(Section):
    """The day-clustered bootstrap behind every interval of the gate."""

    draws: int = Field(ge=200)
    seed: int = Field(ge=0)
    confidence: float = Field(gt=0.5, lt=1)


def _whole_day(first_hours: list[int]) -> list[int]:
    """Check that bands cover the day without a gap or overlap."""
    if first_hours[:1] != [0] or any(a >= b for a, b in pairwise([*first_hours, 24])):
        raise ValueError("bands begin at 0 and rise to at most 23")
    return first_hours


class HourBands(Section):
    """The parts of the day that are slices, by the hours at which they begin."""

    hour_bands: Annotated[list[int], AfterValidator(_whole_day)]


class SliceLimits(Section):
    """The limits of a slice that may veto a promotion."""

    min_positives: int = Field(gt=0)
    min_days: int = Field(gt=1)
    veto_point: float = Field(ge=0, le=0.05)


class SliceRule(SliceLimits, HourBands):
    """The slices that may veto a promotion, and their limits; a use case may add its own keys."""


class RefreshRule(Section):
    """The limits of a refresh, the champion's training configuration on newer days.

    In nats of log loss against the champion: the mean is at most `max_point` worse, the interval's
    upper bound at most `max_high`, and no slice's lower bound above `max_slice_low`. For a
    champion trained on all days but the evaluated ones, these are at least `min_days`.
    """

    min_days: int = Field(gt=0)
    max_point: float = Field(ge=-0.05, le=0.05)
    max_high: float = Field(ge=0, le=0.05)
    max_slice_low: float = Field(ge=0, le=0.05)


class Behaviour(Section):
    """Behavioural tests: a model's predictions on known cases, apart from its accuracy."""

    rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    tolerance: float = Field(ge=0, le=1e-3)
    raises: dict[str, float]
    lowers: dict[str, float]
    calm_morning: dict[str, float] = Field(default={})
    calm_morning_max: Share = 1.0
    stormy_evening: dict[str, float] = Field(default={})
    stormy_evening_min: Share = 0.0


class EvaluateConfig(StageConfig):
    """The gate: its evaluation window, statistics, slices and behavioural tests."""

    stage = "evaluate"
    window: Window
    min_days: int = Field(gt=0)
    max_data_age_days: float = Field(gt=0)
    bootstrap: Bootstrap
    slices: SliceRule
    refresh: RefreshRule
    max_refit_distance: Share
    behaviour: Behaviour
