"""Databases that are only appended to: one file, flushed with each entry, readable by its owner.

A chain of entries is one of them: each carries the hash of the one before it, so that what was
rewritten by other means is told when it is read. A copy in plain lines follows it: by that a chain
is rebuilt which was cut or lost, and one that lacks its last entries does not pass for whole.
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

from pipeline.shared.databases import REPAIR, database, flaw, require_whole
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import replacing, text_hash

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
    """A text in its place in a chain: its number from 1 on, the hash before it, and its own."""

    number: int
    told: str
    before: str
    hash: str


def chain(path: Path, what: str) -> list[Link]:
    """Everything in the chain at `path`, the oldest first; none where there is no file.

    Raises:
        ArtifactTampered: an entry was changed, taken out, or put in by other means, or entries that
            its copy holds are gone.
    """
    copied = read_copy(path)
    found: list[Link] = []
    if path.is_file() and path.stat().st_size:
        with _open_existing(path, what) as connection:
            found = _links(connection, path)
    _require_copied(path, what, found, copied)
    return found


def link(path: Path, what: str, told: str, allowed: Callable[[list[Link]], None]) -> Link:
    """Add a text to the chain at `path`, if `allowed` does not refuse; it is then on disk.

    Raises:
        ArtifactTampered: what is there was rewritten, or is less than its copy holds.
    """
    copied = read_copy(path)
    if not path.is_file() or not path.stat().st_size:
        _require_copied(path, what, [], copied)
    with open_database(path, _CHAIN, what) as connection:
        connection.execute("BEGIN IMMEDIATE")
        known = _links(connection, path)
        _require_copied(path, what, known, copied)
        allowed(known)
        new = next_link(known, told)
        connection.execute("INSERT INTO ledger VALUES (?, ?, ?)", (new.number, told, new.hash))
        connection.execute("COMMIT")
    _copy(path, [*known, new])
    return new


def next_link(known: list[Link], told: str) -> Link:
    """A text in its place behind others."""
    before, number = known[-1].hash if known else NOTHING, len(known) + 1
    return Link(number, told, before, text_hash(f"{before} {number} {told}"))


def write_chain(path: Path, what: str, links: list[Link]) -> None:
    """A new chain of these links in the place of what is there, whole, and then its copy."""
    with replacing(path) as temporary, open_database(temporary, _CHAIN, what) as connection:
        rows = [(one.number, one.told, one.hash) for one in links]
        connection.executemany("INSERT INTO ledger VALUES (?, ?, ?)", rows)
    with replacing(copy_path(path)) as temporary:
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
    """Add a chain's links for as long as they hold; the first that does not, and what it is not."""
    for number, told, digest in connection.execute(_READ):
        right = next_link(found, told)
        if (number, digest) != (right.number, right.hash):
            return number, str(digest), right
        found.append(right)
    return None


def salvage(path: Path) -> tuple[list[Link], str]:
    """The links at the beginning of a chain that still hold, and why it holds no more of them."""
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
    """Where the copy of a chain is, a line an entry: ledger.jsonl, journal.jsonl beside the .db."""
    return path.with_suffix(".jsonl")


def read_copy(path: Path) -> list[Link]:
    """What the copy of the chain at `path` holds, the oldest first; it may lag behind.

    Whoever is killed leaves an entry that is not copied yet, or half a line of it: no more is lost.

    Raises:
        ArtifactTampered: a line of it was rewritten.
    """
    found, why = salvage_copy(path)
    if why:
        raise ArtifactTampered(f"{copy_path(path)}: {why}, {len(found)} before it are; {REPAIR}")
    return found


def salvage_copy(path: Path) -> tuple[list[Link], str]:
    """The links at the beginning of a chain's copy that still hold, and which line does not."""
    copy = copy_path(path)
    content = copy.read_bytes() if copy.is_file() else b""
    found: list[Link] = []
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        if not (read := _parse_link(found, line)):
            return found, f"line {len(found) + 1} is not what was written there"
        found.append(read)
    return found, ""


def _line(link: Link) -> bytes:
    return json.dumps([link.number, link.told, link.hash]).encode() + b"\n"


def _parse_link(known: list[Link], line: bytes) -> Link | None:
    """The link that a line holds, if it follows those before it."""
    try:
        number, told, digest = json.loads(line)
        right = next_link(known, told)
    except (ValueError, TypeError):
        return None
    return right if (number, digest) == (right.number, right.hash) else None


def _require_copied(path: Path, what: str, found: list[Link], copied: list[Link]) -> None:
    """Refuse a chain that lacks what its copy holds: the copy is written last."""
    same = sum(ours.hash == theirs.hash for ours, theirs in zip(found, copied, strict=False))
    if same < len(copied):
        raise ArtifactTampered(
            f"{path} holds {len(found)} entries of the {what}, its copy {copy_path(path).name} "
            f"{len(copied)}, and the first {same} agree: it was cut, lost or rewritten; {REPAIR}"
        )


def _copy(path: Path, links: list[Link]) -> None:
    """Bring the copy up to the chain. Where that fails the next entry does it: the chain counts."""
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
    """An address that makes no file; SQLite completes what a kill left half done."""
    return f"{path.absolute().as_uri()}?mode=rw"


@contextmanager
def _open_existing(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """The database at `path` as it is: reading one makes no table in what is none."""
    require_whole(path, what)
    with (
        database(path, what),
        contextlib.closing(sqlite3.connect(_address(path), timeout=10, uri=True)) as connection,
    ):
        yield connection


@contextmanager
def open_database(path: Path, schema: str, what: str) -> Iterator[sqlite3.Connection]:
    """The database at `path`, made by `schema` if it is not there; `what` names it in a refusal.

    Raises:
        ArtifactTampered: the file is no database, or a broken one.
        StorageFailed: another program holds it, or it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    require_whole(path, what)
    with (
        database(path, what),
        contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(schema)
        yield connection
