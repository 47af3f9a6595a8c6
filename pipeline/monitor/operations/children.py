"""The programs that `make monitor-live` starts and ends: Prometheus, Alertmanager, our exporter."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pipeline
from pipeline.shared.errors import EnvironmentUnfit

PACKAGES = {
    "prometheus": ("prometheus",),
    "promtool": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("prometheus-alertmanager",),
}
"""Programs, by what Debian calls their package; where a program has another name there, both."""
_GRACE_SECONDS = 5.0
_DIE_WITH_PARENT = 1
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
"""Looked up before any fork: a child may hold no lock that another thread of ours has."""


def program(name: str) -> str:
    """Where a program is.

    Raises:
        EnvironmentUnfit: it is not installed; says which package has it.
    """
    names = [name, *PACKAGES[name]] if name == "alertmanager" else [name]
    if (found := next((path for one in names if (path := shutil.which(one))), None)) is None:
        raise EnvironmentUnfit(
            f"there is no {name} here, and none comes with the lock: install Debian's package "
            f"{PACKAGES[name][0]}, end the service that it starts, and run `make monitor-live`"
        )
    return found


class Child:
    """A process that ends when its block does, and where Linux runs it, with whoever started it."""

    def __init__(self, command: list[str], folder: Path):
        """Start it in a folder, where what it says is kept beside what it writes."""
        self.log = folder / f"{Path(command[0]).name}.log"
        root = str(Path(pipeline.__file__).parents[1])
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": root},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is for who started it, who ends it in order
                preexec_fn=_die_with_parent,
            )

    def __enter__(self) -> "Child":
        """Nothing more to do: it runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and wait until it has."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone already."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()


def _die_with_parent() -> None:
    if _PRCTL is not None:
        _PRCTL(_DIE_WITH_PARENT, signal.SIGKILL)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT leave the block as an exception does, so that children are ended."""

    def end(number: int, _: FrameType | None) -> None:
        for name in told:
            signal.signal(name, signal.SIG_IGN)  # once is enough: what is being ended ends
        raise SystemExit(128 + number)

    told = (signal.SIGTERM, signal.SIGINT)
    before = {name: signal.signal(name, end) for name in told}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def page(url: str) -> str | None:
    """What is read at an address of this machine; None where nothing answers well."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return None
