"""A submission as a tree: what was handed in, with the original tests put over it.

Nothing of it is run here. What is no plain file is left out, and said.
"""

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

from exercises.workbench.catalogue import Exercise
from exercises.workbench.handout import NOTES, build, editable, version_of
from pipeline.shared.errors import UsageError

LEFT_OUT = {".git", ".venv", "venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}
"""Folders that tools make, which nobody hands in on purpose."""
MAX_FILES, MAX_BYTES, MAX_TOTAL = 2_000, 2_000_000, 50_000_000
RESTORED = ("tests/", "pyproject.toml", "requirements.txt", "evidence/")
"""Originals that a grade restores, whatever was made of them."""


class SubmissionRefused(UsageError):
    """A submission that cannot be graded: too large, or not of this exercise."""


@dataclass
class Submission:
    """A submission's tree, and what it did to the handout; all paths are relative.

    `changed` are originals that it changed and may change; `restored` those that it may not;
    `added` are new files, `skipped` what is no plain file, `remarks` about the grade itself.
    """

    tree: Path
    changed: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def own_tests(self) -> list[str]:
        """The test files that it added."""
        return [n for n in self.added if n.startswith("tests/test_") and n.endswith(".py")]

    def own_code(self) -> list[str]:
        """The Python files that it changed or added, tests apart."""
        names = [*self.changed, *self.added]
        return sorted(n for n in names if n.endswith(".py") and not n.startswith("tests/"))


def take(exercise: Exercise, source: Path, folder: Path) -> Submission:
    """Copy a submission below a folder, and restore what is not to be changed.

    Raises:
        SubmissionRefused: there is none, it is too large, or it is of something else.
    """
    original, tree = folder / "original", folder / "submission"
    build(exercise, original)
    found = Submission(tree)
    _copy(source, tree, found)
    wanted = editable(exercise)
    if not any((tree / name).is_file() for name in wanted):
        raise SubmissionRefused(
            f"{source} holds none of {', '.join(wanted)}: it is no submission of {exercise.slug}; "
            "name the folder that was handed in, FROM=..."
        )
    versions = [_version(folder) for folder in (tree, original)]
    _restore(original, tree, found)
    if all(versions) and versions[0] != versions[1]:
        found.remarks.append(
            f"handout {versions[0]}, graded as {versions[1]}: the exercise has changed since, and "
            "what changed counts as the submission's; grade with the commit that wrote the handout"
        )
    return found


def _version(folder: Path) -> str:
    """The version in a handout's settings; "" if it has none."""
    path = folder / "pyproject.toml"
    return version_of(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""


def _copy(source: Path, tree: Path, found: Submission) -> None:
    """Copy the plain files of a folder that is not trusted."""
    if not source.is_dir():
        raise SubmissionRefused(f"{source} is no folder; name the one handed in, FROM=...")
    files = total = 0
    for top, folders, names in os.walk(source):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted([*names, *(f for f in folders if (Path(top) / f).is_symlink())]):
            path = Path(top) / name
            relative, about = path.relative_to(source).as_posix(), path.lstat()
            if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
                found.skipped.append(_why_skipped(relative, about))
                continue
            files, total = files + 1, total + about.st_size
            if files > MAX_FILES or total > MAX_TOTAL:
                raise SubmissionRefused(
                    f"{source} has more than {MAX_FILES:,} files or {MAX_TOTAL / 1e6:.0f} MB; ask "
                    "for the folder without what its tools made"
                )
            (tree / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tree / relative, follow_symlinks=False)


def _why_skipped(name: str, about: os.stat_result) -> str:
    if stat.S_ISLNK(about.st_mode):
        return f"{name}: a link"
    if stat.S_ISREG(about.st_mode):
        return f"{name}: {about.st_size / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f}"
    return f"{name}: no plain file"


def _restore(original: Path, tree: Path, found: Submission) -> None:
    """Put the originals over a submission, and note what it had made of them."""
    before = {p.relative_to(original).as_posix(): p for p in original.rglob("*") if p.is_file()}
    for name, path in sorted(before.items()):
        mine = tree / name
        if mine.is_file() and _digest(mine) == _digest(path):
            continue
        is_fixed = name.startswith(RESTORED)
        if mine.is_file() and not is_fixed:
            found.changed.append(name)
            continue
        deleted = not mine.exists()
        if mine.is_dir():
            shutil.rmtree(mine)
        mine.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, mine)
        found.restored.append(f"{name} ({'deleted' if deleted else 'changed'})")
    after = (p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file())
    found.added.extend(sorted(name for name in after if name not in before))
    for name in [n for n in found.added if n == "tests/conftest.py" or n.endswith("/conftest.py")]:
        found.added.remove(name)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def notes(tree: Path) -> str:
    """The notes of a submission, as far as anybody reads them."""
    path = tree / NOTES
    return path.read_text(encoding="utf-8", errors="replace")[:20_000] if path.is_file() else ""
