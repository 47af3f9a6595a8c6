"""Checkouts of this clone in other folders, for replays and for rebuilt versions."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.shared import git
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.lineage import patch
from pipeline.shared.watcher import hold, is_locked

_HERE = Path()
_PREFIX, _CHECKOUT, _MARK = "worktree-", "checkout", "in-use-by-reproduce"
"""Names of a temporary folder, the checkout in it, and its process's lock beside that."""


def copy(folder: Path) -> None:
    """Make another checkout in `folder`, of the same commit and with the same changes.

    It shares this clone's commits and nothing else: its own commits and changes stay there.

    Raises:
        EnvironmentUnfit: this is not a git checkout, or has no commit yet.
    """
    changed = patch()
    _add_worktree(folder.absolute(), "HEAD", "--force")
    if changed:
        with tempfile.NamedTemporaryFile(suffix=".patch") as stream:
            stream.write(changed)
            stream.flush()
            _apply(folder, Path(stream.name))


def _add_worktree(folder: Path, commit: str, *how: str) -> None:
    add = ["worktree", "add", *how, "--detach", str(folder), commit]
    git.run(_HERE, *git.AS_RECORDED, *add)


def _apply(folder: Path, patch_file: Path) -> None:
    apply = ["apply", "--whitespace=nowarn", str(patch_file.absolute())]
    git.run(folder, *git.AS_RECORDED, *apply)


def remove_checkout(folder: Path) -> None:
    """Remove a checkout that `copy` made, with everything in it."""
    known = [path.resolve() for path in _worktrees()]
    if folder.resolve() in known:
        _remove_worktree(folder.absolute())
    shutil.rmtree(folder, ignore_errors=True)


def _worktrees() -> list[Path]:
    """This clone's checkouts, its own first."""
    lines = os.fsdecode(git.run(_HERE, "worktree", "list", "--porcelain")).splitlines()
    return [Path(line[9:]) for line in lines if line.startswith("worktree ")]


def _remove_worktree(folder: Path) -> None:
    """Remove one worktree; `git worktree prune` would forget the user's on unmounted disks."""
    git.run(_HERE, "worktree", "remove", "--force", "--force", str(folder))


@contextmanager
def worktree(commit: str, patch_file: Path) -> Iterator[Path]:
    """A clean checkout of a commit, with its patch if there is one, in a temporary folder.

    Raises:
        EnvironmentUnfit: this clone does not hold the commit, or the patch does not fit it.
    """
    remove_abandoned()
    _require_known(commit)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, hold(Path(name) / _MARK):
        folder = Path(name) / _CHECKOUT
        _add_worktree(folder, commit)
        try:
            if patch_file.is_file():
                _apply(folder, patch_file)
            yield folder
        finally:
            git.run(_HERE, "worktree", "remove", "--force", str(folder))


def remove_abandoned() -> None:
    """Remove checkouts of killed commands, but none in use and none of the user's."""
    for path in _worktrees():
        if path.name != _CHECKOUT or not path.parent.name.startswith(_PREFIX):
            continue
        mark = path.parent / _MARK
        if not path.parent.exists() or (mark.is_file() and not is_locked(mark)):
            _remove_worktree(path)
            shutil.rmtree(path.parent, ignore_errors=True)


def _require_known(commit: str) -> None:
    try:
        git.run(_HERE, "cat-file", "-e", f"{commit}^{{commit}}")
    except EnvironmentUnfit as error:
        raise EnvironmentUnfit(
            f"this clone does not hold commit {commit[:12]}, from which the version was made: "
            f"`git fetch origin {commit}`, or run the same in a clone that has it"
        ) from error
