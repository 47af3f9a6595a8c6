"""The exam: a set of exercises drawn by topic and time, a countdown, a score, and what to read.

An exam begins each exercise anew, so that what was passed before is done again.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console

from exercises.workbench import catalogue, commands, judge, progress, worktree
from exercises.workbench.catalogue import TOPICS, Exercise
from exercises.workbench.progress import STATE
from pipeline.shared.errors import ArtifactTampered, UsageError
from pipeline.shared.files import read_json, write_json

PATH = STATE / "exam.json"
PASS_SHARE = 0.66


class ExamRefused(UsageError):
    """No exam runs, or one runs already, or there is nothing to draw from."""


class Exam(BaseModel):
    """An exam in progress: its exercises, its beginning, its length in minutes."""

    model_config = ConfigDict(extra="forbid")

    slugs: list[str]
    began: datetime
    minutes: int


@dataclass(frozen=True)
class Score:
    """The points of one exercise of an exam."""

    exercise: Exercise
    points: int
    of: int


def draw(minutes: int, topic: str, seed: int | None) -> list[Exercise]:
    """Draw exercises that fit the time, one topic after another, the same for the same seed.

    Raises:
        ExamRefused: there is no such topic, or nothing short enough.
    """
    if topic and topic not in TOPICS:
        others = ", ".join(TOPICS)
        raise ExamRefused(
            f"{topic!r} is no topic, one is needed of {others}: as in `make exam TOPIC=drift`"
        )
    among = [one for one in catalogue.exercises() if topic in ("", one.topic)]
    random.Random(seed).shuffle(among)
    drawn: list[Exercise] = []
    while fitting := [
        one
        for one in among
        if one not in drawn and one.minutes <= minutes - sum(d.minutes for d in drawn)
    ]:
        used = [one.topic for one in drawn]
        drawn.append(min(fitting, key=lambda one: used.count(one.topic)))
    if not drawn:
        raise ExamRefused(f"no exercise of {topic or 'any topic'} fits into {minutes} minutes")
    return drawn


def load(path: Path = PATH) -> Exam | None:
    """The exam in progress, if there is one.

    Raises:
        ArtifactTampered: its file is not what the workbench writes.
    """
    if not path.is_file():
        return None
    try:
        return Exam.model_validate(read_json(path, "exam"))
    except ValidationError as error:
        raise ArtifactTampered(
            f"{path} is no exam: remove it, and `make exam` begins one"
        ) from error


def begin(minutes: int, topic: str, seed: int | None, now: datetime, console: Console) -> None:
    """Draw an exam and start all its exercises; while one runs, show what is left of it."""
    if (running := load()) is not None:
        show(running, now, console)
        return
    drawn = draw(minutes, topic, seed)
    for one in drawn:
        commands.reset(one.slug, console, now.date())
    exam = Exam(slugs=[one.slug for one in drawn], began=now, minutes=minutes)
    write_json(PATH, exam.model_dump(mode="json"))
    show(exam, now, console)


def left(exam: Exam, now: datetime) -> int:
    """The whole minutes that are left; below 0 they are over."""
    return (exam.began + timedelta(minutes=exam.minutes) - now) // timedelta(minutes=1)


def show(exam: Exam, now: datetime, console: Console) -> None:
    """Show the time that is left and the exercises of an exam."""
    minutes = left(exam, now)
    words = f"{minutes} of {exam.minutes} minutes left" if minutes >= 0 else "the time is over"
    console.print(f"exam: {words}; make exam END=1 scores it")
    for slug in exam.slugs:
        one = catalogue.exercise(slug)
        console.print(f"  {slug:<28} {one.minutes:>3} minutes  {commands.where(one)}")


def end(now: datetime, console: Console) -> list[Score]:
    """Score the exam that runs, and say which answer pages to read.

    Raises:
        ExamRefused: none runs.
    """
    exam = load()
    if exam is None:
        raise ExamRefused("no exam runs; `make exam` begins one")
    scores = [_score(catalogue.exercise(slug)) for slug in exam.slugs]
    for one in scores:
        console.print(f"  {one.exercise.slug:<28} {one.points:>3} of {one.of}")
    points, of = sum(one.points for one in scores), sum(one.of for one in scores)
    ending = "passed" if points >= PASS_SHARE * of else "not passed"
    late = "" if left(exam, now) >= 0 else f", {-left(exam, now)} minutes late"
    console.print(f"exam: {points} of {of} points, {ending} (from {PASS_SHARE:.0%} on){late}")
    for page in sorted({one.exercise.answer for one in scores if one.points < one.of}):
        console.print(f"  read: make answer Q={page}")
    PATH.unlink()
    return scores


def _score(exercise: Exercise) -> Score:
    known = progress.load()
    if exercise.slug not in known.exercises or not worktree.is_there(exercise):
        return Score(exercise, 0, sum(one.weight for one in judge.checks(exercise.checks)))  # type: ignore[attr-defined]
    found = judge.judge(exercise, worktree.path_of(exercise))
    return Score(exercise, found.points, found.most)
