"""Published files: located, verified by digest, and read as tables of declared types."""

import importlib.util
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.shared.errors import SourceRejected
from pipeline.shared.files import bytes_hash

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, IndexError),
    RuntimeError,  # an archive that claims to be encrypted, or of an unknown kind
)
MAX_UNPACKED_BYTES = 200_000_000
"""Six times the largest published file; a table in memory takes several times as much."""
MAX_RATIO = 100
"""Limit against zip bombs: a table compresses to a quarter, repetition to far less."""


@dataclass(frozen=True)
class PublishedColumns:
    """The columns of a published file in order; those that are neither text nor whole are real."""

    names: list[str]
    text: frozenset[str]
    whole: frozenset[str]


def locate(source: str) -> Path:
    """The folder of the published files: a folder, or an installed package's data."""
    if Path(source).is_dir():
        return Path(source)
    spec = importlib.util.find_spec(source) if source.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise SourceRejected(
            f"source {source!r} is neither a folder nor an installed package; run `make setup`"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def read_pinned(folder: Path, name: str, expected: str) -> bytes:
    """A published file's bytes, verified against their pinned SHA-256.

    Raises:
        SourceRejected: the file is missing or its hash differs.
    """
    path = folder / name
    if not path.is_file():
        raise SourceRejected(f"{name} is missing in {folder}; run `make setup` to install it again")
    content = path.read_bytes()
    if (actual := bytes_hash(content)) != expected:
        raise SourceRejected(
            f"{name} has SHA-256 {actual[:12]}…, configs/ingest.yaml pins {expected[:12]}…; "
            "reinstall it (`make setup`), or pin the new hash after looking at what changed"
        )
    return content


def parse_published(name: str, content: bytes, columns: PublishedColumns) -> pd.DataFrame:
    """A published CSV file as a table with exactly `columns`, in that order and of their types.

    Raises:
        SourceRejected: it cannot be read, columns differ, or a value is not of its column's type.
    """
    try:
        if name.endswith(".zip"):
            content = _unzip(name, content)
        table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys(columns.text, "str"))
    except _UNREADABLE as error:
        raise SourceRejected(
            f"{name} cannot be read ({error}); it holds {len(content):,} bytes: "
            "reinstall it with `make setup`"
        ) from error
    return _convert_types(name, _with_columns(name, table, columns.names), columns)


def _unzip(name: str, content: bytes) -> bytes:
    """The one member of an archive, read up to its limit, whatever size its header claims."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise SourceRejected(
                f"{name} holds {len(members):,} files, 1 was agreed: reinstall it with `make setup`"
            )
        limit = min(MAX_UNPACKED_BYTES, MAX_RATIO * len(content))
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"packed by method {members[0].compress_type}, agreed are 0 and 8")
        with archive.open(members[0]) as member:
            unpacked = member.read(limit + 1)
    if len(unpacked) > limit:
        raise SourceRejected(
            f"{name} unpacks to more than {limit:,} bytes from {len(content):,}, the limit is "
            f"{MAX_UNPACKED_BYTES:,} and {MAX_RATIO} times its size: reinstall it with `make setup`"
        )
    return unpacked


def _with_columns(name: str, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    missing, extra = set(columns) - set(table.columns), set(table.columns) - set(columns)
    if missing or extra:
        raise SourceRejected(
            f"{name} has {len(table.columns)} columns, {len(columns)} were agreed: "
            f"missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}; "
            "correct the file, or agree on the new columns in the use case's published.py"
        )
    return table[columns]


def _convert_types(name: str, table: pd.DataFrame, columns: PublishedColumns) -> pd.DataFrame:
    for column in table.columns.difference(list(columns.text)):
        numbers = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        whole = column in columns.whole
        bad = (numbers.isna() & (whole | table[column].notna())) | (whole & (numbers % 1 != 0))
        if bad.any():
            raise SourceRejected(
                f"{name}: column {column} has {int(bad.sum()):,} of {len(table):,} values that are "
                f"not {'whole ' if whole else ''}numbers, first in row "
                f"{int(bad.to_numpy().argmax())}: {table[column][bad].iloc[0]!r}; "
                "correct the file at its source"
            )
        table = table.assign(**{column: numbers.astype("int64" if whole else "float64")})
    return table
