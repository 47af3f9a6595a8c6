"""The published data become one immutable snapshot per month, and a manifest that can be checked.

Nothing is corrected here: a snapshot holds the published columns as they came, with the instants
in UTC added. Judging them is the next stage's work.
"""

import importlib.util
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.shared import clock
from pipeline.shared.config import IngestConfig, load
from pipeline.shared.contracts import (
    FLIGHT_KEY,
    INGEST,
    WEATHER_KEY,
    Manifest,
    Snapshot,
    Table,
    snapshot_path,
)
from pipeline.shared.errors import SnapshotChanged, SourceRejected
from pipeline.shared.files import content_hash, file_hash, read_parquet, write_json, write_parquet

FLIGHTS_FILE, WEATHER_FILE, AIRPORTS_FILE = "flights.csv.zip", "weather.csv", "airports.csv"
_TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}
_WHOLE = {
    *("year", "month", "day", "sched_dep_time", "sched_arr_time"),
    *("flight", "distance", "hour", "minute"),
}
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, IndexError),
    RuntimeError,  # an archive that claims to be encrypted, or of an unknown kind
)
FLIGHT_COLUMNS = (
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
    "flight tailnum origin dest air_time distance hour minute time_hour"
).split()
WEATHER_COLUMNS = (
    "origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure "
    "visib time_hour"
).split()


def locate(source: str) -> Path:
    """The folder of the published files: a folder as named, or an installed package's data."""
    if Path(source).is_dir():
        return Path(source)
    spec = importlib.util.find_spec(source) if source.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise SourceRejected(
            f"source {source!r} is neither a folder nor an installed package; run `make setup`"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def checked_bytes(folder: Path, name: str, expected: str) -> bytes:
    """A published file's bytes, once their SHA-256 is the pinned one.

    Raises:
        SourceRejected: the file is missing or its hash differs.
    """
    path = folder / name
    if not path.is_file():
        raise SourceRejected(f"{name} is missing in {folder}; run `make setup` to install it again")
    found = file_hash(path)
    if found != expected:
        raise SourceRejected(
            f"{name} has SHA-256 {found[:12]}…, configs/ingest.yaml pins {expected[:12]}…; "
            "reinstall it (`make setup`), or pin the new hash after looking at what changed"
        )
    return path.read_bytes()


def parse(name: str, content: bytes, columns: list[str]) -> pd.DataFrame:
    """A published CSV file as a table with exactly `columns`, in that order and of their types.

    Raises:
        SourceRejected: not readable, columns differ, or a value is not of its column's type.
    """
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
        table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys(_TEXT, "str"))
    except _UNREADABLE as error:
        raise SourceRejected(
            f"{name} cannot be read ({error}); it holds {len(content):,} bytes: "
            "reinstall it with `make setup`"
        ) from error
    return _typed(name, _with_columns(name, table, columns))


def _with_columns(name: str, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    missing, extra = set(columns) - set(table.columns), set(table.columns) - set(columns)
    if missing or extra:
        raise SourceRejected(
            f"{name} has {len(table.columns)} columns, {len(columns)} were agreed: "
            f"missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}; "
            "correct the file, or agree on the new columns in pipeline/ingest.py"
        )
    return table[columns]


def _typed(name: str, table: pd.DataFrame) -> pd.DataFrame:
    for column in table.columns.difference(list(_TEXT)):
        numbers = pd.to_numeric(table[column], errors="coerce")
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
    return pd.to_timedelta(clock_time // 100 * 60 + clock_time % 100, unit="min")


def _utc(local: pd.Series, zone: str) -> pd.Series:
    """Local times as UTC; a time that occurs twice is its first, one that is skipped moves on."""
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
    unknown = sorted(set(flights["dest"]) - set(zones))
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
        dep_utc=departure + pd.to_timedelta(flights["dep_delay"], unit="min"),
        arr_utc=arrival + pd.to_timedelta(flights["arr_delay"], unit="min"),
    )


def _next_local(after: pd.Series, clock_time: pd.Series, zone: str) -> pd.Series:
    day = after.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    candidate = day + _minutes(clock_time)
    same_day = _utc(candidate, zone)
    return same_day.where(same_day > after, _utc(candidate + pd.Timedelta(days=1), zone))


def read_source(config: IngestConfig) -> dict[Table, pd.DataFrame]:
    """The published flights and weather as typed tables, each with its instants in UTC."""
    folder = locate(config.source)
    content = {n: checked_bytes(folder, n, digest) for n, digest in config.files.items()}
    airports = pd.read_csv(io.BytesIO(content[AIRPORTS_FILE]), usecols=["faa", "tzone"])
    zones = dict(airports.dropna().itertuples(index=False)) | config.airport_zones
    flights = parse(FLIGHTS_FILE, content[FLIGHTS_FILE], FLIGHT_COLUMNS)
    weather = parse(WEATHER_FILE, content[WEATHER_FILE], WEATHER_COLUMNS)
    observed = pd.to_datetime(weather["time_hour"], utc=True).astype("datetime64[us, UTC]")
    return {
        "flights": with_instants(flights, zones).sort_values(FLIGHT_KEY, kind="stable"),
        "weather": weather.assign(observed_utc=observed).sort_values(WEATHER_KEY, kind="stable"),
    }


def store_snapshot(table: Table, month: str, rows: pd.DataFrame) -> Snapshot:
    """Write a month's snapshot if it is new; if it exists, check that it is the same.

    Raises:
        SnapshotChanged: the snapshot on disk holds other rows.
    """
    path, content = snapshot_path(INGEST, table, month), content_hash(rows)
    if not path.exists():
        write_parquet(path, rows)
    elif (found := content_hash(read_parquet(path, "ingest"))) != content:
        raise SnapshotChanged(
            f"{path} holds content {found[:12]}…, the source gives {content[:12]}…; snapshots are "
            "immutable: bring it back with `dvc checkout ingest`, or remove it on purpose"
        )
    instants = rows["sched_dep_utc" if table == "flights" else "observed_utc"]
    return Snapshot(
        table=table,
        month=month,
        path=str(path),
        rows=len(rows),
        first=instants.min().isoformat(),
        last=instants.max().isoformat(),
        content_hash=content,
        file_hash=file_hash(path),
    )


def run() -> str:
    """Bring data/ingest/ to what has arrived by `as_of`, and write its manifest."""
    config = load(IngestConfig)
    tables = read_source(config)
    arrived = clock.months(config.first_month, config.as_of)
    snapshots = []
    for table, rows in tables.items():
        calendar = rows["month"].to_numpy()
        for month in arrived:
            chosen = rows[calendar == int(month[-2:])].reset_index(drop=True)
            snapshots.append(store_snapshot(table, month, chosen))
        _drop_later(table, arrived)
    manifest = Manifest(
        source=config.source, as_of=config.as_of, files=config.files, snapshots=snapshots
    )
    write_json(INGEST / "manifest.json", manifest.model_dump())
    flights = sum(s.rows for s in snapshots if s.table == "flights")
    return (
        f"{len(arrived)} month(s) to {config.as_of}, {flights:,} flights, "
        f"{sum(s.rows for s in snapshots) - flights:,} weather hours -> {INGEST}/"
    )


def _drop_later(table: str, arrived: list[str]) -> None:
    """Take snapshots out of the folder that `as_of` says have not arrived yet."""
    for path in (INGEST / table).glob("*.parquet"):
        if path.stem not in arrived:
            path.unlink()
