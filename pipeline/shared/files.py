"""Reading and writing files so that a reader never meets half of one, and digests that hold."""

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.shared.errors import ArtifactMissing, StorageFailed

MAX_JSON_BYTES = 4_000_000
"""Ten times the largest that a stage writes: data/validate/report.json, with a year of months."""
MAX_JSON_DEPTH = 50
"""No stage nests ten deep; far deeper, Python's own parser runs out of stack."""
_JSON_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)

_STORAGE_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.EIO,
}

_SQLITE_ERRNOS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` only if the block succeeds.

    Raises:
        StorageFailed: the disk is full or the folder cannot be written; `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.tmp*"):
            left.unlink(missing_ok=True)  # by a run that was killed
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if (failed := storage_failed(path, error)) is not None:
            raise failed from error
        raise
    finally:
        if temporary.exists():
            temporary.unlink()


def storage_failed(path: Path, error: OSError) -> StorageFailed | None:
    """What to say when writing to `path` failed for want of room or rights; None for a bug."""
    if error.errno not in _STORAGE_ERRNOS:
        return None
    folder = next(p for p in [path.parent, *path.parent.parents] if p.is_dir())
    free = shutil.disk_usage(folder).free / 1e6
    return StorageFailed(
        f"cannot write {path}: {error.strerror or error}; {free:,.1f} MB are free in {folder}/; "
        "nothing was half-written: make room or check the folder's owner, then run the same again"
    )


def database_error(error: BaseException | None) -> OSError | None:
    """SQLite's failure to write behind an exception, however many tools have wrapped it."""
    while error is not None:
        number = _SQLITE_ERRNOS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if number is not None:
            return OSError(number, str(error))
        error = error.__cause__ or error.__context__
    return None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write `frame` as Parquet (zstd, no index); equal frames give equal bytes in one version."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def read_json(path: Path, made_by: str) -> Any:
    """Read JSON written by the stage `made_by`.

    Raises:
        ArtifactMissing: the file is not there, is not JSON, or too much of it.
    """
    _require(path, made_by)
    try:
        return parse_json(read_at_most(path, MAX_JSON_BYTES))
    except ValueError as error:
        raise ArtifactMissing(f"{path} is not JSON ({error}); run `make {made_by}`") from error


def read_at_most(path: Path, limit: int) -> bytes:
    """A file's bytes, if they are no more than `limit`; a larger file is not read to its end.

    Raises:
        ValueError: it is larger; says both sizes.
    """
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, at most {limit:,} are read")
    return content


def parse_json(content: bytes) -> Any:
    """Parse JSON that is not nested deeper than anything that the pipeline writes.

    Raises:
        ValueError: it is not JSON, or it is nested too deeply.
    """
    depth = deepest = 0
    for mark in _JSON_MARKS.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark[0], 0)
        deepest = max(deepest, depth)
    if deepest > MAX_JSON_DEPTH:
        raise ValueError(f"it is nested {deepest:,} deep, at most {MAX_JSON_DEPTH} are read")
    return json.loads(content.decode("utf-8"))


def read_parquet(path: Path, made_by: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read Parquet written by the stage `made_by`.

    Raises:
        ArtifactMissing: the file is not there, or is not Parquet.
    """
    _require(path, made_by)
    import pyarrow

    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise ArtifactMissing(
            f"{path} cannot be read as Parquet ({error}); run `make {made_by}`"
        ) from error


def _require(path: Path, made_by: str) -> None:
    if not path.is_file():
        raise ArtifactMissing(f"{path} is missing; `make {made_by}` writes it")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def bytes_hash(content: bytes) -> str:
    """SHA-256 of bytes, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, as 64 hex digits."""
    return bytes_hash(text.encode())


def content_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's names, types and values in order, whatever file format holds them."""
    digest = hashlib.sha256(json.dumps([len(frame), len(frame.columns)]).encode())
    for name in frame.columns:
        column = frame[name]
        missing = column.isna().to_numpy()
        content = np.packbits(missing).tobytes() + _column_bytes(column, missing)
        digest.update(json.dumps([name, str(column.dtype), len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def _column_bytes(column: pd.Series, missing: np.ndarray) -> bytes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if column.dtype.kind in "OUT":
        texts = [b"" if gone else _text_bytes(v) for v, gone in zip(column, missing, strict=True)]
        lengths = np.fromiter(map(len, texts), "int64", len(texts))
        return lengths.tobytes() + b"".join(texts)
    values = column.to_numpy()
    if missing.any():
        values = np.where(missing, np.zeros(1, values.dtype), values)
    return np.ascontiguousarray(values).tobytes()


def _text_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return f"\0{type(value).__name__} {value!r}".encode()
