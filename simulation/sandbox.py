"""A checkout for a replay: the project as it is here, its calendar, registry and ledger apart.

A loop moves configs, trains and promotes for months; here nothing of that is changed. It is a git
worktree under state/, and commands work in it as here: `cd state/replay/run && make rollout`.
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
    """The folder of a replay, and whether it is new.

    One that was begun with the same code, configs and packages is gone on with; another is taken
    away.

    Raises:
        EnvironmentUnfit: this is no git checkout.
    """
    folder, stamp = REPLAY / name, _stamp()
    if (folder / _STAMP).is_file() and (folder / _STAMP).read_text(encoding="utf-8") == stamp:
        installation.adopt(folder)
        return folder, False
    checkouts.remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    checkouts.copy(folder)
    for path in [dvc_lock.LOCK, *map(Path, dvc_lock.uncached(Path()))]:
        if path.is_file():  # the small figures that git compares are in no cache
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path)
    _lend_environment(folder)
    dvc_lock.use_cache(folder)
    dvc_lock.checkout(folder)
    write_text(folder / _STAMP, stamp)
    return folder, True


def _stamp() -> str:
    """A digest of everything that a replay runs: its code, its configs, its packages."""
    found = [path for top in ("pipeline", "simulation", "configs") for path in members(Path(top))]
    kept = [path for path in found if path.suffix in (".py", ".yaml", ".yml")]
    named = [f"{p} {file_hash(p)}" for p in sorted([*kept, *map(Path, ("dvc.yaml", _LOCK))])]
    return text_hash("\n".join(named)) + "\n"


def _lend_environment(folder: Path) -> None:
    """This checkout's packages, which make there takes for installed."""
    installation.lend_environment(folder)
    if (ours := folder / ".venv").is_dir():
        old = (ours / "installed").stat().st_mtime if (ours / "installed").is_file() else 0
        os.utime(folder / _LOCK, (old, old))


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a command in a replay, showing its words: exit code and last line."""
    with subprocess.Popen(
        [sys.executable, "-m", "simulation", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=dvc.apart(),
    ) as process:
        said = [line for line in process.stdout or [] if not sys.stdout.write(line) or True]
    sys.stdout.flush()
    return process.returncode, said[-1].strip() if said else ""


def run_checked(folder: Path, *command: str) -> str:
    """Run a command that has to do its work; its last line.

    Raises:
        GraphFailed: it ended otherwise.
    """
    code, said = run(folder, *command)
    if code:
        raise GraphFailed(
            f"`python -m simulation {' '.join(command)}` in {folder} ended with {code}, 0 was "
            "wanted: its words are above; the same command goes on from there"
        )
    return said
