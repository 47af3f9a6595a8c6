"""The stage: accepted snapshots -> the feature table, and the view rows for the online store."""

import pandas as pd

from pipeline.features import definitions, windows
from pipeline.features.definitions import NUMERIC, VIEWS
from pipeline.features.feast_repository import VIEW_ROWS, table
from pipeline.features.feature_table import ROWS, SERVICE, require_plausible, require_point_in_time
from pipeline.features.point_in_time import historical
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import (
    FLIGHT_KEY,
    INGEST,
    VALIDATE,
    FeatureService,
    Manifest,
    read_record,
    snapshot_path,
)
from pipeline.shared.files import read_parquet, write_json, write_parquet


def run() -> str:
    """Turn accepted snapshots into data/features/rows.parquet: one row per flight, by time.

    Beside it go the rows of every view, for the online store, and the feature service's version,
    which changes with the meaning of a feature.
    """
    config = load(FeaturesConfig)
    flights, weather = read_accepted()
    views = windows.views(flights, weather, config)
    frame = historical(windows.requests(flights, config), views, config)
    require_point_in_time(frame)
    require_plausible(frame)
    write_parquet(ROWS, frame)
    for view, rows in views.items():
        write_parquet(VIEW_ROWS / f"{view}.parquet", table(view, rows, config))
    version = definitions.service_version(config.model_dump())
    service = FeatureService(version=version, features=definitions.FEATURES)
    write_json(SERVICE, service.model_dump())
    missing = frame["aircraft_known_at"].isna().mean()
    return (
        f"{len(frame):,} flights x {len(NUMERIC)} features from {len(VIEWS)} views, each known "
        f"before its prediction; {missing:.0%} without a recent aircraft -> {ROWS}"
    )


def read_accepted() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the accepted flights, by scheduled departure, and the accepted weather.

    Raises:
        ArtifactMissing: a snapshot of the manifest is not accepted yet.
    """
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    tables = {
        name: pd.concat(
            [
                read_parquet(snapshot_path(VALIDATE, name, s.month), "validate")
                for s in manifest.snapshots
                if s.table == name
            ],
            ignore_index=True,
        )
        for name in ("flights", "weather")
    }
    flights = tables["flights"].sort_values(["sched_dep_utc", *FLIGHT_KEY], ignore_index=True)
    return flights, tables["weather"]
