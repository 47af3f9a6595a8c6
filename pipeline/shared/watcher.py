"""Kills what a supervisor had started, once the supervisor is gone, however it went.

Run by path with the standard library alone. Its standard input is a pipe that the supervisor holds
open; when that process ends, even by SIGKILL, the system closes the pipe on Linux and macOS alike.
"""

import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path

PID = ".pid"
"""How the files end that hold a child's number, and that the child itself keeps locked."""


def is_locked(path: Path) -> bool:
    """Whether a process that lives keeps a file locked; nobody locks a file that is not there."""
    try:
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def holder(path: Path) -> int:
    """The process that keeps a file locked; 0 if none does, or it has written no number yet.

    A number alone is not trusted: the system may have given it to another process since.
    """
    if is_locked(path):
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
    return 0


def kill_all(folder: Path) -> int:
    """SIGKILL to every child of a folder that still runs; how many."""
    killed = 0
    for path in sorted(folder.glob(f"*{PID}")):
        if pid := holder(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # they are for the supervisor, which ends in order
    sys.stdin.buffer.read()
    kill_all(Path(sys.argv[1]))
