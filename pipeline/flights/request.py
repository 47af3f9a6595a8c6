"""The request for flights that a caller sends, and its conversion to the online store's columns.

A prediction is made at T, the scheduled departure less the horizon, as in training; a caller cannot
choose it. No data frame is built here, for speed; a test compares this with training's path.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pipeline.flights.events import ZONE
from pipeline.flights.features import ENTITIES
from pipeline.flights.names import flight_name
from pipeline.shared.minutes import EPOCH

_NEW_YORK = ZoneInfo(ZONE)
_FROM = EPOCH.to_pydatetime()
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:00(\.0{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
EARLIEST, LATEST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Limits of scheduled departures: no data before the first, no need after the last."""


def _instant(value: object) -> datetime:
    """Parse an instant with its zone, in whole minutes, as in a schedule."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("an instant of a whole minute is wanted, as 2013-04-18T08:30-04:00 is")
    instant = datetime.fromisoformat(value)  # raises for a date that does not exist
    local = instant.replace(tzinfo=None)
    if not EARLIEST.replace(tzinfo=None) < local < LATEST.replace(tzinfo=None):
        raise ValueError(f"a scheduled departure is within {EARLIEST:%Y} and {LATEST:%Y}")
    return instant


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2013-04-18T08:30-04:00"]}
    ),
]


def _whole(value: object) -> object:
    """Take 908.0 as a whole number, as JSON and JSON Schema do."""
    return int(value) if type(value) is float and value.is_integer() else value


class Flight(BaseModel):
    """One scheduled flight; `tailnum` is the aircraft, once known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    carrier: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$", examples=["UA"])]
    flight: Annotated[int, Field(ge=1, le=9_999, examples=[1545]), BeforeValidator(_whole)]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["IAH"])]
    scheduled_departure: Instant
    block_minutes: Annotated[int, Field(ge=10, le=1_440, examples=[227]), BeforeValidator(_whole)]
    distance: Annotated[int, Field(ge=10, le=6_000, examples=[1400]), BeforeValidator(_whole)]
    tailnum: Annotated[str, Field(pattern=r"^[A-Z0-9]{0,8}$", examples=["N14228"])] | None = None


class PredictRequest(BaseModel):
    """The body of `/predict`: one flight or more."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    flights: Annotated[list[Flight], Field(min_length=1)]


def flight_id(flight: Flight) -> str:
    """The flight's name, as in the request log."""
    day = flight.scheduled_departure.astimezone(_NEW_YORK).date()
    return flight_name(day, flight.carrier, flight.flight, flight.origin)


def predict_at(flight: Flight, horizon_minutes: int) -> int:
    """T, in minutes since EPOCH."""
    return int((flight.scheduled_departure - _FROM).total_seconds()) // 60 - horizon_minutes


def request_rows(flights: Sequence[Flight], horizon_minutes: int) -> dict[str, list[Any]]:
    """Flights as the store's columns: keys, REQUEST, `predict_at`."""
    local = [flight.scheduled_departure.astimezone(_NEW_YORK) for flight in flights]
    derived = {"sched_hour": [at.hour for at in local]}
    keys = dict.fromkeys(name for names in [*ENTITIES.values(), ["tailnum"]] for name in names)
    return {
        "system": ["all"] * len(local),
        **{key: derived.get(key) or [getattr(f, key) or "" for f in flights] for key in keys},
        "sched_minute": [at.hour * 60 + at.minute for at in local],
        "day_of_week": [at.weekday() for at in local],
        "distance": [flight.distance for flight in flights],
        "block_minutes": [flight.block_minutes for flight in flights],
        "predict_at": [predict_at(flight, horizon_minutes) for flight in flights],
    }
