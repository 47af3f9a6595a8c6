"""The config of reproduce: configs/reproduce.yaml."""

from pydantic import Field

from pipeline.shared.config.sections import StageConfig


class ReproduceConfig(StageConfig):
    """The tolerances within which a rebuilt version equals the recorded one."""

    stage = "reproduce"
    prediction_tolerance: float = Field(gt=0, le=1e-2)
    figure_tolerance: float = Field(gt=0, le=1e-2)
