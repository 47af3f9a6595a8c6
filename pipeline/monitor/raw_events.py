"""Raw events behind each feature of one flight, as known at T.

They come from the same tables as for training, up to the flight; features are not recomputed here.
"""

import datetime
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import FEATURES, REQUEST_KEY, ROLLING, VIEWS
from pipeline.features.on_demand import sources
from pipeline.features.point_in_time import as_of, historical
from pipeline.features.windows import NEVER, entity_names, instant, minutes
from pipeline.flights.features import AIRCRAFT, WEATHER
from pipeline.flights.names import flight_name
from pipeline.records.arrivals import read_until
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import Record
from pipeline.shared.domain import Event, Rolling
from pipeline.shared.errors import RequestUnknown

SCHEDULE = "schedule"
LAST = 3
"""How many source events are named: the last to become known."""


class RawEvent(Record):
    """A raw event: its entity (`of`), its values (`told`), and when they became known."""

    of: str
    told: dict[str, float | None]
    known_at: str


class SourceEvents(Record):
    """The source events of a value: the entity, the window, their number, and the last ones."""

    entity: str
    window: str
    events: int
    last: list[RawEvent]


@dataclass(frozen=True)
class FlightHistory:
    """All published flights and weather up to one flight, and that flight's request.

    `request` is its one row with every feature, by the offline join.
    """

    flights: pd.DataFrame
    views: dict[str, pd.DataFrame]
    requests: pd.DataFrame
    request: pd.DataFrame
    config: FeaturesConfig

    @cached_property
    def at(self) -> int:
        """T, in minutes since EPOCH."""
        return int(minutes(self.request["predict_at"])[0])

    @cached_property
    def outcomes(self) -> dict[str, Event]:
        """Every flight's outcome events, with the instants at which they became known."""
        return windows.outcomes(self.flights)

    @cached_property
    def entities(self) -> dict[str, tuple[str, np.ndarray]]:
        """For each view the flight's entity, and the mask of that entity's flights."""
        names = {view: str(entity_names(self.request, view).iloc[0]) for view in VIEWS}
        return {
            view: (name, (entity_names(self.requests, view) == name).to_numpy())
            for view, name in names.items()
        }

    def row(self, view: str) -> pd.Series | None:
        """The view's row that the flight joins; None if there is none."""
        found = as_of(self.views[view], entity_names(self.request, view), np.array([self.at]))[0]
        return None if found < 0 else self.views[view].iloc[found]


def load_history(flight: str) -> FlightHistory:
    """Load the history of a flight by its name: "2013-04-18/UA/1545/EWR".

    Raises:
        RequestUnknown: there is no such flight in the published year.
        DayUnknown: it lies beyond the published data.
    """
    day = pd.Timestamp(flight.partition("/")[0], tz=windows.ZONE)
    last = pd.Timestamp(day + pd.DateOffset(days=1)).tz_convert("UTC")
    return make_history(*read_until(last), flight)


def make_history(flights: pd.DataFrame, weather: pd.DataFrame, flight: str) -> FlightHistory:
    """Make the history of a flight from tables that reach it or beyond.

    Raises:
        RequestUnknown: there is no such flight in them.
    """
    date, carrier, number, origin = flight.split("/")
    day, config = pd.Timestamp(date), load(FeaturesConfig)
    requests = windows.requests(flights, config)
    key = (day.year, day.month, day.day, carrier, int(number), origin)
    same = [requests[name] == value for name, value in zip(REQUEST_KEY, key, strict=True)]
    mine = np.logical_and.reduce(same)
    if not mine.any():
        raise RequestUnknown(
            f"no flight {flight} among {len(flights):,} to {date}; a name is a New York date, "
            "carrier, number and origin: `make explain REQUEST=2013-04-18/UA/1545/EWR`"
        )
    views = windows.views(flights, weather, config)
    request = requests.iloc[np.flatnonzero(mine)[:1]].reset_index(drop=True)
    request = historical(request, views, config)
    return FlightHistory(flights, views, requests, request, config)


def view_of(feature: str) -> str:
    """The view of a feature's source events; the schedule for features of the request."""
    own = [rolling.view for rolling in ROLLING if rolling.name == feature]
    return next(iter(own or sources(feature)), SCHEDULE)


def source_events(known: FlightHistory, feature: str) -> SourceEvents | None:
    """The source events of a feature; None if nothing was known, or the schedule has it.

    Raises:
        ValueError: there is no such feature.
    """
    if feature not in FEATURES:
        raise ValueError(f"{feature!r} is not one of the {len(FEATURES)} features")
    for rolling in ROLLING:
        if rolling.name == feature:
            return _window(known, rolling)
    if feature in WEATHER:
        return _observation(known, feature)
    return _aircraft(known) if feature in AIRCRAFT else None


def _window(known: FlightHistory, rolling: Rolling) -> SourceEvents | None:
    """The flights whose outcome became known within the window of the joined row."""
    row = known.row(rolling.view)
    if row is None:
        return None
    entity, mine = known.entities[rolling.view]
    event, end = known.outcomes[rolling.value], int(row["available_at"])
    begin = end - 60 * rolling.hours
    inside = mine & (event.known != NEVER) & (event.known >= begin) & (event.known < end)
    places = np.flatnonzero(inside)
    newest = places[np.argsort(event.known[places], kind="stable")][::-1][:LAST]
    return SourceEvents(
        entity=entity,
        window=f"{_utc_text(begin)} to {_utc_text(end)}",
        events=len(places),
        last=[
            RawEvent(
                of=name_of(known.requests.iloc[place]),
                told={rolling.value: float(event.value[place])},
                known_at=_utc_text(int(event.known[place])),
            )
            for place in newest.tolist()
        ],
    )


def _observation(known: FlightHistory, feature: str) -> SourceEvents | None:
    row = known.row("weather")
    if row is None:
        return None
    at = _utc_text(int(row["known_at"]))
    entity = known.entities["weather"][0]
    window = f"{known.config.weather_hours} hours before T"
    seen = RawEvent(of=f"weather at {entity}", told={feature: number(row[feature])}, known_at=at)
    return SourceEvents(entity=entity, window=window, events=1, last=[seen])


def _aircraft(known: FlightHistory) -> SourceEvents | None:
    """The known departures and landings of the aircraft, the newest first."""
    entity, mine = known.entities["aircraft"]
    flown = known.flights[mine & bool(entity)]
    rows = []
    for what, column, delay in (
        ("left", "dep_utc", "dep_delay"),
        ("landed", "arr_utc", "arr_delay"),
    ):
        at = minutes(flown[column])
        for place in np.flatnonzero((at != NEVER) & (at < known.at)).tolist():
            name = name_of(flown.iloc[place])
            told = {delay: number(flown[delay].iloc[place])}
            rows.append(
                (
                    int(at[place]),
                    RawEvent(of=f"{name} {what}", told=told, known_at=_utc_text(at[place])),
                )
            )
    if not rows:
        return None
    newest = sorted(rows, key=lambda row: row[0], reverse=True)
    hours = known.config.aircraft_hours or 0
    window, oldest = f"{hours} hours before T", known.at - 60 * hours
    fresh = [seen for at, seen in newest if at >= oldest]
    return SourceEvents(entity=entity, window=window, events=len(fresh), last=fresh[:LAST])


def name_of(row: pd.Series) -> str:
    """The name of a row's flight."""
    day = datetime.date(row["year"], row["month"], row["day"])
    return flight_name(day, row["carrier"], row["flight"], row["origin"])


def number(value: object) -> float | None:
    """A value for JSON: None if it is missing."""
    found = float(value)  # type: ignore[arg-type]
    return None if np.isnan(found) else found


def _utc_text(minute: int) -> str:
    return f"{instant(int(minute)):%Y-%m-%d %H:%M}Z"
