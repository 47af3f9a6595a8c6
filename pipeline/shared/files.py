"""Atomic file writes, bounded reads, and digests.

pandas is imported by the functions that need it: a command that reads records alone starts in a
fifth of the time.
"""

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
from typing import TYPE_CHECKING, Any

from pipeline.shared.errors import ArtifactMissing, StorageFailed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_JSON_BYTES = 4_000_000
"""Ten times the largest file of a stage, data/validate/report.json with a year of months."""
MAX_JSON_DEPTH = 50
"""No stage nests ten deep; Python's parser runs out of stack far deeper."""
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
"""Files that Python, file managers and editors leave in a folder; .dvcignore lists the same."""
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""Tells apart containers that share a folder and have equal process numbers."""
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
    """A unique temporary name beside `path`; leftovers of killed writers are removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp*"):
        if not _being_written(left):
            remove(left)
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _being_written(temporary: Path) -> bool:
    """Whether its writer may be alive; another machine's is taken for alive for a day."""
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
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Rename a complete temporary file to `path`, unless `path` exists; the temporary goes."""
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
    """The refusal for a write that failed for lack of space or permission; None for a bug."""
    if error.errno not in _STORAGE_ERRNOS:
        return None
    folder = next(p for p in [path.parent, *path.parent.parents] if p.is_dir())
    free = shutil.disk_usage(folder).free / 1e6
    return StorageFailed(
        f"cannot write {path}: {error.strerror or error}; {free:,.1f} MB are free in {folder}/; "
        "nothing was half-written: make room or check the folder's owner, then run the same again"
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_parquet(path: Path, frame: "pd.DataFrame") -> None:
    """Write `frame` as Parquet (zstd, no index); equal frames give equal bytes in one version."""
    with atomic_write(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def read_json(path: Path, made_by: str) -> Any:
    """Read JSON written by the stage `made_by`.

    Raises:
        ArtifactMissing: the file is not there, is not JSON, or is too large.
    """
    _require(path, made_by)
    try:
        return parse_json(read_at_most(path, MAX_JSON_BYTES))
    except ValueError as error:
        raise ArtifactMissing(f"{path} is not JSON ({error}); run `make {made_by}`") from error


def read_at_most(path: Path, limit: int) -> bytes:
    """A file's bytes, at most `limit` of them.

    Raises:
        ValueError: it is larger, with both sizes.
    """
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, at most {limit:,} are read")
    return content


def parse_json(content: bytes) -> Any:
    """Parse JSON of limited depth.

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


def read_parquet(path: Path, made_by: str, columns: list[str] | None = None) -> "pd.DataFrame":
    """Read Parquet written by the stage `made_by`.

    Raises:
        ArtifactMissing: the file is not there, or is not Parquet.
    """
    _require(path, made_by)
    import pandas as pd
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
    """A folder's files in order, without leftovers of tools."""
    paths = [path for path in folder.glob(pattern) if path.is_file()]
    return sorted(path for path in paths if not is_left_over(path.relative_to(folder)))


def is_left_over(path: Path) -> bool:
    """Whether a path, relative to its folder, is a leftover of a tool, file manager or editor."""
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


def content_hash(frame: "pd.DataFrame") -> str:
    """SHA-256 of a table's names, types and values in order, independent of the file format."""
    import numpy as np

    digest = hashlib.sha256(json.dumps([len(frame), len(frame.columns)]).encode())
    for name in frame.columns:
        column = frame[name]
        missing = column.isna().to_numpy()
        content = np.packbits(missing).tobytes() + _column_bytes(column, missing)
        digest.update(json.dumps([name, str(column.dtype), len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def _column_bytes(column: "pd.Series", missing: "np.ndarray") -> bytes:
    import numpy as np
    import pandas as pd

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
