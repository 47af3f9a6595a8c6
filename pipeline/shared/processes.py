"""Child processes that never outlive their parent, on Linux and macOS alike.

A child is stopped by its supervisor; by `watcher`, if the supervisor was killed; and by the next
supervisor of the same folder, if the watcher was killed too.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from pipeline.shared import watcher

_GRACE_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_WITH_NUMBER = 'printf %s $$ >"$0" && exec "$@"'
"""A child writes its process id itself: its supervisor may be killed before it knows the id."""


class Patience:
    """A timeout in awake time.

    While a machine sleeps or a process is stopped, clocks go on; such a gap counts as one second at
    most.
    """

    def __init__(self, seconds: float):
        """Time out `seconds` from now."""
        self._whole = seconds
        self.renew()

    def renew(self) -> None:
        """Restart the timeout."""
        self._left, self._looked = self._whole, time.monotonic()

    def over(self) -> bool:
        """Whether the time is used up; to be called repeatedly while waiting."""
        now = time.monotonic()
        self._left -= min(now - self._looked, 1.0)
        self._looked = now
        return self._left <= 0


@contextlib.contextmanager
def handle_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let SIGTERM and SIGINT call `handler` within the block, then do what they did before."""
    before = {name: signal.signal(name, handler) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, earlier in before.items():
            signal.signal(name, earlier)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an exception within the block, so that children are ended."""

    def end(number: int, _: FrameType | None) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)  # a second signal must not interrupt the exit
        raise SystemExit(128 + number)

    with handle_signals(end):
        yield


class Process(Protocol):
    """A child process: its id, and whether it has ended."""

    @property
    def pid(self) -> int:
        """Its process id, not reused until `poll` has returned its exit code."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""


class _Forked:
    """A forked child."""

    def __init__(self, pid: int):
        self.pid, self._code = pid, None

    _code: int | None

    def poll(self) -> int | None:
        if self._code is None and (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            self._code = os.waitstatus_to_exitcode(found[1])
        return self._code


class Supervisor:
    """Starts children by name; they end with the block, or with this process."""

    def __init__(self, folder: Path):
        """`folder` is this supervisor's alone; it holds each child's process id."""
        self.folder = folder.resolve()

    def __enter__(self) -> "Supervisor":
        """Stop an earlier supervisor's children, and start the watcher."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        watcher.kill_all(self.folder)
        read_end, self._pipe = os.pipe()
        command = [sys.executable, "-I", "-S", watcher.__file__, str(self.folder)]
        self._watcher = subprocess.Popen(
            command,
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at a terminal ends the supervisor, not its watcher
        )
        os.close(read_end)
        self._running: dict[str, Process] = {}
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every child, then the watcher."""
        self.stop(list(self._running))
        os.close(self._pipe)
        self._watcher.wait()

    def start(
        self,
        name: str,
        command: list[str],
        log: Path,
        cwd: Path | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program whose output is appended to `log`.

        It gets no signals of the terminal: its supervisor stops it.
        """
        environment = {**os.environ, **(changes or {})}
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
        with self._number(name).open("w") as number, log.open("ab") as stream:
            fcntl.flock(number, fcntl.LOCK_EX)  # held on by the child
            process = subprocess.Popen(
                ["/bin/sh", "-c", _WITH_NUMBER, str(self._number(name)), *command],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=[number.fileno()],
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def fork(self, name: str, work: Callable[[], object], log: Path) -> Process:
        """Fork a child that does `work` and shares the loaded libraries.

        Only from a process with one thread, and not on macOS, whose own libraries end such
        children.
        """
        with self._number(name).open("w") as number:
            fcntl.flock(number, fcntl.LOCK_EX)
            if not (pid := os.fork()):
                number.write(str(os.getpid()))
                number.flush()
                self._become(work, log)
        self._running[name] = process = _Forked(pid)
        return process

    def stop(self, names: list[str]) -> None:
        """Stop children: SIGTERM, and SIGKILL after some seconds."""
        left = [self._running.pop(name) for name in names if name in self._running]
        left = [process for process in left if process.poll() is None]
        for process in left:
            os.kill(process.pid, signal.SIGTERM)
        patience = Patience(_GRACE_SECONDS)
        while left and not patience.over():
            time.sleep(_PAUSE_SECONDS)
            left = [process for process in left if process.poll() is None]
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
        while any(process.poll() is None for process in left):
            time.sleep(_PAUSE_SECONDS)

    def _number(self, name: str) -> Path:
        return self.folder / f"{name}{watcher.PID}"

    def _become(self, work: Callable[[], object], log: Path) -> None:
        """Run `work` in the child, which then ends and never continues as a second supervisor."""
        code = 1
        try:
            os.close(self._pipe)  # otherwise this child would keep the watcher waiting
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, signal.SIG_DFL)
            os.setsid()
            stream = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            work()
            code = 0
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            if code:
                os.write(2, traceback.format_exc().encode())
            os._exit(code)
