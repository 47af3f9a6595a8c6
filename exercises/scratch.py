"""Scratch copies: the checkout as it is, in a folder of its own, with its own data and registry.

What many drills begin with, two months and a champion, is made once and copied after that.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.shared import dvc, git, lineage
from pipeline.shared.processes import Patience
from pipeline.shared.watcher import hold

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "state" / "drills"
_MAKING_SECONDS = 300.0
"""What is made takes a minute, and longer beside others."""
SHARED_CACHE = "SCRATCH_DVC_CACHE"
"""A folder in which scratch copies share their data: what one has computed, the next one finds."""


def scratch(folder: Path) -> Path:
    """A copy of the checkout's own files (changes included) in `folder`, as a git checkout.

    No setting of the user's for git or DVC counts in it.

    Raises:
        EnvironmentUnfit: git ignores a dependency of the DVC pipeline: the copy would lack it.
    """
    lineage.require_recorded(ROOT)
    listed = git.run(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in os.fsdecode(listed).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
            _copy_compiled(name, folder)
    git.own(folder, "init", "--quiet")
    git.own(folder, "add", "--all")
    git.own(folder, "commit", "--quiet", "--no-verify", "--message", "scratch copy")
    if shared := os.environ.get(SHARED_CACHE):
        dvc.configure(folder, {"cache": {"dir": shared}})
    return folder


def _copy_compiled(name: str, folder: Path) -> None:
    """Copy what Python compiled of a module, which holds as long as its file is as it was."""
    if name.endswith(".py"):
        compiled = Path(importlib.util.cache_from_source(name))
        if (ROOT / compiled).is_file():
            (folder / compiled).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / compiled, folder / compiled)


def tree_of(folder: Path, revision: str = "HEAD") -> str:
    """The hash of all files of a revision: two checkouts with the same files have the same."""
    return git.own(folder, "rev-parse", f"{revision}^{{tree}}").decode().strip()


def begun(folder: Path, name: str, make: Callable[[], None]) -> None:
    """Have in a scratch copy what `make` makes there: once for the same files, then as a copy."""
    tree = tree_of(folder)
    changes = hashlib.sha256(git.own(folder, "diff", "HEAD")).hexdigest()
    kept = KEPT / f"{tree[:12]}-{changes[:8]}-{name}"
    patience = Patience(_MAKING_SECONDS)
    while not kept.is_dir():
        with hold(KEPT / f"tmp-{name}.lock") as mine:
            if mine is not None or patience.over():
                make()
                _keep(folder, kept, tree)
                return
        time.sleep(0.1)  # somebody makes the same just now
    shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)


def _keep(folder: Path, kept: Path, tree: str) -> None:
    """Keep a copy under its name, whole or not at all, and none of other files."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for old in KEPT.iterdir():
        if old.is_dir() and not old.name.startswith((tree[:12], "tmp")):
            shutil.rmtree(old, ignore_errors=True)
    part = Path(tempfile.mkdtemp(dir=KEPT))
    shutil.copytree(folder, part, symlinks=True, dirs_exist_ok=True)
    try:
        part.rename(kept)
    except OSError:  # somebody beside was faster
        shutil.rmtree(part)
