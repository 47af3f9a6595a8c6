"""A sandbox for a replay: a checkout of the project with its own calendar, registry and ledger.

A loop moves configs, trains and promotes for months, and must change nothing here. The sandbox is a
git worktree under state/, and commands work in it as here: `cd state/replay/run && make rollout`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.shared import checkouts, dvc, dvc_lock, installation
from pipeline.shared.errors import GraphFailed
from pipeline.shared.files import file_hash, members, text_hash, write_text

REPLAY = Path("state/replay")
_STAMP, _LOCK = "state/as-it-was.txt", "requirements.lock"


def open_sandbox(name: str) -> tuple[Path, bool]:
    """Open the folder of a replay; returns it and whether it is new.

    A replay of the same code, configs and packages continues; any other is removed first.

    Raises:
        EnvironmentUnfit: this is not a git checkout.
    """
    folder, stamp = REPLAY / name, _stamp()
    if (folder / _STAMP).is_file() and (folder / _STAMP).read_text(encoding="utf-8") == stamp:
        installation.adopt(folder)
        return folder, False
    checkouts.remove(folder)
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


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a command in a replay, with its output on the screen; returns exit code and last line."""
    with subprocess.Popen(
        [sys.executable, "-m", "simulation", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=dvc.isolated_environment(),
    ) as process:
        last = ""
        for last in process.stdout or []:
            sys.stdout.write(last)
    sys.stdout.flush()
    return process.returncode, last.strip()


def run_checked(folder: Path, *command: str) -> str:
    """Run a command that has to succeed; returns its last line.

    Raises:
        GraphFailed: its exit code is not 0.
    """
    code, last = run(folder, *command)
    if code:
        raise GraphFailed(
            f"`python -m simulation {' '.join(command)}` in {folder} ended with {code}, expected "
            "0: its output is above; the same command continues from there"
        )
    return last
