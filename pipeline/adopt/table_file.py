"""The one table of a folder: CSV or Parquet, read as text, with columns named as identifiers."""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.shared.files import bytes_hash
from pipeline.shared.source import MAX_UNPACKED_BYTES
from pipeline.tabular.declaration import identifier

_SUFFIXES = (".csv", ".parquet")
SEPARATORS = ",;\t|"
LEAST_ROWS = 100
"""Below this nothing can be held out that says anything."""
_BOM = b"\xef\xbb\xbf"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NOTHING = frozenset(
    "#N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN None n/a nan "
    "null".split()
)
"""Words that every later reader of the table takes for a missing value, too."""
_UNQUOTED = re.compile(r'"[^"]*"?')


@dataclass(frozen=True)
class _Kind:
    """A kind of file: its name, the ending that says so, and the command that helps."""

    name: str
    suffix: str
    command: str


_KINDS = {
    b"PAR1": _Kind("Parquet", ".parquet", "mv {0} {1}"),
    b"\x1f\x8b": _Kind("gzip", ".csv.gz", "mv {0} {1} && gunzip {1}"),
    b"PK\x03\x04": _Kind("a ZIP archive or a workbook", ".zip", "unzip -l {0}"),
    b"ARROW1": _Kind("Arrow", ".arrow", "mv {0} {1}"),
    b"SQLite format 3": _Kind("a database of SQLite", ".db", "mv {0} {1}"),
    b"%PDF": _Kind("a PDF", ".pdf", "mv {0} {1}"),
}
"""By the bytes that a file of that kind begins with."""


@dataclass(frozen=True)
class SourceTable:
    """A table as it was given: every value as text, and what was done to read it."""

    path: Path
    sha256: str
    rows: pd.DataFrame
    published: dict[str, str]
    """The published name of each column."""
    notes: list[str]


def _find(folder: Path) -> Path:
    """The only table in a folder, or the table itself where a file is named.

    Raises:
        AdoptionRefused: there is no such folder, or no table or more than one in it.
    """
    if folder.is_file() and folder.suffix.lower() in _SUFFIXES:
        return folder
    if not folder.is_dir():
        raise AdoptionRefused(
            f"{folder} is no folder and no table in CSV or Parquet: 0 tables are there, 1 is "
            "needed; `make adopt FROM=folder`"
        )
    tables = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables[:5]) or "none"
        raise AdoptionRefused(
            f"{folder} holds {len(tables)} tables ({names}), 1 is needed, CSV or Parquet: move "
            f"the others away, or join them first; `ls {shell_quote(folder)}`"
        )
    return tables[0]


def read(folder: Path) -> SourceTable:
    """The table of a folder, as text.

    Raises:
        AdoptionRefused: it cannot be read, or is too small to hold anything out.
    """
    path = _find(folder)
    if (size := path.stat().st_size) > MAX_UNPACKED_BYTES:
        raise _refuse(
            path, f"has {size:,} bytes, at most {MAX_UNPACKED_BYTES:,} are read: sample it"
        )
    content = path.read_bytes()
    if not content:
        raise _refuse(path, f"is empty: 0 bytes, 0 of {LEAST_ROWS} rows; export it again")
    _require_kind(path, content)
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
    return SourceTable(path, bytes_hash(content), rows.set_axis(names, axis=1), published, notes)


def _refuse(path: Path, what: str) -> AdoptionRefused:
    return AdoptionRefused(f"{path.name} {what}; `head -c 300 {shell_quote(path)}` shows it")


def _require_kind(path: Path, content: bytes) -> None:
    """Refuse a file whose first bytes are those of another kind than its ending's."""
    wanted = ".parquet" if path.suffix.lower() == ".parquet" else ".csv"
    mark = next((one for one in _KINDS if content.startswith(one)), None)
    if mark is None or (kind := _KINDS[mark]).suffix == wanted:
        return
    command = kind.command.format(shell_quote(path), shell_quote(path.with_suffix(kind.suffix)))
    raise AdoptionRefused(
        f"{path.name} is {kind.name} by the first {len(mark)} of its {len(content):,} bytes, "
        f"its ending says {wanted}: `{command}`, and a table in CSV or Parquet is needed"
    )


def _from_parquet(path: Path, content: bytes, notes: list[str]) -> bytes:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's errors are these
        raise _refuse(
            path,
            f"is no Parquet: {type(error).__name__} in {len(content):,} bytes; export it again, or "
            f"name it .csv if it is one",
        ) from error
    notes.append("Parquet, kept as CSV")
    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index(named) if named else frame
    return frame.to_csv(index=False).encode()


def _from_csv(path: Path, content: bytes, notes: list[str]) -> pd.DataFrame:
    text = _decode(path, content, notes)
    separator = max(SEPARATORS, key=_UNQUOTED.sub("", text.partition("\n")[0]).count)
    if separator != ",":
        notes.append(f"columns are separated by {separator!r}")
    try:
        header = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        _require_names(path, header)
        rows = pd.read_csv(
            io.StringIO(text), dtype="str", sep=separator, keep_default_na=False, na_values=[""]
        )
    except (ValueError, csv.Error, pd.errors.ParserError) as error:
        columns = text.partition("\n")[0].count(separator) + 1
        raise _refuse(path, f"is no table of {columns} columns: {error}".strip()) from error
    if not isinstance(rows.index, pd.RangeIndex):
        raise _refuse(
            path, f"has rows with more values than its {len(rows.columns)} columns; export it again"
        )
    if len(rows.columns) < 2:
        raise _refuse(
            path, f"has {len(rows.columns)} column, at least 2 are needed: export it again"
        )
    return _without_words_for_nothing(rows, notes)


def _decode(path: Path, content: bytes, notes: list[str]) -> str:
    """The text of a file, its lines ended by a line feed, without what stands before the first."""
    if content.startswith(_BOM):
        content = content.removeprefix(_BOM)
        notes.append("a byte-order mark was left out")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        encoding = next((of for mark, of in _ENCODINGS.items() if content.startswith(mark)), None)
        raise _refuse(
            path,
            f"is not UTF-8: byte {error.start:,} of {len(content):,} is "
            f"0x{content[error.start]:02x}; `iconv -f {encoding or 'latin1'} -t utf-8`",
        ) from error
    if (zero := text.find("\0")) >= 0:
        raise _refuse(path, f"is no text: byte {zero:,} of {len(content):,} is 0; export it as CSV")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")


def _require_names(path: Path, header: list[str]) -> None:
    """Refuse a first line that names columns twice, or holds values instead of names."""
    _require_distinct(path, header, "in its first line")
    values = [one for one in header if _is_number(one)]
    if 2 * len(values) > len(header):
        raise _refuse(
            path,
            f"has numbers for {len(values)} of {len(header)} names of columns "
            f"({', '.join(values[:3])}): write a first line of names above its first row",
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _without_words_for_nothing(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows with the usual words for a missing value left empty, each noted."""
    for name in rows.columns:
        words = rows[name][rows[name].isin(_NOTHING)].value_counts()
        if len(words):
            said = ", ".join(f"{word!r} in {count:,} rows" for word, count in words.items())
            notes.append(f"column {name}: {said} taken for a missing value")
            rows[name] = rows[name].where(~rows[name].isin(_NOTHING))
    return rows


def _require_distinct(path: Path, names: list[str], where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        said = ", ".join(one or "(no name)" for one in twice)
        raise _refuse(
            path,
            f"has {len(names)} columns, {len(set(names))} distinct {where}: {said} more than once; "
            "rename them",
        )
