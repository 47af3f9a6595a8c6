"""Databases that are only appended to: one file, flushed with each entry, readable by its owner."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.shared.errors import ArtifactTampered


@contextmanager
def opened(path: Path, schema: str, what: str) -> Iterator[sqlite3.Connection]:
    """The database at `path`, made by `schema` if it is not there; `what` names it in a refusal.

    Raises:
        ArtifactTampered: the file is no database, or a broken one.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(schema)
        yield connection
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        raise ArtifactTampered(
            f"{path} is no {what} of {path.stat().st_size:,} bytes ({error}); restore it from a "
            "backup, or begin anew with `make clean`"
        ) from error
    finally:
        connection.close()
