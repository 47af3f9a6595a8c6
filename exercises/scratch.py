"""Scratch copies: the checkout as it is, in a folder of its own, with its own data and registry.

What many drills begin with, two months and a champion, is made once and copied after that.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.shared import dvc, git, lineage

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
SHARED_CACHE = "SCRATCH_DVC_CACHE"
"""A folder in which scratch copies share their data: what one has computed, the next one finds."""


def scratch(folder: Path) -> Path:
    """A copy of the checkout's own files (changes included) in `folder`, as a git checkout.

    No setting of the user's for git or DVC counts in it.

    Raises:
        EnvironmentUnfit: git ignores a file that the graph depends on: the copy would lack it.
    """
    lineage.require_recorded(ROOT)
    listed = git.run(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in os.fsdecode(listed).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git.own(folder, "init", "--quiet")
    git.own(folder, "add", "--all")
    git.own(folder, "commit", "--quiet", "--no-verify", "--message", "scratch copy")
    if shared := os.environ.get(SHARED_CACHE):
        dvc.configure(folder, {"cache": {"dir": shared}})
    return folder


def tree_of(folder: Path, revision: str = "HEAD") -> str:
    """The hash of all files of a revision: two checkouts with the same files have the same."""
    return git.own(folder, "rev-parse", f"{revision}^{{tree}}").decode().strip()


def begun(folder: Path, name: str, make: Callable[[], None]) -> None:
    """Have in a scratch copy what `make` makes there: once for the same files, then as a copy."""
    tree = tree_of(folder)
    changes = hashlib.sha256(git.own(folder, "diff", "HEAD")).hexdigest()
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

    MLflow's database holds them by their full paths: as they are, and in URLs with each character
    encoded that is not plain, such as a space or an umlaut.
    """
    if not (to / "state/mlflow.db").is_file():
        return
    with contextlib.closing(sqlite3.connect(to / "state/mlflow.db")) as database, database:
        for table, column in MOVED.items():
            for old, new in _written(source, to):
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def _written(source: Path, to: Path) -> list[tuple[str, str]]:
    """Each way in which a database may write a folder's path, and the other's in the same way.

    MLflow follows links first: on a Mac, a temporary folder is reached by one.
    """
    ways: list[Callable[[Path], str]] = [Path.as_uri, str, lambda path: f"file://{path}"]
    pairs = [(source, to), (source.resolve(), to.resolve())]
    return [(write(old), write(new)) for old, new in pairs for write in ways]
