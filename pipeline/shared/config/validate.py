"""The config of validate: configs/validate.yaml."""

from pydantic import Field

from pipeline.shared.config.sections import Month, Share, StageConfig


class ValidateConfig(StageConfig):
    """The limits of every use case's data gate; each adds those of its own rules."""

    stage = "validate"
    reference: list[Month] = Field(min_length=1)
    max_quarantined_share: Share
    max_quarantined_share_of_day: Share
