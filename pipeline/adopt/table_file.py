"""The one table of a folder: CSV or Parquet, read as text, with columns named as identifiers."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.shared.files import bytes_hash
from pipeline.shared.source import MAX_UNPACKED_BYTES
from pipeline.tabular.declaration import identifier

KINDS = (".csv", ".parquet")
SEPARATORS = ",;\t|"
LEAST_ROWS = 100
"""Below this nothing can be held out that says anything."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Given:
    """A table as it was given: every value as text, and what was done to read it."""

    path: Path
    sha256: str
    rows: pd.DataFrame
    published: dict[str, str]
    """The published name of each column."""
    notes: list[str]


def find(folder: Path) -> Path:
    """The only table in a folder.

    Raises:
        AdoptionRefused: there is no such folder, or no table or more than one in it.
    """
    if not folder.is_dir():
        raise AdoptionRefused(
            f"{folder} is no folder: 0 files are there, 1 table is needed; `make adopt FROM=folder`"
        )
    tables = sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS and p.is_file())
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables[:5]) or "none"
        raise AdoptionRefused(
            f"{folder} holds {len(tables)} tables ({names}), 1 is needed, CSV or Parquet: move "
            f"the others away, or join them first; `ls {shell_quote(folder)}`"
        )
    return tables[0]


def read(folder: Path) -> Given:
    """The table of a folder, as text.

    Raises:
        AdoptionRefused: it cannot be read, or is too small to hold anything out.
    """
    path = find(folder)
    if (size := path.stat().st_size) > MAX_UNPACKED_BYTES:
        raise _refuse(
            path, f"has {size:,} bytes, at most {MAX_UNPACKED_BYTES:,} are read: sample it"
        )
    content = path.read_bytes()
    if not content:
        raise _refuse(path, f"is empty: 0 bytes, 0 of {LEAST_ROWS} rows; export it again")
    notes: list[str] = []
    text = content if path.suffix.lower() == ".csv" else _from_parquet(path, content, notes)
    rows = _from_csv(path, text, notes)
    if len(rows) < LEAST_ROWS:
        raise _refuse(
            path,
            f"has {len(rows):,} row(s), at least {LEAST_ROWS} are needed to hold some out: "
            "give more of them",
        )
    names = [identifier(str(column)) for column in rows.columns]
    _require_distinct(path, names, "as identifiers")
    published = dict(zip(names, map(str, rows.columns), strict=True))
    return Given(path, bytes_hash(content), rows.set_axis(names, axis=1), published, notes)


def _refuse(path: Path, what: str) -> AdoptionRefused:
    return AdoptionRefused(f"{path.name} {what}; `head -c 300 {shell_quote(path)}` shows it")


def _from_parquet(path: Path, content: bytes, notes: list[str]) -> bytes:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:  # pyarrow's errors are both
        raise _refuse(
            path,
            f"is no Parquet: {type(error).__name__} in {len(content):,} bytes; export it again",
        ) from error
    notes.append("Parquet, kept as CSV")
    return frame.to_csv(index=False).encode()


def _from_csv(path: Path, content: bytes, notes: list[str]) -> pd.DataFrame:
    if content.startswith(_BOM):
        content = content.removeprefix(_BOM)
        notes.append("a byte-order mark was left out")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _refuse(
            path,
            f"is not UTF-8: byte {error.start:,} of {len(content):,} is "
            f"0x{content[error.start]:02x}; `iconv -f latin1 -t utf-8`",
        ) from error
    if (zero := text.find("\0")) >= 0:
        raise _refuse(path, f"is no text: byte {zero:,} of {len(content):,} is 0; export it as CSV")
    header = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(SEPARATORS, key=header.count)
    if separator != ",":
        notes.append(f"columns are separated by {separator!r}")
    _require_distinct(path, next(csv.reader([header], delimiter=separator)), "in its first line")
    try:
        rows = pd.read_csv(io.StringIO(text), dtype="str", sep=separator, skip_blank_lines=True)
    except (ValueError, pd.errors.ParserError) as error:
        raise _refuse(
            path, f"is no table of {header.count(separator) + 1} columns: {error}".strip()
        ) from error
    if not isinstance(rows.index, pd.RangeIndex):
        raise _refuse(
            path, f"has rows with more values than its {len(rows.columns)} columns; export it again"
        )
    if len(rows.columns) < 2:
        raise _refuse(
            path, f"has {len(rows.columns)} column, at least 2 are needed: export it again"
        )
    return rows


def _require_distinct(path: Path, names: list[str], where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _refuse(
            path,
            f"has {len(names)} columns, {len(set(names))} distinct {where}: {', '.join(twice)} "
            "more than once; rename them",
        )
