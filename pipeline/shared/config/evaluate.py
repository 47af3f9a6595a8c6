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
    """Bands that leave no hour out and share none."""
    if first_hours[:1] != [0] or any(a >= b for a, b in pairwise([*first_hours, 24])):
        raise ValueError("bands begin at 0 and rise to at most 23")
    return first_hours


class SliceRule(Section):
    """Which groups of flights may veto a promotion, and when."""

    hour_bands: Annotated[list[int], AfterValidator(_whole_day)]
    named_carriers: list[str]
    storm_share: Share
    min_positives: int = Field(gt=0)
    min_days: int = Field(gt=1)
    veto_point: float = Field(ge=0, le=0.05)


class RefreshRule(Section):
    """What a refresh, the champion's recipe on newer days, has to show against the champion.

    In nats of log loss: its mean at most `max_point` worse, surely not worse than `max_high`, and
    no slice surely worse than `max_slice_low`. Of a champion that has learned from all days but the
    judged ones, these are at least `min_days`.
    """

    min_days: int = Field(gt=0)
    max_point: float = Field(ge=-0.05, le=0.05)
    max_high: float = Field(ge=0, le=0.05)
    max_slice_low: float = Field(ge=0, le=0.05)


class Behaviour(Section):
    """A model's behaviour on known cases, apart from its accuracy."""

    rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    tolerance: float = Field(ge=0, le=1e-3)
    raises: dict[str, float]
    lowers: dict[str, float]
    calm_morning: dict[str, float]
    calm_morning_max: Share
    stormy_evening: dict[str, float]
    stormy_evening_min: Share


class EvaluateConfig(StageConfig):
    """The gate: the window it judges on, its statistics, its slices, its behavioural tests."""

    stage = "evaluate"
    window: Window
    min_days: int = Field(gt=0)
    max_data_age_days: float = Field(gt=0)
    bootstrap: Bootstrap
    slices: SliceRule
    refresh: RefreshRule
    max_refit_distance: Share
    behaviour: Behaviour
