"""The label ledger: the events of every label file that arrived, each file once.

It is append-only: the database refuses changes. Files are identified by the hash of their bytes, so
a file that arrives twice adds nothing, even under another name.
"""

import sqlite3
from pathlib import Path

import pandas as pd

from pipeline.features.definitions import NAME
from pipeline.monitor.performance.delayed_labels import LABEL_COLUMNS, require_sound_feed
from pipeline.records.hash_chain import open_database
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LabelsRefused
from pipeline.shared.files import file_hash, read_parquet

LABEL_LEDGER = Path("state/monitor/labels.db")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files (hash TEXT PRIMARY KEY, name TEXT NOT NULL, arrived_at INTEGER);
CREATE TABLE IF NOT EXISTS labels (
  file TEXT NOT NULL REFERENCES files, {NAME} TEXT NOT NULL, late INTEGER NOT NULL,
  known_at INTEGER NOT NULL, arrived_at INTEGER NOT NULL, revision INTEGER NOT NULL);
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{what.lower()} BEFORE {what} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'labels are only ever added'); END;\n"
    for table in ("files", "labels")
    for what in ("UPDATE", "DELETE")
)


class Receipt(Record):
    """The receipt of a file: how many labels it added, and whether it was known before."""

    file: Sha256
    added: int
    known: bool


def receive(file: Path, arrived_at: pd.Timestamp, ledger: Path = LABEL_LEDGER) -> Receipt:
    """Append a label file (Parquet: LABEL_COLUMNS without `arrived_at`), completely or not at all.

    Raises:
        LabelsRefused: it is not a valid label file, or arrived before the last one.
    """
    events = read_parquet(file, "monitor").assign(arrived_at=arrived_at)
    require_sound_feed(events)
    digest, arrived = file_hash(file), _microseconds(pd.Series([arrived_at]))[0]
    rows = zip(
        [digest] * len(events),
        events[NAME].tolist(),
        events["late"].astype(int).tolist(),
        _microseconds(events["known_at"]),
        [arrived] * len(events),
        events["revision"].astype(int).tolist(),
        strict=True,
    )
    with open_database(ledger, _SCHEMA, "label ledger") as connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM files WHERE hash = ?", (digest,)).fetchone():
            connection.execute("ROLLBACK")
            return Receipt(file=digest, added=0, known=True)
        _require_forward(connection, file, arrived)
        connection.execute("INSERT INTO files VALUES (?, ?, ?)", (digest, file.name, arrived))
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    return Receipt(file=digest, added=len(events), known=False)


def _require_forward(connection: sqlite3.Connection, file: Path, arrived: int) -> None:
    last = connection.execute("SELECT max(arrived_at) FROM files").fetchone()[0]
    if last is not None and arrived < last:
        at, before = (pd.Timestamp(value, unit="us", tz="UTC") for value in (arrived, last))
        raise LabelsRefused(
            f"{file.name} is said to arrive at {at:%Y-%m-%d %H:%M}Z, the last file arrived at "
            f"{before:%Y-%m-%d %H:%M}Z: what was known then may not change afterwards; receive it "
            "under the instant at which it arrives, or begin anew beside it: `mv state "
            "state-before`, then `make evaluate register`"
        )


def read_events(ledger: Path = LABEL_LEDGER) -> pd.DataFrame:
    """Read all label events, in LABEL_COLUMNS, by arrival; empty without a ledger."""
    rows: list[tuple[object, ...]] = []
    if ledger.is_file():
        with open_database(ledger, _SCHEMA, "label ledger") as connection:
            rows = connection.execute(
                f"SELECT {', '.join(LABEL_COLUMNS)} FROM labels ORDER BY rowid"  # names of ours
            ).fetchall()
    frame = pd.DataFrame(rows, columns=LABEL_COLUMNS)
    instants = {
        name: pd.to_datetime(frame[name].astype("int64"), unit="us", utc=True)
        for name in ("known_at", "arrived_at")
    }
    return frame.assign(**instants).astype({"late": "int8", "revision": "int64"})


def _microseconds(instants: pd.Series) -> list[int]:
    return [int(value) for value in instants.dt.as_unit("us").astype("int64")]
