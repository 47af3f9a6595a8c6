"""Ingestion: the published data become one immutable snapshot per month, and a manifest.

Nothing is corrected here: a snapshot holds the published columns unchanged, with the instants in
UTC added. The next stage validates them.
"""

from pathlib import Path

import pandas as pd

from pipeline.shared import clock
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import INGEST, Manifest, Snapshot, snapshot_path
from pipeline.shared.errors import ArtifactMissing, SnapshotChanged, SourceRejected
from pipeline.shared.files import content_hash, file_hash, read_parquet, write_json, write_parquet
from pipeline.usecase.chosen import USECASE


def require_unchanged(path: Path, rows: pd.DataFrame) -> None:
    """Refuse a snapshot on disk that differs from these rows.

    Raises:
        SnapshotChanged: it holds other rows, or is not a table.
    """
    expected = content_hash(rows)
    try:
        found = content_hash(read_parquet(path, "ingest"))
    except ArtifactMissing as error:
        raise SnapshotChanged(
            f"{path} is no longer a table, the source gives content {expected[:12]}…; "
            "bring it back with `dvc checkout ingest`, or move it out of data/ and run `make "
            "ingest`"
        ) from error
    if found != expected:
        raise SnapshotChanged(
            f"{path} holds content {found[:12]}…, the source gives {expected[:12]}…; snapshots are "
            "immutable: bring it back with `dvc checkout ingest`, or move it out of data/"
        )


def describe_snapshot(table: str, month: str, rows: pd.DataFrame) -> Snapshot:
    """The manifest's entry for a month on disk."""
    path = snapshot_path(INGEST, table, month)
    instants = rows[USECASE.tables[table].instant]
    return Snapshot(
        table=table,
        month=month,
        path=str(path),
        rows=len(rows),
        first=instants.min().isoformat(),
        last=instants.max().isoformat(),
        content_hash=content_hash(rows),
        file_hash=file_hash(path),
    )


def run() -> str:
    """Bring data/ingest/ to what has arrived by `as_of`, and write its manifest."""
    config = load(IngestConfig)
    tables = USECASE.read_source(config)
    arrived = clock.months(config.first_month, config.as_of)
    months: list[tuple[str, str, pd.DataFrame]] = [
        (table, month, _of_month(rows, month))
        for table, rows in tables.items()
        for month in arrived
    ]
    _require_published(months)
    # Everything is checked before anything is written; the manifest comes last, then the cleanup.
    new = []
    for table, month, rows in months:
        if (path := snapshot_path(INGEST, table, month)).exists():
            require_unchanged(path, rows)
        else:
            new.append((path, rows))
    for path, rows in new:
        write_parquet(path, rows)
    snapshots = [describe_snapshot(*chosen) for chosen in months]
    manifest = Manifest(
        source=config.source, as_of=config.as_of, files=config.files, snapshots=snapshots
    )
    write_json(INGEST / "manifest.json", manifest.model_dump())
    for table in tables:
        _drop_later(table, arrived)
    total = {name: sum(s.rows for s in snapshots if s.table == name) for name in tables}
    counts = ", ".join(f"{total[name]:,} {table.noun}" for name, table in USECASE.tables.items())
    return f"{len(arrived)} month(s) to {config.as_of}, {counts} -> {INGEST}/"


def _of_month(rows: pd.DataFrame, month: str) -> pd.DataFrame:
    """The rows of a month, or of its beginning up to a day, by the use case's calendar."""
    year, number, day = (int(part) for part in clock.last_day(month).split("-"))
    chosen = (rows["year"] == year) & (rows["month"] == number) & (rows["day"] <= day)
    return rows[chosen].reset_index(drop=True)


def _require_published(months: list[tuple[str, str, pd.DataFrame]]) -> None:
    """Refuse a month of which nothing was published.

    Raises:
        SourceRejected: it is before or after the published data.
    """
    for table, month, rows in months:
        if rows.empty:
            raise SourceRejected(
                f"the source has 0 of the {USECASE.tables[table].noun} of {month}: correct "
                "first_month or as_of in configs/ingest.yaml (`git diff configs/ingest.yaml`)"
            )


def _drop_later(table: str, arrived: list[str]) -> None:
    """Remove snapshots of months after `as_of`."""
    for path in (INGEST / table).glob("*.parquet"):
        if path.stem not in arrived:
            path.unlink()
