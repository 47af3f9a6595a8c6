"""The published files: located, verified by digest, and read as typed tables.

The columns are as published, plus instants in UTC; nothing is corrected here.
"""

import importlib.util
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.shared.config.ingest import PUBLISHED, IngestConfig
from pipeline.shared.contracts import FLIGHT_KEY, WEATHER_KEY, Table
from pipeline.shared.errors import SourceRejected
from pipeline.shared.files import bytes_hash

FLIGHTS_FILE, WEATHER_FILE, AIRPORTS_FILE = PUBLISHED
_TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour", "faa", "name", "dst", "tzone"}
_WHOLE = {
    *("year", "month", "day", "sched_dep_time", "sched_arr_time"),
    *("flight", "distance", "hour", "minute"),
}
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, IndexError),
    RuntimeError,  # an archive that claims to be encrypted, or of an unknown kind
)
MAX_UNPACKED_BYTES = 200_000_000
"""Six times the year of flights; a table in memory takes several times as much."""
MAX_RATIO = 100
"""Limit against zip bombs: the year compresses to a quarter, repetition to far less."""
FLIGHT_COLUMNS = (
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
    "flight tailnum origin dest air_time distance hour minute time_hour"
).split()
AIRPORT_COLUMNS = "faa name lat lon alt tz dst tzone".split()
WEATHER_COLUMNS = (
    "origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure "
    "visib time_hour"
).split()


def locate(source: str) -> Path:
    """The folder of the published files: a folder, or an installed package's data."""
    if Path(source).is_dir():
        return Path(source)
    spec = importlib.util.find_spec(source) if source.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise SourceRejected(
            f"source {source!r} is neither a folder nor an installed package; run `make setup`"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def read_pinned(folder: Path, name: str, expected: str) -> bytes:
    """A published file's bytes, verified against their pinned SHA-256.

    Raises:
        SourceRejected: the file is missing or its hash differs.
    """
    path = folder / name
    if not path.is_file():
        raise SourceRejected(f"{name} is missing in {folder}; run `make setup` to install it again")
    content = path.read_bytes()
    if (actual := bytes_hash(content)) != expected:
        raise SourceRejected(
            f"{name} has SHA-256 {actual[:12]}…, configs/ingest.yaml pins {expected[:12]}…; "
            "reinstall it (`make setup`), or pin the new hash after looking at what changed"
        )
    return content


def parse(name: str, content: bytes, columns: list[str]) -> pd.DataFrame:
    """A published CSV file as a table with exactly `columns`, in that order and of their types.

    Raises:
        SourceRejected: it cannot be read, columns differ, or a value is not of its column's type.
    """
    try:
        if name.endswith(".zip"):
            content = _unzip(name, content)
        table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys(_TEXT, "str"))
    except _UNREADABLE as error:
        raise SourceRejected(
            f"{name} cannot be read ({error}); it holds {len(content):,} bytes: "
            "reinstall it with `make setup`"
        ) from error
    return _convert_types(name, _with_columns(name, table, columns))


def _unzip(name: str, content: bytes) -> bytes:
    """The one member of an archive, read up to its limit, whatever size its header claims."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise SourceRejected(
                f"{name} holds {len(members):,} files, 1 was agreed: reinstall it with `make setup`"
            )
        limit = min(MAX_UNPACKED_BYTES, MAX_RATIO * len(content))
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"packed by method {members[0].compress_type}, agreed are 0 and 8")
        with archive.open(members[0]) as member:
            unpacked = member.read(limit + 1)
    if len(unpacked) > limit:
        raise SourceRejected(
            f"{name} unpacks to more than {limit:,} bytes from {len(content):,}, the limit is "
            f"{MAX_UNPACKED_BYTES:,} and {MAX_RATIO} times its size: reinstall it with `make setup`"
        )
    return unpacked


def _with_columns(name: str, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    missing, extra = set(columns) - set(table.columns), set(table.columns) - set(columns)
    if missing or extra:
        raise SourceRejected(
            f"{name} has {len(table.columns)} columns, {len(columns)} were agreed: "
            f"missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}; "
            "correct the file, or agree on the new columns in pipeline/shared/source.py"
        )
    return table[columns]


def _convert_types(name: str, table: pd.DataFrame) -> pd.DataFrame:
    for column in table.columns.difference(list(_TEXT)):
        numbers = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        whole = column in _WHOLE
        bad = (numbers.isna() & (whole | table[column].notna())) | (whole & (numbers % 1 != 0))
        if bad.any():
            raise SourceRejected(
                f"{name}: column {column} has {int(bad.sum()):,} of {len(table):,} values that are "
                f"not {'whole ' if whole else ''}numbers, first in row "
                f"{int(bad.to_numpy().argmax())}: {table[column][bad].iloc[0]!r}; "
                "correct the file at its source"
            )
        table = table.assign(**{column: numbers.astype("int64" if whole else "float64")})
    return table


def _minutes(clock_time: pd.Series) -> pd.Series:
    """Published clock times (hhmm as a number, 2400 for midnight) as a duration."""
    return _duration(clock_time // 100 * 60 + clock_time % 100)


def _duration(minutes: pd.Series) -> pd.Series:
    return pd.to_timedelta(minutes, unit="min").astype("timedelta64[us]")


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
            "add them to airport_zones in configs/ingest.yaml"
        )
    midnight = pd.to_datetime(flights[["year", "month", "day"]]).astype("datetime64[us]")
    departure = _utc(midnight + _minutes(flights["sched_dep_time"]), "America/New_York")
    arrival = pd.Series(pd.NaT, index=flights.index, dtype=departure.dtype)
    for zone, rows in flights.groupby(flights["dest"].map(zones)).groups.items():
        arrival.loc[rows] = _next_local(
            departure.loc[rows], flights.loc[rows, "sched_arr_time"], str(zone)
        )
    return flights.assign(
        sched_dep_utc=departure,
        sched_arr_utc=arrival,
        dep_utc=departure + _duration(flights["dep_delay"]),
        arr_utc=arrival + _duration(flights["arr_delay"]),
    )


def _next_local(after: pd.Series, clock_time: pd.Series, zone: str) -> pd.Series:
    day = after.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    candidate = day + _minutes(clock_time)
    same_day = _utc(candidate, zone)
    return same_day.where(same_day > after, _utc(candidate + pd.Timedelta(days=1), zone))


def read_source(config: IngestConfig) -> dict[Table, pd.DataFrame]:
    """The published flights and weather as typed tables, each with its instants in UTC."""
    folder = locate(config.source)
    content = {n: read_pinned(folder, n, digest) for n, digest in config.files.items()}
    airports = parse(AIRPORTS_FILE, content[AIRPORTS_FILE], AIRPORT_COLUMNS)
    named = airports[["faa", "tzone"]].dropna()
    zones = dict(zip(named["faa"], named["tzone"], strict=True)) | config.airport_zones
    flights = parse(FLIGHTS_FILE, content[FLIGHTS_FILE], FLIGHT_COLUMNS)
    weather = parse(WEATHER_FILE, content[WEATHER_FILE], WEATHER_COLUMNS)
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
