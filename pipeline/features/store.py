"""The point-in-time store: rows of features joined to requests as of each prediction's instant."""

import numpy as np
import pandas as pd

from pipeline.features import definitions, transform
from pipeline.features.definitions import (
    ENTITIES,
    KNOWN_AT,
    NUMERIC,
    RANGES,
    ROLLING,
    VIEWS,
    WEATHER,
    Rolling,
)
from pipeline.features.transform import NEVER, Minutes, entity_names, instants, minutes
from pipeline.shared.config import FeaturesConfig, Window, load
from pipeline.shared.contracts import (
    FEATURES,
    FLIGHT_KEY,
    INGEST,
    VALIDATE,
    FeatureService,
    Manifest,
    read_record,
    snapshot_path,
)
from pipeline.shared.errors import FeatureRejected, LeakFound, TooLittleData
from pipeline.shared.files import read_parquet, write_json, write_parquet

ROWS = FEATURES / "rows.parquet"
SERVICE = FEATURES / "service.json"


def as_of(rows: pd.DataFrame, entity: pd.Series, at: Minutes) -> np.ndarray:
    """For each request, the position of its entity's last row available at `at`, or -1.

    `rows` holds `entity` (a categorical) and `available_at`, sorted by both; `at` is in minutes.
    """
    if rows.empty:
        return np.full(len(entity), -1)
    entities = rows["entity"].cat
    codes = entities.codes.to_numpy(dtype="int64")
    asked = entities.categories.get_indexer(pd.Index(entity))
    span = int(max(rows["available_at"].max(), at.max())) + 1
    available = codes * span + rows["available_at"].to_numpy()
    found = np.searchsorted(available, asked * span + at, "right") - 1
    return np.where((asked >= 0) & (found >= 0) & (codes[found] == asked), found, -1)


def historical(
    asked: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig
) -> pd.DataFrame:
    """The requests with every feature as it was known at `predict_at`, and when each was known."""
    at = minutes(asked["predict_at"])
    joined: dict[str, np.ndarray] = {}
    for view, rows in views.items():
        found = as_of(rows, _entity(asked, view), at)
        for column in rows.columns.difference(["entity", "available_at"]):
            values = _taken(rows[column].to_numpy(), found)
            name = f"{view}_known_at" if column == "known_at" else column
            joined[name] = values
    _expire(joined, joined["weather_known_at"], _WEATHER, at, config.weather_hours)
    _expire(joined, joined["aircraft_known_at"], _AIRCRAFT, at, config.aircraft_hours)
    _expire(joined, joined["landed_at"], _LANDING, at, config.aircraft_hours)
    return _derived(asked, joined, at, config)


_WEATHER = ["weather_known_at", *WEATHER]
_AIRCRAFT = ["aircraft_known_at", "aircraft_dep_delay", "aircraft_airborne", "ready"]
_LANDING = ["aircraft_arr_delay", "landed_at"]


def _entity(asked: pd.DataFrame, view: str) -> pd.Series:
    if view in ENTITIES:
        return entity_names(asked, view)
    return asked["origin"] if view == "weather" else asked["tailnum"].fillna("")


def _taken(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(len(found), _absent(values))
    return np.where(found < 0, _absent(values), values[found])


def _absent(values: np.ndarray) -> float | int:
    return NEVER if values.dtype.kind == "i" and values.dtype.itemsize == 8 else np.nan


def _expire(
    joined: dict[str, np.ndarray], known: np.ndarray, names: list[str], at: Minutes, hours: int
) -> None:
    """Turn values known longer ago than so many hours into missing ones, never into a default."""
    fresh = known >= at - hours * 60
    for name in names:
        joined[name] = np.where(fresh, joined[name], _absent(joined[name]))


def _derived(
    asked: pd.DataFrame, joined: dict[str, np.ndarray], at: Minutes, config: FeaturesConfig
) -> pd.DataFrame:
    """What can only be said at the request: shrunken means, ages, the aircraft's slack."""
    means = _baseline_means(joined, config)
    values = {w.name: _shrunken(w, joined, means, config) for w in ROLLING}
    departure = at + config.horizon_minutes
    values |= {
        "aircraft_age": at - joined["landed_at"],
        "aircraft_slack": departure - joined["ready"],
    }
    frame = asked.assign(**{view: instants(joined[view]).array for view in KNOWN_AT})
    numeric = {
        name: np.asarray(
            values[name] if name in values else joined.get(name, asked.get(name)), dtype="float32"
        )
        for name in NUMERIC
    }
    return pd.concat(
        [
            frame.drop(columns=frame.columns.intersection(NUMERIC)),
            pd.DataFrame(numeric, index=frame.index),
        ],
        axis=1,
    )


def _baseline_means(joined: dict[str, np.ndarray], config: FeaturesConfig) -> dict[str, np.ndarray]:
    means = {}
    for base in transform.baselines(config):
        count, total = joined[f"{base.name}_count"], joined[f"{base.name}_sum"]
        there = np.nan_to_num(count) > 0
        means[base.value] = np.where(
            there, total / np.where(there, count, 1), config.prior[base.value]
        )
    return means


def _shrunken(
    window: Rolling,
    joined: dict[str, np.ndarray],
    means: dict[str, np.ndarray],
    config: FeaturesConfig,
) -> np.ndarray:
    weight, mean = config.shrink_flights[window.view], means[window.value]
    count = np.nan_to_num(joined[f"{window.name}_count"])
    total = np.nan_to_num(joined[f"{window.name}_sum"])
    return np.asarray((total + weight * mean) / (count + weight))


def read(window: Window, known_before: pd.Timestamp | None = None) -> pd.DataFrame:
    """The rows of flights scheduled in `window`, labelled before an instant, checked for leaks.

    Raises:
        LeakFound: some value was known only at or after its prediction.
        FeatureRejected: some value is nothing that its feature can mean.
        TooLittleData: the window is empty, or reaches beyond what has arrived.
    """
    rows = read_parquet(ROWS, "features")
    day = rows["year"] * 10_000 + rows["month"] * 100 + rows["day"]
    first, last = (int(date.replace("-", "")) for date in (window.first, window.last))
    chosen = day.between(first, last)
    if known_before is not None:
        chosen &= rows["late_known_at"] < known_before
    if not chosen.any() or day.min() > first or day.max() < last:
        raise TooLittleData(
            f"{int(chosen.sum()):,} flights from {window.first} to {window.last}; {ROWS} holds "
            f"{len(rows):,} rows from {day.min()} to {day.max()}: "
            "raise as_of in configs/ingest.yaml, or move the window"
        )
    frame = rows[chosen].reset_index(drop=True)
    require_point_in_time(frame)
    require_plausible(frame)
    return frame


def require_point_in_time(frame: pd.DataFrame) -> None:
    """Refuse rows in which a value was known at or after the instant of the prediction.

    Raises:
        LeakFound: names the view, how many rows, and one of them.
    """
    for column in KNOWN_AT:
        leaks = frame[column] >= frame["predict_at"]
        if leaks.any():
            row = frame[leaks].iloc[0]
            raise LeakFound(
                f"{column.removesuffix('_known_at')} features of {int(leaks.sum()):,} of "
                f"{len(frame):,} rows use the future; {row['carrier']} {row['flight']} from "
                f"{row['origin']} is predicted at {row['predict_at']:%Y-%m-%d %H:%M}Z from values "
                f"known at {row[column]:%Y-%m-%d %H:%M}Z: join as of the prediction, see `make "
                "answer Q=point-in-time`"
            )


def require_plausible(frame: pd.DataFrame) -> None:
    """Refuse rows in which a feature has a value that it cannot mean: the second line of defence.

    Raises:
        FeatureRejected: names the feature, its range, how many rows, and one of them.
    """
    for name, (low, high) in RANGES.items():
        wrong = (frame[name] < low) | (frame[name] > high)
        if wrong.any():
            row = frame[wrong].iloc[0]
            raise FeatureRejected(
                f"{name} of {int(wrong.sum()):,} of {len(frame):,} rows lies outside {low:g} to "
                f"{high:g}: {row[name]:g} for {row['carrier']} {row['flight']} from "
                f"{row['origin']} at {row['sched_dep_utc']:%Y-%m-%d %H:%M}Z; look for the raw "
                "value in data/validate/, tighten its rule in configs/validate.yaml, then "
                "`make features`"
            )


def run() -> str:
    """Turn accepted snapshots into data/features/rows.parquet: one row per flight, by time.

    Beside it goes the version of the feature service, which says what the rows mean.
    """
    config = load(FeaturesConfig)
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    tables = {
        table: pd.concat(
            [
                read_parquet(snapshot_path(VALIDATE, table, s.month), "validate")
                for s in manifest.snapshots
                if s.table == table
            ],
            ignore_index=True,
        )
        for table in ("flights", "weather")
    }
    flights = tables["flights"].sort_values(["sched_dep_utc", *FLIGHT_KEY], ignore_index=True)
    frame = historical(
        transform.requests(flights, config),
        transform.views(flights, tables["weather"], config),
        config,
    )
    require_point_in_time(frame)
    require_plausible(frame)
    write_parquet(ROWS, frame)
    version = definitions.service_version(config.model_dump())
    service = FeatureService(version=version, features=definitions.FEATURES)
    write_json(SERVICE, service.model_dump())
    missing = frame["aircraft_known_at"].isna().mean()
    return (
        f"{len(frame):,} flights x {len(NUMERIC)} features from {len(VIEWS)} views, each known "
        f"before its prediction; {missing:.0%} without a recent aircraft -> {ROWS}"
    )
