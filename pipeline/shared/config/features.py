"""The config of features: configs/features.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.shared.config.sections import StageConfig


class FeaturesConfig(StageConfig):
    """Settings of the features: horizon, windows, shrinkage, lifetimes."""

    stage = "features"
    horizon_minutes: int = Field(gt=0, le=24 * 60)
    grid_minutes: int = Field(gt=0, le=60)
    baseline_days: int = Field(gt=0)
    shrink_flights: dict[str, Annotated[float, Field(gt=0)]]
    aircraft_hours: int | None = Field(default=None, gt=0)
    weather_hours: int | None = Field(default=None, gt=0)
    prior: dict[str, float]
