"""The config of ingest: configs/ingest.yaml."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from pipeline.shared.config.sections import Arrived, Month, Sha256, StageConfig


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone, as America/New_York is") from error
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


class IngestConfig(StageConfig):
    """The source of the published files, their digests, and the months that have arrived.

    `zones` are the time zones of places that the published files lack.
    """

    stage = "ingest"
    source: str
    as_of: Arrived
    first_month: Month
    files: dict[str, Sha256]
    zones: dict[str, Zone] = Field(default={})

    @model_validator(mode="after")
    def _in_order(self) -> "IngestConfig":
        if self.first_month > self.as_of:
            raise ValueError(f"first_month {self.first_month} is after as_of {self.as_of}")
        return self
