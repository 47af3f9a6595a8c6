"""Parts that all stages' configs share: days, shares, windows, and no unknown key."""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


def _on_the_calendar(day: str) -> str:
    date.fromisoformat(day)
    return day


Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_on_the_calendar)]


def _month_or_day(arrived: str) -> str:
    return arrived if len(arrived) == 7 else _on_the_calendar(arrived)


Arrived = Annotated[
    str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])(-\d\d)?$"), AfterValidator(_month_or_day)
]
"""The data that have arrived: up to a whole month, or up to a day of it."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a config: frozen, without unknown keys or infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


REGISTRY = {"tracking_url": "PIPELINE_TRACKING_URL", "artifacts_url": "PIPELINE_ARTIFACTS_URL"}
"""Environment variables that override the registry's addresses in its config."""


class StageConfig(Section):
    """The whole of one configs/<stage>.yaml."""

    stage: ClassVar[str]
    environment: ClassVar[dict[str, str]] = {}
    """Keys with the environment variable that overrides them, if it is set and not empty."""


class Window(Section):
    """Events from the first day to the last, both included (local dates)."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.first > self.last:
            raise ValueError(f"first {self.first} is after last {self.last}")
        return self


Positive = Annotated[float, Field(gt=0)]


def in_order(limits: tuple[float, float]) -> tuple[float, float]:
    """Refuse limits whose lower one is above the upper one."""
    if limits[0] > limits[1]:
        raise ValueError(f"lower limit {limits[0]} is above upper limit {limits[1]}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(in_order)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]
