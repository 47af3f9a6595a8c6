"""The config of reproduce: configs/reproduce.yaml."""

from pydantic import Field

from pipeline.shared.config.sections import StageConfig


class ReproduceConfig(StageConfig):
    """How far a rebuilt version may be from the recorded one and still be the same."""

    stage = "reproduce"
    prediction_tolerance: float = Field(gt=0, le=1e-2)
    figure_tolerance: float = Field(gt=0, le=1e-2)
