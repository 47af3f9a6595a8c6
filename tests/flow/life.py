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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from exercises import drill
from exercises.drill import configure
from exercises.scratch import scratch
from pipeline.shared import git as gits
from tests.conftest import FOREIGN_SETTINGS
from tests.rules.tree import ROOT

PIPELINE = ("python", "-m", "simulation")
UA_1545 = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "block_minutes": 227,
    "distance": 1400,
}
"""A request's flight, without its departure."""
PATIENCE = 1800
"""Seconds after which a command is taken for a hang, and ended; none takes a third of it alone."""
_RUNNING: "set[subprocess.Popen[bytes]]" = set()
_OURS = ("GIT_", "MAKE", "MFLAGS", "PYTHON", "PYTEST", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, its words, and its largest process in bytes."""

    code: int
    words: str
    seconds: float
    peak: int

    def well(self) -> "Done":
        assert self.code == 0, self.words
        return self


@dataclass(frozen=True)
class Life:
    """A scratch copy in which something has run, and what that said."""

    folder: Path
    done: Done


@cache
def inherited() -> dict[str, str]:
    """This process's environment without what a developer, a hook or make left in it."""
    foreign = (*FOREIGN_SETTINGS, *_OURS)
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def beside(folder: Path, name: str) -> Path:
    """A place of a copy's own that is not in it."""
    return folder.with_name(f"{folder.name}.{name}")


def settings(folder: Path, **changes: str) -> dict[str, str]:
    """The environment of a copy: tools find this Python's packages, and no settings of anybody."""
    aside = beside(folder, "aside")
    aside.mkdir(exist_ok=True)
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{inherited()['PATH']}"
    configs = dict.fromkeys(("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"), str(aside))
    own = {"PATH": path, "TMPDIR": str(aside), "DVC_SITE_CACHE_DIR": str(aside / "dvc"), **configs}
    own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return {**inherited(), **own, **changes}


def start(
    folder: Path, *command: str, file_kb: int | None = None, **changes: str
) -> "subprocess.Popen[bytes]":
    """Start a command in a copy, in a session of its own; no file may grow beyond `file_kb`."""
    limited = ["bash", "-c", f'ulimit -f {file_kb}; exec "$@"', "limited"] if file_kb else []
    if file_kb:  # Python would take half a file of bytecode for a whole one
        changes["PYTHONDONTWRITEBYTECODE"] = "1"
    with beside(folder, "words").open("wb") as stream:
        process = subprocess.Popen(
            [*limited, *command],
            cwd=folder,
            env=settings(folder, **changes),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _RUNNING.add(process)
    return process


def words(folder: Path) -> str:
    """What the command that was started last in a copy has said so far."""
    return beside(folder, "words").read_text(encoding="utf-8", errors="replace")


def finish(process: "subprocess.Popen[bytes]", folder: Path) -> Done:
    """Wait for a command; end it with everything that it started if it takes too long."""
    began = time.monotonic()
    try:
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{PATIENCE} s: {words(folder)}")
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(ended[1])
    finally:
        kill(process)
    peak = ended[2].ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Done(process.returncode, words(folder), time.monotonic() - began, peak)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to all of a command's processes; returns when none of them is left."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only zombies are left
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                process.wait(PATIENCE)
            time.sleep(0.01)
        raise AssertionError(f"a process of group {process.pid} outlives SIGKILL")
    _RUNNING.discard(process)


def kill_all() -> None:
    """End what is still running: the session is over."""
    for process in list(_RUNNING):
        kill(process)


def run(folder: Path, *command: str, file_kb: int | None = None, **changes: str) -> Done:
    """Run a command in a copy to its end."""
    return finish(start(folder, *command, file_kb=file_kb, **changes), folder)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a copy."""
    return gits.own(folder, *arguments).decode()


def commit(folder: Path) -> None:
    """Commit everything in a copy."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", "as it is")


def checkout(folder: Path) -> Path:
    """The project's files with their changes in `folder`, committed; make runs there."""
    folder.mkdir(parents=True)
    _lend_environment(scratch(folder))
    return folder


def clone(source: Path, folder: Path) -> Path:
    """What `source` has committed, and nothing else."""
    folder.mkdir(parents=True)
    gits.run(folder, *gits.AS_RECORDED, "clone", "--quiet", "--template=", str(source), ".")
    _lend_environment(folder)
    return folder


def twin(source: Path, folder: Path) -> Path:
    """A copy of a copy with all that has happened in it."""
    shutil.copytree(source, folder, symlinks=True)
    return folder


def _lend_environment(folder: Path) -> None:
    """A .venv that make takes as installed: links into this one, and a fresh stamp."""
    own = folder / ".venv"
    own.mkdir()
    for path in Path(sys.prefix).iterdir():
        (own / path.name).symlink_to(path)
    (own / "installed").unlink(missing_ok=True)
    (own / "installed").touch()


def small(folder: Path) -> Path:
    """The project on the flights of two months: January teaches, February judges."""
    checkout(folder)
    drill.two_months(folder)
    commit(folder)
    return folder


def grow(folder: Path) -> Done:
    """A month arrives, its challenger is promoted before anybody commits; then code changes."""
    configure(folder, "ingest", as_of="2013-03")
    configure(folder, "train", window={"first": "2013-01-08", "last": "2013-02-28"})
    configure(folder, "evaluate", window={"first": "2013-03-01", "last": "2013-03-31"})
    graph = "dvc repro --quiet && python -m pipeline register promote"
    done = run(folder, "bash", "-c", graph).well()
    definitions = folder / "pipeline/flights/features.py"
    drill.replace_once(
        definitions, '"dep_late": [1, 3], "late": [24]', '"dep_late": [2], "late": [24]'
    )
    configure(folder, "train", **{"boosting.max_iter": 150, "seed": 7})
    commit(folder)
    return done


def lock(folder: Path) -> dict[str, Any]:
    """The stages of a copy's dvc.lock."""
    return dict(yaml.safe_load((folder / "dvc.lock").read_bytes())["stages"])


def half_written(folder: Path) -> list[str]:
    """What an interrupted writer leaves: in this project every such name begins with a dot."""
    found = [path for top in ("data", "state") for path in (folder / top).rglob(".*")]
    return sorted(str(path.relative_to(folder)) for path in found if path.name != ".gitignore")


__all__ = ["ROOT"]
