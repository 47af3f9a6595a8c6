"""The published flights, weather and airports, as typed tables.

The columns are as published, plus instants in UTC; nothing is corrected here.
"""

import numpy as np
import pandas as pd

from pipeline.flights.events import ZONE
from pipeline.flights.tables import FLIGHT_KEY, WEATHER_KEY
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.domain import Tables
from pipeline.shared.errors import ConfigError, SourceRejected
from pipeline.shared.minutes import durations
from pipeline.shared.source import PublishedColumns, locate, parse_published, read_pinned

FLIGHTS_FILE, WEATHER_FILE, AIRPORTS_FILE = "flights.csv.zip", "weather.csv", "airports.csv"
PUBLISHED = (FLIGHTS_FILE, WEATHER_FILE, AIRPORTS_FILE)
_TEXT = frozenset("carrier tailnum origin dest time_hour faa name dst tzone".split())
_WHOLE = frozenset(
    "year month day sched_dep_time sched_arr_time flight distance hour minute".split()
)
FLIGHT_COLUMNS = (
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
    "flight tailnum origin dest air_time distance hour minute time_hour"
).split()
AIRPORT_COLUMNS = "faa name lat lon alt tz dst tzone".split()
WEATHER_COLUMNS = (
    "origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure "
    "visib time_hour"
).split()


def _minutes(clock_time: pd.Series) -> pd.Series:
    """Published clock times (hhmm as a number, 2400 for midnight) as a duration."""
    return durations(clock_time // 100 * 60 + clock_time % 100)


def _utc(local: pd.Series, zone: str) -> pd.Series:
    """Local times as UTC; a repeated time is the first of both, a skipped one moves forward."""
    first = np.ones(len(local), dtype=bool)
    local = local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    instants: pd.Series = local.dt.tz_convert("UTC")
    return instants


def with_instants(flights: pd.DataFrame, zones: dict[str, str]) -> pd.DataFrame:
    """Flights with their four instants in UTC.

    Departure clock times are New York's, arrival clock times the destination's and without a date:
    the arrival is the first such local time after the departure. Actual instants are the scheduled
    ones plus the published delay, never rebuilt from clock times.

    Raises:
        SourceRejected: a destination has no known time zone.
    """
    unknown = sorted(set(flights["dest"].astype(str)) - set(zones))
    if unknown:
        raise SourceRejected(
            f"{len(unknown)} destination(s) have no time zone: {unknown}; "
            "add them to zones in configs/ingest.yaml"
        )
    midnight = pd.to_datetime(flights[["year", "month", "day"]]).astype("datetime64[us]")
    departure = _utc(midnight + _minutes(flights["sched_dep_time"]), ZONE)
    arrival = pd.Series(pd.NaT, index=flights.index, dtype=departure.dtype)
    for zone, rows in flights.groupby(flights["dest"].map(zones)).groups.items():
        arrival.loc[rows] = _next_local(
            departure.loc[rows], flights.loc[rows, "sched_arr_time"], str(zone)
        )
    return flights.assign(
        sched_dep_utc=departure,
        sched_arr_utc=arrival,
        dep_utc=departure + durations(flights["dep_delay"]),
        arr_utc=arrival + durations(flights["arr_delay"]),
    )


def _next_local(after: pd.Series, clock_time: pd.Series, zone: str) -> pd.Series:
    day = after.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    candidate = day + _minutes(clock_time)
    same_day = _utc(candidate, zone)
    return same_day.where(same_day > after, _utc(candidate + pd.Timedelta(days=1), zone))


def parse_table(name: str, content: bytes, columns: list[str]) -> pd.DataFrame:
    """A published file as a table with exactly `columns`, of their types."""
    return parse_published(name, content, PublishedColumns(columns, _TEXT, _WHOLE))


def read_source(config: IngestConfig) -> Tables:
    """The published flights and weather as typed tables, each with its instants in UTC.

    Raises:
        ConfigError: configs/ingest.yaml names other files.
        SourceRejected: a file is not what was agreed.
    """
    if set(config.files) != set(PUBLISHED):
        raise ConfigError(
            f"configs/ingest.yaml: files are {sorted(config.files)}, needed are "
            f"{sorted(PUBLISHED)}; restore it with `git checkout configs/ingest.yaml`"
        )
    folder = locate(config.source)
    content = {n: read_pinned(folder, n, digest) for n, digest in config.files.items()}
    airports = parse_table(AIRPORTS_FILE, content[AIRPORTS_FILE], AIRPORT_COLUMNS)
    named = airports[["faa", "tzone"]].dropna()
    zones = dict(zip(named["faa"], named["tzone"], strict=True)) | config.zones
    flights = parse_table(FLIGHTS_FILE, content[FLIGHTS_FILE], FLIGHT_COLUMNS)
    weather = parse_table(WEATHER_FILE, content[WEATHER_FILE], WEATHER_COLUMNS)
    try:
        flights = with_instants(flights, zones)
        observed = pd.to_datetime(weather["time_hour"], utc=True, format="%Y-%m-%dT%H:%M:%SZ")
        observed = observed.astype("datetime64[us, UTC]")
    except (ValueError, OverflowError) as error:
        raise SourceRejected(
            f"one of {len(flights):,} flights or {len(weather):,} weather hours makes no instant: "
            f"{error}; correct the file at its source"
        ) from error
    return {
        "flights": flights.sort_values(FLIGHT_KEY, kind="stable"),
        "weather": weather.assign(observed_utc=observed).sort_values(WEATHER_KEY, kind="stable"),
    }
