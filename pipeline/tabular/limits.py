"""The limits in the rules of declared tables: configs/validate.yaml."""

from pydantic import Field

from pipeline.shared.config.sections import Positive, Range, Share
from pipeline.shared.config.validate import ValidateConfig


class TableLimits(ValidateConfig):
    """The limits in the rules that a snapshot of a declared table must pass."""

    rows: Range
    max_hours_to_month_end: Positive
    label_share: Range
    ranges: dict[str, Range] = Field(default={})
    max_missing_share: dict[str, Share] = Field(default={})
    max_divergence: dict[str, Positive] = Field(default={})
    unseen_share: float = Field(default=0.001, gt=0, lt=1)
    max_mean_shift: dict[str, Positive] = Field(default={})
    max_spread_ratio: float = Field(default=4.0, gt=1)
