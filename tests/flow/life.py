"""Lives of the pipeline: scratch copies of the checkout in which the real commands run.

Nothing here touches the project: a copy is a git checkout of its own, with its own data, cache and
registry, and with none of the developer's settings. It borrows the environment's packages.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exercises.drill import scratch
from tests.conftest import FOREIGN_SETTINGS, ROOT

BIN = Path(sys.prefix) / "bin"
PIPELINE = ("python", "-m", "pipeline")
PATIENCE = 240
"""Seconds after which a command is ended: generous, since other work may share the machine."""


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, its words, and its largest process in bytes."""

    code: int
    words: str
    seconds: float
    peak: int


@dataclass(frozen=True)
class Life:
    """A scratch copy in which the whole graph has run, and what that said."""

    folder: Path
    done: Done

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()


def settings(folder: Path, **changes: str) -> dict[str, str]:
    """The environment of a copy: this one without what a developer, a hook or make left in it."""
    foreign = (*FOREIGN_SETTINGS, "GIT_", "MAKE", "MFLAGS", "PYTHON", "PYTEST", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    aside = folder.with_name(f"{folder.name}-aside")
    aside.mkdir(exist_ok=True)
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(aside / "dvc"),
        "DVC_GLOBAL_CONFIG_DIR": str(aside),
        "DVC_SYSTEM_CONFIG_DIR": str(aside),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PYTHONUNBUFFERED": "1",
        **changes,
    }


def start(folder: Path, *command: str, **changes: Any) -> "subprocess.Popen[bytes]":
    """Start a command in a copy, in a session of its own, its words going to a file beside it."""
    environment = settings(folder, **changes.pop("environment", {}))
    with words_of(folder).open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **changes,
        )


def words_of(folder: Path) -> Path:
    """Where the words of the command that runs in a copy go."""
    return folder.with_name(f"{folder.name}.words")


def finish(process: "subprocess.Popen[bytes]", folder: Path, patience: float = PATIENCE) -> Done:
    """Wait for a command, and end it with everything that it started if it takes too long."""
    began, usage = time.monotonic(), None
    try:
        while time.monotonic() - began < patience:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                break
            time.sleep(0.02)
    finally:
        kill(process)
    words = words_of(folder).read_text(encoding="utf-8", errors="replace")
    assert usage is not None, words
    assert process.returncode is not None
    assert time.monotonic() - began < patience, f"ended after {patience} s: {words}"
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.monotonic() - began
    return Done(process.returncode, words, seconds, usage.ru_maxrss * unit)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to everything in the command's session; returns when nothing of it is left."""
    deadline = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                process.wait(20)
            time.sleep(0.01)
        raise AssertionError(f"a process of group {process.pid} outlives SIGKILL")


def run(folder: Path, *command: str, patience: float = PATIENCE, **changes: Any) -> Done:
    """Run a command in a copy to its end."""
    return finish(start(folder, *command, **changes), folder, patience)


def ended_well(done: Done) -> Done:
    assert done.code == 0, done.words
    return done


def lend_environment(folder: Path) -> None:
    """Give a copy a .venv that make takes as installed: links to this one, and a fresh stamp."""
    own = folder / ".venv"
    own.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "installed":
            (own / path.name).symlink_to(path)
    (own / "installed").touch()


def copy(folder: Path, change: Callable[[], None] = lambda: None) -> Path:
    """The checkout's files in `folder`, changed, as one commit; make may run there."""
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        scratch(folder)
        change()
        commit(folder)
    lend_environment(folder)
    return folder


def commit(folder: Path) -> None:
    identity = ["-c", "user.name=flow", "-c", "user.email=flow@localhost"]
    for arguments in (["add", "--all"], [*identity, "commit", "--quiet", "-m", "as it is"]):
        git(folder, *arguments)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=settings(folder), check=True, capture_output=True
    )
    return done.stdout.decode()


def clone(source: Path, folder: Path) -> Path:
    """What `source` has committed, and nothing else."""
    folder.mkdir(parents=True)
    git(folder, "clone", "--quiet", str(source), ".")
    lend_environment(folder)
    return folder


def configure(stage: str, **changes: Any) -> None:
    """Change keys of configs/<stage>.yaml in the working folder; a dot leads into a section."""
    path = Path("configs") / f"{stage}.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def stages_of(lock: bytes) -> dict[str, Any]:
    """A dvc.lock's stages."""
    return dict(yaml.safe_load(lock)["stages"])


def half_written(folder: Path) -> list[Path]:
    """What a reader might take for a file and is half of one."""
    return [
        path for top in ("data", "state") for path in (folder / top).rglob("*.tmp") if path.exists()
    ]


@contextlib.contextmanager
def away(folder: Path) -> Iterator[None]:
    """Remove a copy when its test is over: a hundred megabytes each."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["ROOT"]
