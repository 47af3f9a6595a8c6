"""The data gate: it validates every snapshot, and accepts all or none."""

import os
from pathlib import Path

import pandas as pd

from pipeline.shared import clock
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import (
    INGEST,
    VALIDATE,
    Manifest,
    Snapshot,
    read_record,
    snapshot_path,
)
from pipeline.shared.errors import ArtifactMissing, DataRejected, SnapshotChanged
from pipeline.shared.files import content_hash, file_hash, read_parquet, write_json, write_parquet
from pipeline.usecase.chosen import USECASE

TABLES = tuple(USECASE.tables)


def read_snapshot(snapshot: Snapshot) -> pd.DataFrame:
    """Read a snapshot's rows and check them against its manifest.

    Raises:
        ArtifactMissing: the file is missing or is not Parquet.
        SnapshotChanged: its bytes or its content have another hash.
    """
    path = snapshot_path(INGEST, snapshot.table, snapshot.month)
    if path.is_file():
        _require_same(path, "bytes", file_hash(path), snapshot.file_hash)
    rows = read_parquet(path, "ingest")
    _require_same(path, "content", content_hash(rows), snapshot.content_hash)
    return rows


def _require_same(path: Path, kind: str, found: str, expected: str) -> None:
    if found != expected:
        raise SnapshotChanged(
            f"{path} has {kind} {found[:12]}…, its manifest says {expected[:12]}…; snapshots are "
            "immutable: bring it back with `dvc checkout ingest` or `make ingest`"
        )


def read_snapshots(manifest: Manifest) -> dict[tuple[str, str], pd.DataFrame]:
    """Read every snapshot by table and month: both tables for each month that has arrived.

    Raises:
        ArtifactMissing: a month lacks a table, or a file is missing.
    """
    listed: dict[tuple[str, str], Snapshot] = {(s.table, s.month): s for s in manifest.snapshots}
    first = min((month for _, month in listed), default=manifest.as_of)
    expected = [(t, month) for t in TABLES for month in clock.months(first, manifest.as_of)]
    missing = [f"{table} {month}" for table, month in expected if (table, month) not in listed]
    if missing:
        raise ArtifactMissing(
            f"{INGEST}/manifest.json lists {len(listed)} snapshots of {len(expected)} up to "
            f"{manifest.as_of}; missing: {', '.join(missing)}; run `make ingest`"
        )
    return {key: read_snapshot(listed[key]) for key in expected}


def _remove(table: str, months: set[str]) -> None:
    for month in months:
        snapshot_path(VALIDATE, table, month).unlink(missing_ok=True)


def run() -> str:
    """Judge every snapshot that has arrived; accept them all, or refuse and accept none.

    Raises:
        DataRejected: a month breaks a refusing rule; the message names the rule and both numbers.
    """
    config = load(USECASE.limits)
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    snapshots = read_snapshots(manifest)
    # Great Expectations reads this on import, which takes seconds and happens only here.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from pipeline.shared import expectations
    from pipeline.validate import judge, validation_report

    context = expectations.new_context()
    judgements = judge.judge_all(context, snapshots, config)
    write_json(VALIDATE / "report.json", validation_report.report(judgements))
    expectations.write_docs(context, VALIDATE / "docs")
    for table in TABLES:
        stored = {path.stem for path in (VALIDATE / table).glob("*.parquet")}
        refused = {j.month for j in judgements if j.table == table and j.refusals}
        # Earlier accepted rows of a month do not outlive its refusal or its departure.
        _remove(table, stored - {month for _, month in snapshots} | refused)
    if any(judgement.refusals for judgement in judgements):
        raise DataRejected(validation_report.refusal(judgements))
    for judgement in judgements:
        path = snapshot_path(VALIDATE, judgement.table, judgement.month)
        write_parquet(path, judgement.accepted_rows)
    write_parquet(validation_report.QUARANTINE, validation_report.quarantined_rows(judgements))
    write_json(VALIDATE / "metrics.json", validation_report.metrics(judgements))
    return validation_report.summary(judgements)
