"""SQLite files: failures and damage become one-line refusals that name the file."""

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.shared.errors import (
    ArtifactTampered,
    PipelineError,
    StorageFailed,
    UsageError,
    shell_quote,
)
from pipeline.shared.files import storage_failure

REPAIR = "`make repair` shows what still stands and what rebuilds it"
START_AGAIN = "begin anew beside it: `mv state state-before`, then `make evaluate register`"
"""The way out if there is nothing to rebuild from; it deletes nothing."""
BUSY_SECONDS = 10.0
"""How long a connection waits for a database that another program is writing."""
_MAGIC, _HEADER = b"SQLite format 3\0", 100
_ERRNOS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_NOT_OPENED = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""Errors that do not concern a file's content."""
_BROKEN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_ANOTHER = re.compile(r"no such table|no such column|malformed database schema")

_SCHEMA = re.compile(r"out-of-date database schema|Can't locate revision")
"""MLflow's messages for a database without its tables, or with another version's."""


@contextmanager
def database(path: Path, what: str) -> Iterator[None]:
    """Turn SQLite's errors in the block into refusals that name the file at `path`.

    Raises:
        StorageFailed: another program locks it, the disk is full, it cannot be opened or written.
        ArtifactTampered: it is not a database, or a broken one.
    """
    try:
        yield
    except (PipelineError, UsageError):
        raise
    except Exception as error:
        if (refusal := database_refusal(path, what, error)) is None:
            raise
        raise refusal from error


def require_whole(path: Path, what: str) -> None:
    """Refuse a truncated file before a tool opens it: some would make a new one in its place.

    An empty file passes: SQLite makes a database of it at first use.

    Raises:
        ArtifactTampered: its header is not a database's, or it is shorter than that says.
    """
    if path.is_file() and (why := flaw(path)):
        raise _broken(path, what, why)


def require_made(path: Path, what: str) -> None:
    """Refuse an empty file too, for a database that is created atomically: it was emptied.

    Raises:
        ArtifactTampered: it is empty, or not a complete database.
    """
    require_whole(path, what)
    if path.is_file() and not path.stat().st_size and not _is_being_written(path):
        raise _broken(path, what, "it is empty")


def flaw(path: Path) -> str:
    """Why a file is not a complete database, by its header alone; "" if it may be one."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    if not head:
        return ""
    if len(head) < _HEADER or not head.startswith(_MAGIC):
        return "it does not begin as a database does"
    size, page = path.stat().st_size, int.from_bytes(head[16:18], "big")
    counted = int.from_bytes(head[28:32], "big") if head[24:28] == head[92:96] else 0
    whole = counted * (65_536 if page == 1 else page)
    if size >= whole or _is_being_written(path) or path.stat().st_size >= whole:
        return ""
    return f"its header counts {whole:,} bytes"


def _is_being_written(path: Path) -> bool:
    """Whether there is a journal, with which SQLite itself completes the file."""
    journals = (path.with_name(path.name + end) for end in ("-wal", "-journal"))
    return any(journal.is_file() and journal.stat().st_size for journal in journals)


def find_damage(path: Path) -> str:
    """Why a file is not an intact database, after a check of every page; "" if it is one."""
    if why := flaw(path) or ("" if path.stat().st_size else "it is empty"):
        return why
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return "" if _code(error) in _LOCKED | _NOT_OPENED else str(error)
    return "" if result == "ok" else str(result).replace("\n", " ")


def database_refusal(path: Path, what: str, error: BaseException | None) -> PipelineError | None:
    """The refusal for the SQLite error in an exception's chain of causes; None if there is none."""
    while error is not None and not hasattr(error, "sqlite_errorcode"):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    code = _code(error)
    if code in _LOCKED:
        return StorageFailed(
            f"{path}, the {what}, is locked by another program ({error}): close what has it open, "
            f"such as a database browser or another `make` (`fuser {shell_quote(path)}` or `lsof "
            f"{shell_quote(path)}` names it), then run the same again; nothing was half-written"
        )
    if code in _BROKEN or (code == sqlite3.SQLITE_ERROR and _ANOTHER.search(str(error))):
        return _broken(path, what, str(error))
    number = _ERRNOS.get(code)
    return None if number is None else storage_failure(path, OSError(number, str(error)))


def refusal_after(path: Path, what: str, error: Exception) -> PipelineError | None:
    """The refusal for a tool's own exception about a broken database; None for a bug."""
    if refusal := database_refusal(path, what, error):
        return refusal
    why = find_damage(path) if path.is_file() else ""
    if not why and _SCHEMA.search(str(error)):
        why = str(error).splitlines()[0]
    return _broken(path, what, why) if why else None


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _broken(path: Path, what: str, why: str) -> ArtifactTampered:
    size = path.stat().st_size if path.is_file() else 0
    return ArtifactTampered(f"{path} is no {what} of {size:,} bytes ({why}); {REPAIR}")
