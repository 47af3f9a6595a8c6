"""Scratch copies: the checkout as it is, in a folder of its own, with its own data and registry.

What many drills begin with, two months and a champion, is made once and copied after that.
"""

import contextlib
import hashlib
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "state" / "drills"
MOVED = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow's database holds the path of a file."""
_FROM = "made-in.txt"


def scratch(folder: Path) -> Path:
    """A copy of the checkout's own files (changes included) in `folder`, as a git checkout."""
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    identity = ["-c", "user.name=drill", "-c", "user.email=drill@localhost"]
    _git(folder, *identity, "commit", "--quiet", "--no-verify", "--message", "scratch copy")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def tree_of(folder: Path, revision: str = "HEAD") -> str:
    """The hash of all files of a revision: two checkouts with the same files have the same."""
    return _git(folder, "rev-parse", f"{revision}^{{tree}}").strip()


def begun(folder: Path, name: str, make: Callable[[], None]) -> None:
    """Have in a scratch copy what `make` makes there: once for the same files, then as a copy."""
    tree = tree_of(folder)
    changes = hashlib.sha256(_git(folder, "diff", "HEAD").encode()).hexdigest()
    kept = KEPT / f"{tree[:12]}-{changes[:8]}-{name}"
    if kept.is_dir():
        shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        relocate(Path((folder / "state" / _FROM).read_text(encoding="utf-8")), folder)
        return
    make()
    (folder / "state").mkdir(exist_ok=True)
    (folder / "state" / _FROM).write_text(str(folder), encoding="utf-8")
    _keep(folder, kept, tree)


def _keep(folder: Path, kept: Path, tree: str) -> None:
    """Keep a copy under its name, whole or not at all, and none of other files."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for old in KEPT.iterdir():
        if not old.name.startswith((tree[:12], "tmp")):
            shutil.rmtree(old, ignore_errors=True)
    part = Path(tempfile.mkdtemp(dir=KEPT))
    shutil.copytree(folder, part, symlinks=True, dirs_exist_ok=True)
    try:
        part.rename(kept)
    except OSError:  # somebody beside was faster
        shutil.rmtree(part)


def relocate(source: Path, to: Path) -> None:
    """Let the registry of a copied folder name the copy's files, not the ones it was copied from.

    MLflow's database holds them by their full paths.
    """
    if not (to / "state/mlflow.db").is_file():
        return
    with contextlib.closing(sqlite3.connect(to / "state/mlflow.db")) as database, database:
        for table, column in MOVED.items():
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(to))
            )
