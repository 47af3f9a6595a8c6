"""Locks that end with their process, and the watcher that kills a dead supervisor's children.

A holder locks exclusively; a query takes a shared lock for a moment, so a process that finds only
queries waits and tries again.

Run by path with the standard library alone. Its standard input is a pipe that the supervisor holds
open; when that process ends, even by SIGKILL, the system closes the pipe on Linux and macOS alike.
"""

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_PAUSE_SECONDS = 0.01
_ATTEMPTS = 500
PID = ".pid"
"""The suffix of the files with a child's process id, which the child keeps locked."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[int | None]:
    """Hold a lock until the block or process ends; yields its descriptor, None if it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as stream:
        while not (mine := _take(stream, fcntl.LOCK_EX)) and _take(stream, fcntl.LOCK_SH):
            fcntl.flock(stream, fcntl.LOCK_UN)  # not held, only queried just now
            time.sleep(_PAUSE_SECONDS)
        yield stream.fileno() if mine else None


def _take(stream: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a living process holds a lock; a missing file is not locked."""
    try:
        with path.open() as stream:
            return not _take(stream, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def holder(path: Path) -> int:
    """The process id in a locked file; 0 if it is not locked, or its owner has not stored it.

    The id alone is not trusted: the system may have reused it.
    """
    if is_locked(path):
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
    return 0


def kill_all(folder: Path) -> bool:
    """Kill every child of a folder; returns whether none is left.

    A child locks its file before it writes its id, so an unknown id is waited for.
    """
    for _ in range(_ATTEMPTS):
        left = [path for path in sorted(folder.glob(f"*{PID}")) if is_locked(path)]
        if not left:
            return True
        for pid in filter(None, map(holder, left)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)
    return False


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # they are for the supervisor, which stops in order
    sys.stdin.buffer.read()
    kill_all(Path(sys.argv[1]))
