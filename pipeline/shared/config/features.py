"""The config of features: configs/features.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.shared.config.sections import StageConfig

PositiveHours = Annotated[int, Field(gt=0)]
Shrinkage = dict[str, Annotated[float, Field(gt=0)]]


class FeaturesConfig(StageConfig):
    """Settings of the features: horizon, windows, priors.

    The use case adds what small groups are shrunk by, and the lifetimes of its views.
    """

    stage = "features"
    horizon_minutes: int = Field(gt=0, le=24 * 60)
    grid_minutes: int = Field(gt=0, le=60)
    baseline_days: int = Field(gt=0)
    prior: dict[str, float]
