"""The commands of a person who learns: each says what it did, and the next command."""

import difflib
import sys
import tempfile
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exercises.workbench import catalogue, handout, judge, progress, trees, verdict, worktree
from exercises.workbench import grade as grading
from exercises.workbench.catalogue import ROOT, TOPICS, Exercise
from exercises.workbench.progress import Entry
from pipeline.shared.errors import UsageError


class NotConfirmed(UsageError):
    """A command asks first, and was not told yes."""


def listing(console: Console, today: date) -> None:
    """List every exercise by topic, with its state."""
    known = progress.load().exercises
    for topic, title in TOPICS.items():
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2))
        for column in ("exercise", "kind", "minutes", "for", "state"):
            table.add_column(column)
        for one in (one for one in catalogue.exercises() if one.topic == topic):
            state = progress.state_of(known.get(one.slug), today)
            table.add_row(one.slug, one.kind, str(one.minutes), one.reader, state)
        console.print(table)
    console.print("make exercise E=... starts one, make learn shows them all on one page")


def brief(exercise: Exercise, console: Console) -> None:
    """Print the brief of an exercise."""
    console.print(f"[bold]{exercise.title}[/]  {exercise.kind}, {exercise.minutes} minutes")
    for name, text in exercise.brief.model_dump().items():
        heading = name.replace("_", " ").capitalize()
        heading = "Talk about afterwards" if name == "talk_about" else heading
        console.print(f"\n[bold]{heading}[/]\n{escape(' '.join(text.split()))}", highlight=False)


def begin(slug: str, console: Console, today: date, rebase: bool = False) -> None:
    """Start an exercise, or go on with it where it is started already."""
    exercise = catalogue.exercise(slug)
    with worktree.lock(exercise):
        entry = progress.load().exercises.get(slug)
        if entry is None or not worktree.is_there(exercise):
            _start(exercise, entry, console, today)
        elif rebase:
            worktree.rebase(exercise, entry)
            _store(slug, entry)
            console.print(f"your work is on main's {entry.commit[:8]} now")
        else:
            state = progress.state_of(entry, today)
            console.print(
                f"{slug} was started on {entry.started_on} ({state}); it is as you left it"
            )
            say_if_changed(exercise, entry, console)
    brief(exercise, console)
    console.print(f"\nedit  {where(exercise)}\nthen  make submit E={slug}   make hint E={slug}")


def _start(
    exercise: Exercise,
    before: Entry | None,
    console: Console,
    today: date,
) -> None:
    if before is not None and not worktree.is_there(exercise):
        console.print(f"the worktree of {exercise.slug} was gone: it begins anew")
    if (aside := worktree.set_aside(exercise)) is not None:
        console.print(f"the files that were in its folder are kept in {aside.relative_to(ROOT)}")
    if names := worktree.uncommitted(exercise):
        console.print(f"main has uncommitted changes in {', '.join(names)}: not in the exercise")
    entry = worktree.start(exercise, today)
    if before is not None:  # what was passed before stays so
        entry.passes, entry.passed_on, entry.due_on = before.passes, before.passed_on, before.due_on
    _store(exercise.slug, entry)


def _store(slug: str, entry: Entry) -> None:
    with progress.changing() as known:
        known.exercises[slug] = entry


def where(exercise: Exercise) -> str:
    """The files to edit, as they are opened from main's folder."""
    folder = worktree.path_of(exercise)
    names = exercise.files if exercise.kind != "decide" else ["answers.toml"]
    return "  ".join(str((folder / name).relative_to(ROOT)) for name in names)


def say_if_changed(exercise: Exercise, entry: Entry, console: Console) -> None:
    """Say if main's code or the exercise is another one than at the start."""
    if worktree.fingerprint(exercise) != entry.fingerprint:
        console.print(
            f"[yellow]{exercise.slug} or its code changed in main since you started:[/] "
            f"make exercise E={exercise.slug} REBASE=1 brings your work onto it, "
            f"make reset E={exercise.slug} begins anew"
        )


def submit(slug: str, console: Console, today: date) -> bool:
    """Check the work on an exercise, show the verdict, and note it; returns whether it passed."""
    exercise = catalogue.exercise(slug)
    worktree.entry_of(exercise, progress.load())
    found = judge.judge(exercise, worktree.path_of(exercise))
    verdict.show(found, console)
    with progress.changing() as known:
        entry = worktree.entry_of(exercise, known)
        progress.record(entry, found.points, found.most, found.passed, today)
    say_if_changed(exercise, entry, console)
    if found.passed:
        after = catalogue.next_of_reader(exercise)
        console.print(
            f"talk about it: make answer Q={exercise.answer}; due again on {entry.due_on}"
            + (f"; next: make exercise E={after.slug}" if after else "; that was the last one")
        )
    return found.passed


def hint(slug: str, console: Console) -> None:
    """Show the next hint; the fourth is the solution."""
    exercise = catalogue.exercise(slug)
    with progress.changing() as known:
        entry = worktree.entry_of(exercise, known)
        entry.solution_seen |= entry.hints == len(exercise.hints)
        entry.hints = min(entry.hints + 1, len(exercise.hints))
    if entry.solution_seen:
        _show_solution(exercise, console)
        return
    for number, text in enumerate(exercise.hints[: entry.hints], start=1):
        console.print(f"hint {number} of 4  {escape(' '.join(text.split()))}", highlight=False)
    last = entry.hints == len(exercise.hints)
    console.print("the next hint is the solution" if last else "make hint again for the next")


def solution(slug: str, console: Console, yes: bool) -> None:
    """Show the solution of an exercise, once that is confirmed.

    Raises:
        NotConfirmed: it is not.
    """
    exercise = catalogue.exercise(slug)
    if not yes and not _confirmed(f"Show the solution of {slug}? It counts as seen. [y/N] "):
        raise NotConfirmed(
            f"the solution of {slug} is not shown; `make hint E={slug}` helps without it, "
            f"`make solution E={slug} YES=1` shows it"
        )
    _show_solution(exercise, console)
    with progress.changing() as known:
        if slug in known.exercises:
            known.exercises[slug].solution_seen = True


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _show_solution(exercise: Exercise, console: Console) -> None:
    console.print(difference(exercise), markup=False, highlight=False)


def difference(exercise: Exercise) -> str:
    """The solution as a diff against the start."""
    with tempfile.TemporaryDirectory(prefix="solution-") as name:
        base = trees.copy(trees.files([exercise]), Path(name) / "base")
        sides = {
            state: trees.in_state(exercise, base, Path(name) / state, state)
            for state in ("start", "solution")
        }
        changed = sorted({edit.file for edit in [*exercise.start, *exercise.solution]})
        return "".join(_diff(sides["start"] / one, sides["solution"] / one, one) for one in changed)


def _diff(old: Path, new: Path, name: str) -> str:
    before, after = (
        path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        for path in (old, new)
    )
    return "".join(difflib.unified_diff(before, after, f"start/{name}", f"solution/{name}"))


def reset(slug: str, console: Console, today: date) -> None:
    """Bring an exercise back into its start state; what was written is kept as a patch."""
    exercise = catalogue.exercise(slug)
    with worktree.lock(exercise):
        before = progress.load().exercises.get(slug)
        kept = worktree.keep(exercise, before) if before else None
        _start(exercise, before, console, today)
    if kept:
        console.print(f"your work is kept in {kept.relative_to(ROOT)}")
    console.print(f"{slug} is in its start state: {where(exercise)}")


def hand_out(slug: str, to: Path | None, console: Console) -> None:
    """Write the handout of an exercise.

    Raises:
        UsageError: no folder is named.
    """
    exercise = catalogue.exercise(slug)
    if to is None:
        raise UsageError(f"where to? `make handout E={slug} TO=folder`")
    lines = handout.handout(exercise, to)
    console.print(
        f"{to}: {lines:,} lines of code, a task of {exercise.minutes} minutes; "
        f"`make grade E={slug} FROM=folder` grades what comes back"
    )


def grade(slug: str, source: Path | None, to: Path | None, console: Console) -> None:
    """Grade a submission, and write the report.

    Raises:
        UsageError: no folder is named.
    """
    exercise = catalogue.exercise(slug)
    if source is None:
        raise UsageError(f"of whom? `make grade E={slug} FROM=folder`")
    found = grading.grade(exercise, source)
    folder = to or progress.STATE / "grades" / f"{slug}-{source.resolve().name}"
    grading.write(found, folder)
    for part in found.parts:
        console.print(f"{part.points:>5} of {part.of:<3} {part.part}", highlight=False)
    for what in [*found.remarks, *found.tried, *found.restored, *found.skipped]:
        console.print(f"      said: {escape(what)}", highlight=False)
    console.print(f"{found.total} of 100 -> {folder}/grade.html", highlight=False)
