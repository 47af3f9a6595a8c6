"""The judging side: starts the process of a solution, asks it, and ends it whatever it does."""

import contextlib
import json
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from inspect import getsource
from pathlib import Path
from typing import Any

from exercises.workbench import subject, wire
from exercises.workbench.catalogue import ROOT
from exercises.workbench.checking import Raised
from exercises.workbench.sandbox import (
    MB,
    Limits,
    environment,
    family,
    folder_size,
    isolation,
    kill,
    readable_places,
    resources,
)
from pipeline.shared.processes import Patience

CLOSING_SECONDS = 5  # from a process's closed pipes to its code, on a busy machine


class Ended(Exception):
    """The process of a solution is gone, or was ended, and why."""


class Subject:
    """A solution in a process of its own: `subject.name(...)` calls a function of its module."""

    def __init__(
        self, tree: Path, module: str, limits: Limits | None = None, guard: bool = False
    ) -> None:
        """`guard` is for solutions of others: no network if the system can, no file outside."""
        self._tree, self._module = tree.resolve(), module
        self._limits, self._guard = limits or Limits(), guard
        self.tried: set[str] = set()
        self.last_read, self.never_loads = "", False

    def __enter__(self) -> "Subject":
        """Prepare a scratch folder; the process starts with the first call."""
        self._folder = Path(tempfile.mkdtemp(prefix="subject-"))
        self._scratch = self._folder / "scratch"
        self._scratch.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.ends = 0
        self._stopped, self._is_new, self._waiting = "", True, False
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and everything that it started."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of the exercise's module, which runs in the solution's process."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.call(f"{self._module}:{name}", *args, **kwargs)

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Call "module:function" of the solution; the value comes back as plain data.

        Raises:
            Raised: the solution raised.
            Ended: it took too long or too much, or its process ended.
        """
        module, _, name = target.partition(":")
        return self._ask({"module": module, "name": name, "args": args, "kwargs": kwargs})

    def do(self, scenario: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function of the checks beside the solution, with its own imports; as `call`."""
        text = getsource(scenario)
        asked = {"scenario": text, "name": scenario.__name__, "args": args, "kwargs": kwargs}
        return self._ask(asked)

    def read(self, name: str, most: int = MB) -> str:
        """The text of a file of the solution, which no code of it touches.

        Raises:
            Ended: there is no such file, or it is too large, or no text.
        """
        path, self.last_read = self._tree / name, name
        try:
            if path.is_symlink() or not path.is_file():
                raise Ended(f"{name} is not there as a file of its own")
            if (size := path.stat().st_size) > most:
                raise Ended(f"{name} has {size:,} bytes, at most {most:,} are read")
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Ended(f"{name} cannot be read: {error}") from error

    def answer(self, name: str) -> Any:
        """A person's answer in answers.toml; "false" and "2" within quotes are false and 2.

        Raises:
            Ended: it is not given yet, or the file is no TOML.
        """
        try:
            answers = tomllib.loads(self.read("answers.toml"))
        except tomllib.TOMLDecodeError as error:
            raise Ended(f"answers.toml is no TOML: {error}") from error
        if answers.get(name, "") == "":
            raise Ended(f"{name} in answers.toml is not answered yet")
        return _unquoted(answers[name])

    def warm(self) -> None:
        """Start the process and let it import the module, while the caller imports its own."""
        with contextlib.suppress(Ended):
            if self._module:
                self._send(
                    {"module": "importlib", "name": "import_module", "args": (self._module,)}
                )

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        content = pickle.dumps({"kwargs": {}} | request)
        self._waiting = True
        try:
            self._process.stdin.write(subject.HEAD.pack(len(content)) + content)
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended("its process ended") from error

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._process is None:
            self.warm()
        if self._process is not None and self._waiting:
            self._receive()  # of `warm`, whose outcome the first call repeats
        self._send(request)
        reply = self._receive()
        self.tried.update(str(one)[:200] for one in reply.get("tried", [])[:20])
        if "raised" in reply:
            told = reply["raised"]
            place = (str(told["file"]), int(told["line"]), str(told["text"])[:200])
            raise Raised([str(one) for one in told["kinds"]], self._clean(told["words"]), place)
        return wire.decode(reply["value"])

    def _clean(self, words: object) -> str:
        """What a solution says, without the folders of this run and without control characters."""
        text = str(words).replace(str(self._tree), ".").replace(str(self._folder), "…")
        return "".join(c if c.isprintable() else " " for c in text)

    def _receive(self) -> dict[str, Any]:
        seconds = self._limits.seconds + (self._limits.loading_seconds if self._is_new else 0)
        head = self._read(subject.HEAD.size, seconds)
        size = subject.HEAD.unpack(head)[0]
        if size > self._limits.reply_mb * MB:
            raise self._ended(f"its reply has {size:,} bytes, at most {self._limits.reply_mb} MB")
        content = self._read(size, seconds)
        self._is_new = self._waiting = False
        try:
            reply = json.loads(content)
            if not ({"value"} <= reply.keys() or {"kinds"} <= reply["raised"].keys()):
                raise ValueError("it is no reply")
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
            raise self._ended("its process wrote what is no reply") from error
        return dict(reply)

    def _read(self, size: int, seconds: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, found = self._process.stdout.fileno(), b""
        patience = Patience(seconds)
        while len(found) < size:
            ready, _, _ = select.select([descriptor], [], [], 0.2)
            if self._stopped:
                raise self._ended(self._stopped)
            if patience.over():  # also where it sends a byte now and then
                self.never_loads = self._is_new
                what = "its module did not load" if self._is_new else "it did not come back"
                raise self._ended(f"{what} within {seconds:g} s")
            if not ready:
                continue
            if not (more := os.read(descriptor, min(size - len(found), MB))):
                raise self._ended(self._stopped or "its process ended")
            found += more
        return found

    def _start(self) -> None:
        settings = {
            "limits": resources(self._limits) if self._guard else {},
            "guard": self._guard,
            "readable": readable_places(),
            "hidden": [str(ROOT), str(Path.home())],
            "scratch": str(self._scratch),
        }
        python = [sys.executable, "-P", "-s", "-B", subject.__file__]
        command = [*(isolation() if self._guard else []), *python]
        self._stopped, self._is_new, self._waiting = "", True, False
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [*command, str(self._tree), json.dumps(settings)],
                env=environment(self._scratch),
                cwd=self._scratch,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        if self._guard:
            threading.Thread(target=self._watch, args=[self._process], daemon=True).start()

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process that has too many children, or has written too much."""
        while process.poll() is None:
            if (many := len(family(process.pid))) > self._limits.processes:
                self._stopped = f"it started more than {self._limits.processes} processes"
            elif folder_size(self._scratch) > self._limits.scratch_mb * MB:
                self._stopped = f"it wrote more than {self._limits.scratch_mb} MB"
            if self._stopped:
                kill(process.pid)
                return
            time.sleep(0.02 if many else 0.05)

    def _ended(self, why: str) -> Ended:
        code = self._code() if why == "its process ended" else None
        self._end()
        self.ends += 1
        if code is not None:
            killed = -code == signal.SIGXCPU or -code == signal.SIGKILL
            why += f" with {signal.Signals(-code).name}" if code < 0 else f" with exit code {code}"
            why += ": it used too much" if killed else ""
        return Ended(why)

    def _code(self) -> int | None:
        """The code of a process whose pipe is closed; the system says it a moment later."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return None if self._process is None else self._process.wait(timeout=CLOSING_SECONDS)
        return None

    def _end(self) -> None:
        if self._process is None:
            return
        kill(self._process.pid)
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()
        self._process.wait()
        self._process = None


def _unquoted(value: Any) -> Any:
    """An answer as it is meant: a person fills in between the quotes that are there."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    with contextlib.suppress(tomllib.TOMLDecodeError):
        found = tomllib.loads(f"value = {text.lower()}")["value"]
        if isinstance(found, bool | int | float):
            return found
    return text
