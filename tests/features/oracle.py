"""A slow oracle: one flight, one feature, straight from the specification and from raw rows.

It imports nothing of pipeline.features: whatever it agrees on, two separate readings agree on. A
window's meaning is read from its name, as "route_late_14d"; every other feature has its own words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HORIZON, GRID, BASELINE = 120 * MINUTE, "15min", 28 * DAY
SHRINK = {
    "system": 5,
    "origin": 5,
    "carrier": 5,
    "origin_carrier": 5,
    "destination": 5,
    "route": 10,
    "hour": 20,
}
PRIOR = {"dep_late": 0.2, "dep_delay": 12.0, "late": 0.25, "arr_delay": 7.0}
ENTITY = {
    "system": [],
    "origin": ["origin"],
    "carrier": ["carrier"],
    "destination": ["dest"],
    "origin_carrier": ["origin", "carrier"],
    "route": ["origin", "dest"],
    "hour": ["hour_ny"],
}
REQUEST = "sched_minute day_of_week distance block_minutes".split()
WEATHER = "humid wind_dir wind_speed wind_gust precip visib precip_3h pressure_change_3h".split()
AIRCRAFT = (
    "aircraft_arr_delay aircraft_age aircraft_slack aircraft_dep_delay aircraft_airborne".split()
)
KNOWN_AT = [f"{view}_known_at" for view in [*ENTITY, "weather", "aircraft"]]


def window_of(name: str) -> tuple[str, str, str] | None:
    """A window's view, outcome and span, by its name; None for what is no window."""
    view = max((v for v in ENTITY if name.startswith(f"{v}_")), key=len, default="")
    value, _, span = name.removeprefix(f"{view}_").rpartition("_")
    return (view, value, span) if view and value in PRIOR and span[:-1].isdecimal() else None


def knows(name: str) -> bool:
    """Whether the oracle can say what a feature is."""
    return name in [*REQUEST, *WEATHER, *AIRCRAFT] or window_of(name) is not None


def outcomes(flights: pd.DataFrame) -> pd.DataFrame:
    """The raw flights, and for each of the four outcomes its value and when it became known."""
    dep, arr = flights["dep_utc"], flights["arr_utc"]
    return flights.astype(
        dict.fromkeys(["carrier", "origin", "dest", "tailnum"], "category")
    ).assign(
        hour_ny=flights["sched_dep_time"] // 100 % 24,
        dep_late=((flights["dep_delay"] >= 15) | flights["dep_delay"].isna()).astype("float64"),
        late=((flights["arr_delay"] >= 15) | flights["arr_delay"].isna()).astype("float64"),
        dep_late_known=_earlier(dep, flights["sched_dep_utc"] + 15 * MINUTE),
        late_known=_earlier(arr, flights["sched_arr_utc"] + 15 * MINUTE),
        dep_delay_known=dep,
        arr_delay_known=arr,
    )


def _earlier(happened: pd.Series, latest: pd.Series) -> pd.Series:
    return happened.where(happened < latest, latest)


@dataclass
class Oracle:
    """What was known of raw `flights` (as `outcomes` gives them) and `weather` at an instant.

    A view knows something while any window of `features` on it holds a flight.
    """

    flights: pd.DataFrame
    weather: pd.DataFrame
    features: Iterable[str]

    def value(self, flight: pd.Series, name: str) -> float | pd.Timestamp:
        """A feature, or a view's `known_at`, of one flight; NaN or NaT where there is none."""
        at = flight["sched_dep_utc"] - HORIZON
        if window := window_of(name):
            return self._rolling(flight, at, *window)
        if name in WEATHER or name == "weather_known_at":
            return self._weather(flight["origin"], at, name)
        if name in AIRCRAFT or name == "aircraft_known_at":
            return self._aircraft(flight, at, name)
        if name in KNOWN_AT:
            return self._newest(flight, at, name.removesuffix("_known_at"))
        return _from_schedule(flight, name)

    def _rolling(
        self, flight: pd.Series, at: pd.Timestamp, view: str, value: str, span: str
    ) -> float:
        grid, known = at.floor(GRID), f"{value}_known"
        window = _length(span)
        rows = self.flights[[value, known, *ENTITY[view]]]
        everyone = rows[(rows[known] >= grid - BASELINE) & (rows[known] < grid)]
        mine = _of(flight, everyone[everyone[known] >= grid - window], view)
        mean = everyone[value].mean() if len(everyone) else PRIOR[value]
        return (mine[value].sum() + SHRINK[view] * mean) / (len(mine) + SHRINK[view])

    def _newest(self, flight: pd.Series, at: pd.Timestamp, view: str) -> pd.Timestamp:
        """Of every outcome that the view looks at; none if each of its windows is empty."""
        grid, mine = at.floor(GRID), _of(flight, self.flights, view)
        windows = [window for name in self.features if (window := window_of(name))]
        lengths = [(f"{value}_known", _length(span)) for of, value, span in windows if of == view]
        if view == "system":
            lengths += [(f"{value}_known", BASELINE) for value in PRIOR]
        if not any(((mine[k] >= grid - length) & (mine[k] < grid)).any() for k, length in lengths):
            return pd.NaT
        known = mine[list(dict(lengths))]
        return known.where(known < grid).max().max()

    def _weather(self, origin: str, at: pd.Timestamp, name: str) -> float | pd.Timestamp:
        rows = self.weather[(self.weather["origin"] == origin).to_numpy()]
        known = rows["observed_utc"] + HOUR
        if not (known < at).any():
            return pd.NaT if name == "weather_known_at" else np.nan
        hour = rows.loc[known < at, "observed_utc"].max()
        if at - (hour + HOUR) > 6 * HOUR:
            return pd.NaT if name == "weather_known_at" else np.nan
        if name == "weather_known_at":
            return hour + HOUR
        if name == "precip_3h":
            three = rows["observed_utc"].isin([hour, hour - HOUR, hour - 2 * HOUR])
            return rows.loc[three, "precip"].sum()
        if name == "pressure_change_3h":
            return _at(rows, hour, "pressure") - _at(rows, hour - 3 * HOUR, "pressure")
        value = _at(rows, hour, name)
        return 0.0 if name == "wind_gust" and np.isnan(value) else value

    def _aircraft(self, flight: pd.Series, at: pd.Timestamp, name: str) -> float | pd.Timestamp:
        nothing = pd.NaT if name == "aircraft_known_at" else np.nan
        if pd.isna(flight["tailnum"]):
            return nothing
        legs = self.flights[(self.flights["tailnum"] == flight["tailnum"]).to_numpy()]
        events = [(leg.dep_utc, 1, leg) for leg in legs.itertuples() if leg.dep_utc < at]
        landings = [(leg.arr_utc, 0, leg) for leg in legs.itertuples() if leg.arr_utc < at]
        if name in ("aircraft_arr_delay", "aircraft_age"):
            events = landings
        events += landings
        if not events:
            return nothing
        when, airborne, leg = max(events, key=lambda event: event[:2])
        if at - when > DAY:
            return nothing
        ready = leg.dep_utc + (leg.sched_arr_utc - leg.sched_dep_utc) if airborne else when
        return {
            "aircraft_known_at": when,
            "aircraft_dep_delay": leg.dep_delay,
            "aircraft_airborne": airborne,
            "aircraft_slack": (flight["sched_dep_utc"] - ready) / MINUTE,
            "aircraft_arr_delay": leg.arr_delay,
            "aircraft_age": (at - when) / MINUTE,
        }[name]


def _length(span: str) -> timedelta:
    return int(span[:-1]) * (DAY if span.endswith("d") else HOUR)


def _of(flight: pd.Series, rows: pd.DataFrame, view: str) -> pd.DataFrame:
    """The rows of the flight's entity in a view."""
    for column in ENTITY[view]:
        rows = rows[rows[column] == flight[column]]
    return rows


def _at(rows: pd.DataFrame, hour: pd.Timestamp, column: str) -> float:
    found = rows.loc[rows["observed_utc"] == hour, column]
    return found.iloc[-1] if len(found) else np.nan


def _from_schedule(flight: pd.Series, name: str) -> float:
    hour, minute = divmod(int(flight["sched_dep_time"]), 100)
    date = pd.Timestamp(year=flight["year"], month=flight["month"], day=flight["day"])
    return {
        "sched_minute": hour % 24 * 60 + minute,
        "day_of_week": (date + DAY * (hour // 24)).dayofweek,
        "distance": flight["distance"],
        "block_minutes": (flight["sched_arr_utc"] - flight["sched_dep_utc"]) / MINUTE,
    }[name]


def flight(scheduled: str, delay: float = 0, arrival_delay: float = 0, **changes: object) -> dict:
    """A raw flight by hand, scheduled at a UTC instant of 2013; a delay of NaN never happened."""
    departure = pd.Timestamp(f"2013-{scheduled}", tz="UTC")
    arrival, local = departure + 2 * HOUR, departure.tz_convert("America/New_York")
    return {
        "year": local.year,
        "month": local.month,
        "day": local.day,
        "flight": 1,
        "carrier": "UA",
        "origin": "EWR",
        "dest": "ORD",
        "tailnum": "N0",
        "distance": 719,
        "air_time": 105.0,
        "hour": local.hour,
        "minute": local.minute,
        "time_hour": f"{departure.floor('h'):%Y-%m-%dT%H:%M:%SZ}",
        "sched_dep_time": local.hour * 100 + local.minute,
        "sched_arr_time": _clock(arrival),
        "dep_time": _clock(departure + pd.to_timedelta(delay, unit="min")),
        "arr_time": _clock(arrival + pd.to_timedelta(arrival_delay, unit="min")),
        "sched_dep_utc": departure,
        "sched_arr_utc": arrival,
        "dep_delay": delay,
        "arr_delay": arrival_delay,
        "dep_utc": departure + pd.to_timedelta(delay, unit="min"),
        "arr_utc": arrival + pd.to_timedelta(arrival_delay, unit="min"),
    } | changes


def _clock(instant: pd.Timestamp) -> float:
    local = instant.tz_convert("America/New_York")
    return local.hour * 100 + local.minute if pd.notna(instant) else np.nan


def flights(*rows: dict) -> pd.DataFrame:
    """A raw table of such flights."""
    happened = ["dep_delay", "arr_delay", "dep_time", "arr_time"]
    table = pd.DataFrame(list(rows)).astype(dict.fromkeys(happened, "float64"))
    instants = ["sched_dep_utc", "sched_arr_utc", "dep_utc", "arr_utc"]
    return table.assign(
        **{i: pd.to_datetime(table[i], utc=True).dt.as_unit("us") for i in instants}
    )


def weather(*hours: str, **columns: object) -> pd.DataFrame:
    """A raw table of weather at EWR, observed at UTC hours of 2013."""
    calm = {"temp": 60.0, "dewp": 45.0, "humid": 50.0}
    calm |= {"wind_dir": 0.0, "wind_speed": 5.0, "wind_gust": np.nan}
    dry = {"precip": 0.0, "visib": 10.0, "pressure": 1000.0}
    observed = pd.to_datetime([f"2013-{hour}" for hour in hours], utc=True).as_unit("us")
    local = observed.tz_convert("America/New_York")
    date = {"year": local.year, "month": local.month, "day": local.day, "hour": local.hour}
    text = {"time_hour": observed.strftime("%Y-%m-%dT%H:%M:%SZ")}
    whole = {"origin": "EWR", "observed_utc": observed} | date | text | calm | dry
    return pd.DataFrame(whole | columns)
