"""A sandbox for a replay: a checkout of the project with its own calendar, registry and ledger.

A loop moves configs, trains and promotes for months, and must change nothing here. The sandbox is a
git worktree under state/, and commands work in it as here: `cd state/replay/run && make rollout`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from pipeline.shared import checkouts, dvc, dvc_lock, installation
from pipeline.shared.errors import GraphFailed
from pipeline.shared.files import file_hash, members, text_hash, write_text

_REPLAYS = Path("state/replay")
_STAMP, _LOCK = "state/as-it-was.txt", "requirements.lock"
_PATHS = re.compile(r"(?<![\w./-])(?:configs|data|state)/(?:[\w./-]*\w)?")
"""What a command calls its files, relative to its folder."""


def open_sandbox(name: str) -> tuple[Path, bool]:
    """Open the folder of a replay; returns it and whether it is new.

    A replay of the same code, configs and packages continues; any other is removed first.

    Raises:
        EnvironmentUnfit: this is not a git checkout.
    """
    folder, stamp = _REPLAYS / name, _stamp()
    if (folder / _STAMP).is_file() and (folder / _STAMP).read_text(encoding="utf-8") == stamp:
        installation.attach_replay(folder)
        return folder, False
    checkouts.remove_checkout(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    checkouts.copy(folder)
    for path in [dvc_lock.LOCK, *map(Path, dvc_lock.uncached_outputs(Path()))]:
        if path.is_file():  # small outputs that git tracks are in no cache
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path)
    _lend_environment(folder)
    dvc_lock.use_cache(folder)
    dvc_lock.checkout(folder)
    write_text(folder / _STAMP, stamp)
    return folder, True


def _stamp() -> str:
    """A digest of a replay's code, configs and packages."""
    found = [path for top in ("pipeline", "simulation", "configs") for path in members(Path(top))]
    kept = [path for path in found if path.suffix in (".py", ".yaml", ".yml")]
    named = [f"{p} {file_hash(p)}" for p in sorted([*kept, *map(Path, ("dvc.yaml", _LOCK))])]
    return text_hash("\n".join(named)) + "\n"


def _lend_environment(folder: Path) -> None:
    """Lend this checkout's packages, dated so that make there takes them for installed."""
    installation.lend_environment(folder)
    if (ours := folder / ".venv").is_dir():
        old = (ours / "installed").stat().st_mtime if (ours / "installed").is_file() else 0
        os.utime(folder / _LOCK, (old, old))


def run_in_replay(folder: Path, *command: str, output: TextIO | None = None) -> tuple[int, str]:
    """Run a command in a replay; returns its exit code and its last line.

    What it says goes to the screen, or all of it to `output`.
    """
    with (
        subprocess.Popen(
            [sys.executable, "-m", "simulation", *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dvc.isolated_environment(),
        ) as process,
        ThreadPoolExecutor(1) as beside,
    ):
        beside.submit(_pass_on, folder, process.stderr or [], output or sys.stderr)
        last = _pass_on(folder, process.stdout or [], output or sys.stdout)
    return process.returncode, last


def _pass_on(folder: Path, lines: Iterable[str], output: TextIO) -> str:
    """Write what a command in a replay says, with paths as from here; returns the last line."""
    last = ""
    for line in lines:
        last = from_here(folder, line)
        output.write(last)
        output.flush()
    return last.strip()


def from_here(folder: Path, text: str) -> str:
    """A text of a replay with the paths that it names as they are to be opened from here."""

    def lengthened(found: re.Match[str]) -> str:
        return str(folder / found[0]) if (folder / found[0]).exists() else found[0]

    return _PATHS.sub(lengthened, text)


def run_checked(folder: Path, *command: str) -> str:
    """Run a command that has to succeed; returns its last line.

    Raises:
        GraphFailed: its exit code is not 0.
    """
    code, last = run_in_replay(folder, *command)
    if code:
        raise GraphFailed(
            f"`python -m simulation {' '.join(command)}` in {folder} ended with {code}, expected "
            "0: its output is above; the same command continues from there"
        )
    return last
