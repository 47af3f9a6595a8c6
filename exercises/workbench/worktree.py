"""Worktrees: an exercise in its start state, beside main, which stays as it is.

Each is a git worktree below state/ with one commit that holds the start, so that `git diff` shows
a person's own work. Whatever is thrown away is kept as a patch first.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from exercises.workbench import edits, progress
from exercises.workbench.catalogue import ROOT, Exercise
from exercises.workbench.progress import STATE, Entry
from pipeline.shared import git
from pipeline.shared.errors import EnvironmentUnfit, PipelineError
from pipeline.shared.files import atomic_write, bytes_hash, members, storage_failure
from pipeline.shared.watcher import hold

FULL_BYTES = 1_000_000
"""A disk with less room than this is full."""
_AUTHOR = ("-c", "user.name=workbench", "-c", "user.email=workbench@localhost")


class WorktreeRefused(PipelineError):
    """A worktree is missing, in use, or cannot be brought into another state."""


def path_of(exercise: Exercise) -> Path:
    """The folder of an exercise's worktree."""
    return STATE / exercise.slug


@contextmanager
def lock(exercise: Exercise) -> Iterator[None]:
    """Let one command at a time work on an exercise.

    Raises:
        WorktreeRefused: another one does.
    """
    with hold(STATE / f"{exercise.slug}.lock") as mine:
        if mine is None:
            raise WorktreeRefused(
                f"another command works on {exercise.slug} just now; wait for it, or end it, then "
                "run the same again"
            )
        yield


def is_there(exercise: Exercise) -> bool:
    """Whether the worktree can be worked in; one whose repository was moved is repaired first.

    Raises:
        EnvironmentUnfit: there is no git that could say so.
    """
    path = path_of(exercise)
    git.commit(ROOT)
    if not (path / ".git").is_file():
        return False
    with contextlib.suppress(EnvironmentUnfit):
        git.run(ROOT, "worktree", "repair", str(path))
        top = os.fsdecode(git.run(path, "rev-parse", "--show-toplevel")).strip()
        return Path(top) == path.resolve()
    return False


def start(exercise: Exercise, today: date) -> Entry:
    """Make the worktree of an exercise, in its start state.

    Raises:
        StorageFailed: there is no room; nothing is left behind.
        ArtifactTampered: the exercise is older than main.
        EnvironmentUnfit: git cannot work here.
    """
    path, commit = path_of(exercise), git.commit(ROOT)
    _remove(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        git.run(ROOT, "worktree", "add", "--detach", "--force", "--quiet", str(path), commit)
        begun = _commit_start(exercise, path)
    except (OSError, PipelineError, EnvironmentUnfit) as error:
        is_full = shutil.disk_usage(path.parent).free < FULL_BYTES
        _remove(path)
        failed = storage_failure(path, error) if isinstance(error, OSError) else None
        if is_full:  # git names each file that it could not write, and not why
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            failed = storage_failure(path, full)
        if failed is not None:
            raise failed from error
        raise
    return Entry(commit=commit, start=begun, fingerprint=fingerprint(exercise), started_on=today)


def _commit_start(exercise: Exercise, path: Path) -> str:
    """Bring a worktree into the start state, and commit it."""
    edits.apply(exercise.start, path, exercise)
    return _commit(path, f"start of {exercise.slug}")


def _commit(path: Path, message: str) -> str:
    """Commit everything in a worktree; returns the commit."""
    git.run(path, "add", "--all")
    git.run(path, *_AUTHOR, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
    return git.commit(path)


def _remove(path: Path) -> None:
    """Remove a worktree and git's memory of it."""
    shutil.rmtree(path, ignore_errors=True)
    git.run(ROOT, "worktree", "prune")


def work(exercise: Exercise, entry: Entry) -> bytes:
    """A person's own work as a patch against the start, new files included."""
    path = path_of(exercise)
    git.run(path, "add", "--all")
    patch = git.run(path, "diff", "--cached", "--binary", entry.start)
    git.run(path, "reset", "--quiet")
    return patch


def keep(exercise: Exercise, entry: Entry) -> Path | None:
    """Keep a person's work as a patch beside the worktrees; None if there is none."""
    if not is_there(exercise) or not (patch := work(exercise, entry)):
        return None
    path = STATE / "kept" / f"{exercise.slug}-{bytes_hash(patch)[:8]}.patch"
    with atomic_write(path) as temporary:
        temporary.write_bytes(patch)  # a person's file need not be UTF-8
    return path


def set_aside(exercise: Exercise) -> Path | None:
    """Move a folder that git no longer takes for the worktree out of the way; where it is now."""
    path = path_of(exercise)
    if is_there(exercise) or not path.is_dir() or not any(path.iterdir()):
        return None
    kept = STATE / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    names = (kept / f"{exercise.slug}-{number}" for number in itertools.count(1))
    return path.rename(next(name for name in names if not name.exists()))


def fingerprint(exercise: Exercise) -> str:
    """A digest of an exercise and of the code of main's commit that it is about."""
    digest = hashlib.sha256()
    for path in members(exercise.folder):
        digest.update(path.read_bytes())
    for name in sorted(exercise.files):
        with contextlib.suppress(EnvironmentUnfit):  # a file that the exercise adds
            digest.update(git.run(ROOT, "rev-parse", f"HEAD:{name}"))
    return digest.hexdigest()


def uncommitted(exercise: Exercise) -> list[str]:
    """The exercise's files that main's checkout has changed and not committed."""
    found = git.run(ROOT, "status", "--porcelain", "--", *exercise.files)
    return [line[3:] for line in os.fsdecode(found).splitlines()]


def rebase(exercise: Exercise, entry: Entry) -> None:
    """Bring a person's work onto main's present start; on a conflict all is as it was.

    Raises:
        WorktreeRefused: the work does not fit main any more.
    """
    path, kept, commit = path_of(exercise), keep(exercise, entry), git.commit(ROOT)
    mine = _commit(path, "work")
    try:
        git.run(path, "checkout", "--quiet", "--detach", commit)
        begun = _commit_start(exercise, path)
        if kept is not None:
            git.run(path, "apply", "--3way", str(kept))
            git.run(path, "reset", "--quiet")
    except (PipelineError, EnvironmentUnfit) as error:
        git.run(path, "reset", "--quiet", "--hard", mine)
        git.run(path, "reset", "--quiet", "--soft", entry.start)
        git.run(path, "reset", "--quiet")
        raise WorktreeRefused(
            f"your work on {exercise.slug} does not fit main at {commit[:8]}, it began at "
            f"{entry.commit[:8]}: nothing was changed; `make reset E={exercise.slug}` begins anew "
            f"and keeps it as a patch"
        ) from error
    entry.commit, entry.start, entry.fingerprint = commit, begun, fingerprint(exercise)


def entry_of(exercise: Exercise, known: progress.Progress) -> Entry:
    """The entry of a started exercise whose worktree is there.

    Raises:
        WorktreeRefused: it is not started, or its worktree is gone.
    """
    entry, slug = known.exercises.get(exercise.slug), exercise.slug
    if entry is None:
        raise WorktreeRefused(f"{slug} is not started; `make exercise E={slug}` starts it")
    if not is_there(exercise):
        path = path_of(exercise)
        lost = "is no worktree of git any more" if path.is_dir() else "is gone, and the work in it"
        raise WorktreeRefused(
            f"{path} {lost}; `make exercise E={slug}` begins {slug} anew and moves what is left in "
            "the folder aside"
        )
    return entry
