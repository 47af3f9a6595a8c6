"""The config of ingest: configs/ingest.yaml."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, model_validator

from pipeline.shared.config.sections import Arrived, Month, Sha256, StageConfig


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone, as America/New_York is") from error
    return name


PUBLISHED = ("flights.csv.zip", "weather.csv", "airports.csv")
Zone = Annotated[str, AfterValidator(_known_zone)]


class IngestConfig(StageConfig):
    """The source of the published files, their digests, and the months that have arrived."""

    stage = "ingest"
    source: str
    as_of: Arrived
    first_month: Month
    files: dict[str, Sha256]
    airport_zones: dict[str, Zone]

    @model_validator(mode="after")
    def _is_complete(self) -> "IngestConfig":
        if set(self.files) != set(PUBLISHED):
            raise ValueError(f"files are {sorted(self.files)}, needed are {sorted(PUBLISHED)}")
        if self.first_month > self.as_of:
            raise ValueError(f"first_month {self.first_month} is after as_of {self.as_of}")
        return self
