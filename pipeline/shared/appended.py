"""Databases that are only appended to: one file, flushed with each entry, readable by its owner.

A chain of entries is one of them: each carries the hash of the one before it, so that what was
rewritten by other means is told when it is read.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import ANEW, database, text_hash

NOTHING = "0" * 64
"""The hash before the first entry."""
_CHAIN = """
CREATE TABLE IF NOT EXISTS ledger (number INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT);
CREATE TRIGGER IF NOT EXISTS no_change BEFORE UPDATE ON ledger
  BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS no_loss BEFORE DELETE ON ledger
  BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;
"""


class Link(NamedTuple):
    """A text in its place in a chain: its number from 1 on, the hash before it, and its own."""

    number: int
    told: str
    before: str
    hash: str


def chain(path: Path, what: str) -> list[Link]:
    """Everything in the chain at `path`, the oldest first; none where there is no file.

    Raises:
        ArtifactTampered: an entry was changed, taken out, or put in by other means.
    """
    if not path.is_file():
        return []
    with opened(path, _CHAIN, what) as connection:
        return _links(connection, path, what)


def link(path: Path, what: str, told: str, allowed: Callable[[list[Link]], None]) -> Link:
    """Add a text to the chain at `path`, if `allowed` does not refuse; it is then on disk.

    Raises:
        ArtifactTampered: what is there was rewritten.
    """
    with opened(path, _CHAIN, what) as connection:
        connection.execute("BEGIN IMMEDIATE")
        known = _links(connection, path, what)
        allowed(known)
        before = known[-1].hash if known else NOTHING
        number = len(known) + 1
        digest = text_hash(f"{before} {number} {told}")
        connection.execute("INSERT INTO ledger VALUES (?, ?, ?)", (number, told, digest))
        connection.execute("COMMIT")
    return Link(number, told, before, digest)


def _links(connection: sqlite3.Connection, path: Path, what: str) -> list[Link]:
    found, before = [], NOTHING
    rows = connection.execute("SELECT number, entry, hash FROM ledger ORDER BY number")
    for place, (number, told, digest) in enumerate(rows, 1):
        if number != place or digest != text_hash(f"{before} {number} {told}"):
            raise ArtifactTampered(
                f"entry {number} of {path} is not what was written there: its hash is "
                f"{str(digest)[:12]}, its content gives "
                f"{text_hash(f'{before} {number} {told}')[:12]} in place {place}; restore the "
                f"{what} from a backup, or {ANEW}"
            )
        found.append(Link(number, told, before, digest))
        before = digest
    return found


@contextmanager
def opened(path: Path, schema: str, what: str) -> Iterator[sqlite3.Connection]:
    """The database at `path`, made by `schema` if it is not there; `what` names it in a refusal.

    Raises:
        ArtifactTampered: the file is no database, or a broken one.
        StorageFailed: another program holds it, or it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with (
        database(path, what),
        contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(schema)
        yield connection
