"""Reading and writing files so that a reader never meets half of one, and digests that hold."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
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

LEFT_OVER = (
    "__pycache__",
    "*.pyc",
    "*.tmp",
    ".ipynb_checkpoints",
    ".DS_Store",
    "._*",
    ".directory",
    "Thumbs.db",
    "desktop.ini",
    "*~",
    ".*.sw?",
)
"""What runs, file managers and editors leave in a folder; .dvcignore names the same."""
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""Two containers that share a folder number their processes alike."""
_WRITER = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")
_ABANDONED_SECONDS = 86_400


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` only if the block succeeds.

    Raises:
        StorageFailed: the disk is full or the folder cannot be written; `path` is as it was.
    """
    temporary = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = own_temporary(path)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if (failed := storage_failure(path, error)) is not None:
            raise failed from error
        raise
    finally:
        if temporary != path:
            temporary.unlink(missing_ok=True)


def own_temporary(path: Path) -> Path:
    """A name beside `path` that no other writer has; what killed ones left there is removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp*"):
        if not _being_written(left):
            remove(left)
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _being_written(temporary: Path) -> bool:
    """Whether its writer may still live; another machine's is given a day."""
    named = _WRITER.search(temporary.name)
    if named is None:
        return False
    if named["host"] != _HOST:
        with contextlib.suppress(FileNotFoundError):
            return time.time() - temporary.stat().st_mtime < _ABANDONED_SECONDS
        return False
    try:
        os.kill(int(named["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove(path: Path) -> None:
    """Take a file or a folder away, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a whole file its name, or leave the one that has it already; the temporary goes."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links, such as exFAT
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not path.exists():
                temporary.rename(path)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def storage_failure(path: Path, error: OSError) -> StorageFailed | None:
    """What to say when writing to `path` failed for want of room or rights; None for a bug."""
    if error.errno not in _STORAGE_ERRNOS:
        return None
    folder = next(p for p in [path.parent, *path.parent.parents] if p.is_dir())
    free = shutil.disk_usage(folder).free / 1e6
    return StorageFailed(
        f"cannot write {path}: {error.strerror or error}; {free:,.1f} MB are free in {folder}/; "
        "nothing was half-written: make room or check the folder's owner, then run the same again"
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write `frame` as Parquet (zstd, no index); equal frames give equal bytes in one version."""
    with atomic_write(path) as temporary:
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


def members(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files of a folder that belong to it, in order: none that a file manager left there."""
    found = [path for path in folder.glob(pattern) if path.is_file()]
    return sorted(path for path in found if not is_left_over(path.relative_to(folder)))


def is_left_over(path: Path) -> bool:
    """Whether a path, as seen from its folder, is what a tool, a file manager or an editor left."""
    return any(fnmatchcase(part, left) for part in path.parts for left in LEFT_OVER)


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
