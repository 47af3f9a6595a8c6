"""Append-only databases: one file each, flushed with every entry, readable by its owner only.

In a hash chain each entry carries the hash of the one before it, so reading detects an entry that
was rewritten. A copy in plain lines follows the chain: a truncated or lost chain is rebuilt from
the copy, and a chain without its last entries does not pass for complete.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.shared import databases
from pipeline.shared.databases import REPAIR, database, flaw, require_whole
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import atomic_write, text_hash

NOTHING = "0" * 64
"""The hash before the first entry."""
_CHAIN = """
CREATE TABLE IF NOT EXISTS ledger (number INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT);
CREATE TRIGGER IF NOT EXISTS no_change BEFORE UPDATE ON ledger
  BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS no_loss BEFORE DELETE ON ledger
  BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;
"""

_READ = "SELECT number, entry, hash FROM ledger ORDER BY number"


class Link(NamedTuple):
    """One entry of a chain: its number from 1 on, its text, the previous hash and its own."""

    number: int
    text: str
    before: str
    hash: str


def chain(path: Path, what: str) -> list[Link]:
    """Read the chain at `path`, oldest first; empty without a file.

    Raises:
        ArtifactTampered: an entry was changed, removed or inserted, or the copy has entries that
            the chain lacks.
    """
    copied = read_copy(path)
    found: list[Link] = []
    if path.is_file() and path.stat().st_size:
        with _open_existing(path, what) as connection:
            found = _links(connection, path)
    _require_copied(path, what, found, copied)
    return found


def link(path: Path, what: str, text: str, allowed: Callable[[list[Link]], None]) -> Link:
    """Append a text to the chain at `path` unless `allowed` raises; on return it is on disk.

    Raises:
        ArtifactTampered: the chain was rewritten, or holds less than its copy.
    """
    copied = read_copy(path)
    if not path.is_file() or not path.stat().st_size:
        _require_copied(path, what, [], copied)
    with open_database(path, _CHAIN, what) as connection:
        connection.execute("BEGIN IMMEDIATE")
        known = _links(connection, path)
        _require_copied(path, what, known, copied)
        allowed(known)
        new = next_link(known, text)
        connection.execute("INSERT INTO ledger VALUES (?, ?, ?)", (new.number, text, new.hash))
        connection.execute("COMMIT")
    _copy(path, [*known, new])
    return new


def next_link(known: list[Link], text: str) -> Link:
    """Build the link that appends a text to a chain."""
    before, number = known[-1].hash if known else NOTHING, len(known) + 1
    return Link(number, text, before, text_hash(f"{before} {number} {text}"))


def write_chain(path: Path, what: str, links: list[Link]) -> None:
    """Replace the chain at `path` by these links in one step, then its copy."""
    with atomic_write(path) as temporary, open_database(temporary, _CHAIN, what) as connection:
        rows = [(one.number, one.text, one.hash) for one in links]
        connection.executemany("INSERT INTO ledger VALUES (?, ?, ?)", rows)
    with atomic_write(copy_path(path)) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(b"".join(map(_line, links)))


def _links(connection: sqlite3.Connection, path: Path) -> list[Link]:
    found: list[Link] = []
    if (wrong := _read_into(found, connection)) is not None:
        number, digest, right = wrong
        raise ArtifactTampered(
            f"entry {number} of {path} is not what was written there: its hash is {digest[:12]}, "
            f"its content gives {right.hash[:12]} in place {right.number}; {REPAIR}"
        )
    return found


def _read_into(found: list[Link], connection: sqlite3.Connection) -> tuple[int, str, Link] | None:
    """Append the valid links to `found`; return the first invalid one and the expected link."""
    for number, text, digest in connection.execute(_READ):
        right = next_link(found, text)
        if (number, digest) != (right.number, right.hash):
            return number, str(digest), right
        found.append(right)
    return None


def salvage(path: Path) -> tuple[list[Link], str]:
    """Read the valid links at the start of a chain, and the reason why it holds no more."""
    if not path.is_file():
        return [], "it is gone"
    found: list[Link] = []
    why = flaw(path) or ("" if path.stat().st_size else "it is empty")
    try:
        with contextlib.closing(sqlite3.connect(_address(path), uri=True)) as connection:
            if (wrong := _read_into(found, connection)) is not None:
                return found, f"entry {wrong[0]} was rewritten"
    except sqlite3.DatabaseError as error:
        return found, why or str(error)
    return found, why


def copy_path(path: Path) -> Path:
    """The path of a chain's copy, a line an entry: ledger.jsonl, journal.jsonl beside the .db."""
    return path.with_suffix(".jsonl")


def read_copy(path: Path) -> list[Link]:
    """Read the copy of the chain at `path`, oldest first.

    A killed process leaves at most one entry that is not copied yet, or half a line of it.

    Raises:
        ArtifactTampered: a line was rewritten.
    """
    found, why = salvage_copy(path)
    if why:
        raise ArtifactTampered(f"{copy_path(path)}: {why}, {len(found)} before it are; {REPAIR}")
    return found


def salvage_copy(path: Path) -> tuple[list[Link], str]:
    """Read the valid links at the start of a chain's copy, and name the first invalid line."""
    copy = copy_path(path)
    content = copy.read_bytes() if copy.is_file() else b""
    found: list[Link] = []
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        if not (read := _parse_link(found, line)):
            return found, f"line {len(found) + 1} is not what was written there"
        found.append(read)
    return found, ""


def _line(link: Link) -> bytes:
    return json.dumps([link.number, link.text, link.hash]).encode() + b"\n"


def _parse_link(known: list[Link], line: bytes) -> Link | None:
    """The link in a line of the copy; None if it does not continue the chain."""
    try:
        number, text, digest = json.loads(line)
        right = next_link(known, text)
    except (ValueError, TypeError):
        return None
    return right if (number, digest) == (right.number, right.hash) else None


def _require_copied(path: Path, what: str, found: list[Link], copied: list[Link]) -> None:
    """Refuse a chain that lacks an entry of its copy: the copy is always written after it."""
    same = sum(ours.hash == theirs.hash for ours, theirs in zip(found, copied, strict=False))
    if same < len(copied):
        raise ArtifactTampered(
            f"{path} holds {len(found)} entries of the {what}, its copy {copy_path(path).name} "
            f"{len(copied)}, and the first {same} agree: it was cut, lost or rewritten; {REPAIR}"
        )


def _copy(path: Path, links: list[Link]) -> None:
    """Bring the copy up to date; on failure the next entry does it, since the chain counts."""
    with contextlib.suppress(OSError):
        descriptor = os.open(copy_path(path), os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            content = stream.read()
            whole = content.rfind(b"\n") + 1
            stream.truncate(whole)
            stream.seek(whole)
            for one in links[content.count(b"\n") :]:
                stream.write(_line(one))
            stream.flush()
            os.fsync(descriptor)


def _address(path: Path) -> str:
    """A URI that creates no file; SQLite finishes a transaction that a kill interrupted."""
    return f"{path.absolute().as_uri()}?mode=rw"


@contextmanager
def _open_existing(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """Open the database at `path` for reading, without creating a table in it."""
    require_whole(path, what)
    with (
        database(path, what),
        contextlib.closing(
            sqlite3.connect(_address(path), timeout=databases.BUSY_SECONDS, uri=True)
        ) as connection,
    ):
        yield connection


@contextmanager
def open_database(path: Path, schema: str, what: str) -> Iterator[sqlite3.Connection]:
    """Open the database at `path`, created by `schema`; `what` names it in a refusal.

    Raises:
        ArtifactTampered: the file is no database, or a broken one.
        StorageFailed: another program locks it, or it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    require_whole(path, what)
    with (
        database(path, what),
        contextlib.closing(
            sqlite3.connect(path, timeout=databases.BUSY_SECONDS, isolation_level=None)
        ) as connection,
    ):
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(schema)
        yield connection
