"""Reading without writing: JSON, SQLite and hash chains, or a `Missing` with the way out.

SQLite may write when it opens a database: it finishes a transaction that a kill interrupted, and
makes the shared memory of a write-ahead log. Neither happens here.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.records.hash_chain import Link, copy_path, next_link, salvage_copy
from pipeline.shared import yaml_files
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.errors import shell_quote
from pipeline.shared.files import MAX_JSON_BYTES, parse_json, read_at_most

_LOCKED_SECONDS = 0.2
"""The longest wait for another program's lock: a page is better late than stuck."""
_WAL = 2
"""The file format, in bytes 18 and 19 of a database, of one with a write-ahead log."""
C = TypeVar("C", bound=StageConfig)
T = TypeVar("T")


class Fact(BaseModel):
    """A fact that a file holds among others: what the page does not show is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Missing:
    """A fact that is not there: its name, the reason, and the command that makes it.

    The command may be given in backticks, as people read it.
    """

    what: str
    why: str
    command: str
    missing: bool = True
    """What a template asks of a fact."""

    def __post_init__(self) -> None:
        """Take the backticks off."""
        object.__setattr__(self, "command", self.command.strip("`"))


@dataclass(frozen=True)
class Chain:
    """The valid links of a hash chain, and the reason why there are no more; "" if it is whole."""

    links: list[Link]
    flaw: str = ""


_kept: dict[Path, tuple[tuple[int, ...], Any]] = {}


def unless_changed(path: Path, read: Callable[[], T | Missing]) -> T | Missing:
    """Return an earlier reading of a chain, and read it again if it or its copy has changed.

    A page is drawn every second, and a chain of a year takes a while to parse and to verify.
    """
    stamp = tuple(
        value
        for one in (path, copy_path(path))
        if one.is_file() and (stat := one.stat())
        for value in (stat.st_mtime_ns, stat.st_size)
    )
    if path in _kept and _kept[path][0] == stamp:
        known: T = _kept[path][1]
        return known
    found = read()
    if stamp and not isinstance(found, Missing):
        _kept[path] = (stamp, found)
    return found


def read_json(kind: type[T], path: Path, what: str, command: str) -> T | Missing:
    """Read JSON that a command writes as `kind`; a `Missing` without it, or with half of it."""
    try:
        content: Any = parse_json(read_at_most(path, MAX_JSON_BYTES))
        return TypeAdapter(kind).validate_python(content)
    except FileNotFoundError:
        return Missing(what, f"{path.name} is not there yet", command)
    except OSError as error:
        return Missing(what, f"{path.name} cannot be read: {error.strerror}", command)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "as a whole"
        return Missing(what, f"{path.name} is of another kind: {place}", command)
    except ValueError:
        return Missing(what, f"{path.name} is half-written or no JSON", command)


def read_config(folder: Path, section: type[C]) -> C | Missing:
    """Read configs/<stage>.yaml of a folder."""
    path = folder / "configs" / f"{section.stage}.yaml"
    try:
        return section.model_validate(yaml_files.parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError, yaml.YAMLError):
        name = f"configs/{section.stage}.yaml"
        return Missing(
            name, "it is missing, or a key of it is wrong", f"`git diff {shell_quote(name)}`"
        )


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file for reading only.

    Raises:
        sqlite3.Error: it is no database, locked by another program, or in need of a repair.
    """
    with (
        contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?{_mode(path)}", _LOCKED_SECONDS, uri=True)
        ) as connection,
    ):
        connection.execute("PRAGMA query_only=1")
        yield connection


def _mode(path: Path) -> str:
    """How to open a database: without its shared memory, a read of a log would create that."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        has_log = stream.read(20)[18:20] == bytes([_WAL, _WAL])
        if has_log and not path.with_name(f"{path.name}-shm").exists():
            return "immutable=1"
    return "mode=ro"


def read_chain(path: Path, what: str, command: str) -> Chain | Missing:
    """Read a hash chain, from its copy where the database cannot be read."""
    copied, spoilt = salvage_copy(path)
    if not path.is_file():
        if copied:
            return Chain(copied, f"{path.name} is lost, and its copy has {len(copied)} entries")
        return Missing(what, f"{path.name} is not there yet", command)
    try:
        found, flaw = _valid_links(path)
    except sqlite3.Error as error:
        return _of_copy(path, what, copied, str(error))
    if len(found) < len(copied) and not flaw:
        flaw = f"it holds {len(found)} entries, its copy {len(copied)}"
    if not found and not copied and not flaw:
        return Missing(what, f"{path.name} is empty", command)
    return Chain(found, flaw or (f"{copy_path(path).name}: {spoilt}" if spoilt else ""))


def _of_copy(path: Path, what: str, copied: list[Link], why: str) -> Chain | Missing:
    """The copy of a chain whose database another program has locked, or that is broken."""
    locked = "locked" in why or "busy" in why
    if copied:
        return Chain(copied, "" if locked else f"{path.name}: {why}")
    if locked:
        return Missing(
            what, f"{path.name} is locked by another program", f"fuser {shell_quote(path)}"
        )
    return Missing(what, f"{path.name} cannot be read: {why}", "make repair")


def _valid_links(path: Path) -> tuple[list[Link], str]:
    found: list[Link] = []
    with open_database(path) as connection:
        rows = connection.execute("SELECT number, entry, hash FROM ledger ORDER BY number")
        for number, text, digest in rows:
            right = next_link(found, text)
            if (number, digest) != (right.number, right.hash):
                return found, f"entry {number} is not what was written there"
            found.append(right)
    return found, ""
