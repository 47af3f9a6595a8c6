"""Trees to check: main's files in a folder of their own, in the state of a start or a solution."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from exercises.workbench import edits
from exercises.workbench.catalogue import ROOT, Edit, Exercise
from pipeline.shared import git

CODE = ("pipeline/", "simulation/", "configs/")
"""What the checks of any exercise may import or read."""


def files(exercises: Iterable[Exercise]) -> list[str]:
    """The files of main that some exercises need, as they are in this checkout."""
    listed = git.run(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    every = {name for name in os.fsdecode(listed).split("\0") if name}
    named = {edit.file for one in exercises for edit in all_edits(one)}
    shipped = {name for one in exercises for name in one.ships}
    wanted = {name for name in every if name.startswith(CODE)} | ((named | shipped) & every)
    return sorted(name for name in wanted if (ROOT / name).is_file())


def all_edits(exercise: Exercise) -> list[Edit]:
    """Every edit that an exercise knows."""
    return [*exercise.start, *exercise.solution, *(e for w in exercise.wrong for e in w.edits)]


def copy(names: Iterable[str], tree: Path, source: Path = ROOT) -> Path:
    """Copy files of a folder into a tree."""
    tree.mkdir(parents=True, exist_ok=True)
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, tree / name)
    return tree


def link(base: Path, tree: Path) -> Path:
    """A tree whose files are links to another one's; edits replace a file and leave the other's."""
    shutil.copytree(base, tree, copy_function=os.link)
    return tree


def in_state(exercise: Exercise, base: Path, tree: Path, state: str) -> Path:
    """A tree in the state "start", "solution", or of a wrong solution's name."""
    link(base, tree)
    if state == "start":
        edits.apply(exercise.start, tree, exercise)
        return tree
    edits.apply(exercise.solution, tree, exercise)
    chosen = [one for one in exercise.wrong if one.name == state]
    assert chosen or state == "solution", f"{exercise.slug} has no state {state}"
    for one in chosen:
        edits.apply(one.edits, tree, exercise)
    return tree
