"""The stage: accepted snapshots -> the feature table, and the view rows for the online store."""

import pandas as pd

from pipeline.features import definitions, windows
from pipeline.features.definitions import ENTITIES, NUMERIC, VIEWS
from pipeline.features.feast_repository import VIEW_ROWS, store_table
from pipeline.features.feature_table import ROWS, SERVICE, require_plausible, require_point_in_time
from pipeline.features.point_in_time import historical
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import (
    INGEST,
    VALIDATE,
    FeatureService,
    Manifest,
    read_record,
    snapshot_path,
)
from pipeline.shared.files import read_parquet, write_json, write_parquet
from pipeline.usecase.chosen import USECASE


def run() -> str:
    """Turn accepted snapshots into data/features/rows.parquet: one row per event, by time.

    Beside it go the rows of every view, for the online store, and the feature service's version,
    which changes with the meaning of a feature.
    """
    config = load(FeaturesConfig)
    events, context = read_accepted()
    views = windows.views(events, context, config)
    frame = historical(windows.requests(events, config), views, config)
    require_point_in_time(frame)
    require_plausible(frame)
    write_parquet(ROWS, frame)
    for view, rows in views.items():
        write_parquet(VIEW_ROWS / f"{view}.parquet", store_table(view, rows, config))
    version = definitions.service_version(config.model_dump())
    service = FeatureService(version=version, features=definitions.FEATURES)
    write_json(SERVICE, service.model_dump())
    return (
        f"{len(frame):,} {USECASE.noun} x {len(NUMERIC)} features from {len(VIEWS)} views, each "
        f"known before its prediction{_rarest(frame)} -> {ROWS}"
    )


def _rarest(frame: pd.DataFrame) -> str:
    missing = {view: frame[f"{view}_known_at"].isna().mean() for view in VIEWS}
    if not missing:
        return ""
    rarest = max(missing, key=lambda view: missing[view])
    if ENTITIES.get(rarest) == []:  # the means of all events
        return f"; {missing[rarest]:.0%} have no recent outcome before them"
    return f"; {missing[rarest]:.0%} without a recent {rarest}"


def read_accepted() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the accepted events, by their instant, and their accepted context, if they have any.

    Raises:
        ArtifactMissing: a snapshot of the manifest is not accepted yet.
    """
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    tables = [
        pd.concat(
            [
                read_parquet(snapshot_path(VALIDATE, table.name, s.month), "validate")
                for s in manifest.snapshots
                if s.table == table.name
            ],
            ignore_index=True,
        )
        for table in USECASE.tables.values()
    ]
    events, context = [*tables, pd.DataFrame()][:2]
    order = [USECASE.events.instant, *USECASE.events.key]
    return events.sort_values(order, ignore_index=True), context
