"""The grade of a submission: four parts by the rubric, as a record and as a page.

The same submission gets the same grade, byte for byte: no time, no path, no random number is in it.
"""

import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from exercises.workbench import handout, judge, quality, submission
from exercises.workbench.catalogue import Exercise
from exercises.workbench.quality import Part
from exercises.workbench.rubric import rubric
from exercises.workbench.sandbox import Limits, lacking
from exercises.workbench.submission import Submission
from exercises.workbench.verdict import Verdict
from pipeline.shared.files import write_json, write_text
from pipeline.shared.pages import render

LIMITS = Limits(seconds=20.0)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckGrade(_Record):
    """One check as a report shows it."""

    name: str
    weight: int
    passed: bool
    hidden: bool
    expected: str
    seen: str
    why: str


class PartGrade(_Record):
    """One part of the rubric: its points, of how many, and what was found."""

    part: str
    about: str
    points: float
    of: int
    findings: list[str]


class Grade(_Record):
    """A grade: the points of each part, every check, what the submission tried, what to ask."""

    exercise: str
    title: str
    total: float
    parts: list[PartGrade]
    checks: list[CheckGrade]
    tried: list[str]
    restored: list[str]
    skipped: list[str]
    remarks: list[str]
    changed: list[str]
    ask: list[str]
    lacking: list[str]


def grade(exercise: Exercise, source: Path) -> Grade:
    """Grade the submission in a folder.

    Raises:
        SubmissionRefused: it is none of this exercise, or too large.
    """
    with tempfile.TemporaryDirectory(prefix="grade-") as name:
        folder = Path(name).resolve()
        taken = submission.take(exercise, source, folder)
        verdict = judge.judge(exercise, taken.tree, LIMITS, guard=True)
        parts = {
            "working": Part(verdict.points / verdict.most, _failures(verdict)),
            "explanation": quality.explanation(exercise, taken),
        }
        graded = rubric().weights_of(exercise)
        if "code" in graded:
            parts["code"] = quality.code(taken, folder / "original")
        if "tests" in graded:
            parts["tests"] = quality.own_tests(
                exercise, taken, _base(exercise, folder), folder / "states"
            )
    return _grade(exercise, taken, verdict, parts)


def _base(exercise: Exercise, folder: Path) -> Path:
    """The handout with main's files: what the states of the exercise are made from."""
    base = folder / "base"
    handout.build(exercise, base)
    handout.copy_main(exercise, base)
    return base


def _failures(verdict: Verdict) -> list[str]:
    return [f"{one.words}: {one.why or one.seen}" for one in verdict.failed()]


def _grade(
    exercise: Exercise, taken: Submission, verdict: Verdict, parts: dict[str, Part]
) -> Grade:
    rule, graded = rubric(), []
    for name, weight in rule.weights_of(exercise).items():
        part = parts[name]
        points = round(part.share * weight, 1)
        graded.append(
            PartGrade(
                part=name,
                about=rule.about(name, exercise.kind),
                points=points,
                of=weight,
                findings=part.findings,
            )
        )
    return Grade(
        exercise=exercise.slug,
        title=exercise.title,
        total=round(sum(one.points for one in graded), 1),
        parts=graded,
        checks=[CheckGrade.model_validate(_fields(one)) for one in verdict.checks],
        tried=verdict.tried,
        restored=taken.restored,
        skipped=taken.skipped,
        remarks=taken.remarks,
        changed=taken.changed,
        ask=questions(exercise, verdict, taken),
        lacking=lacking(),
    )


def _fields(found: object) -> dict[str, object]:
    return {name: getattr(found, name) for name in CheckGrade.model_fields}


def questions(exercise: Exercise, verdict: Verdict, taken: Submission) -> list[str]:
    """What to ask next: of what failed, of what was tried, and what the exercise is about."""
    asked = [f"Show me where your code decides this: {one.words}." for one in verdict.failed()[:3]]
    asked += [f"What is this for: {what}?" for what in verdict.tried[:3]]
    asked += [f"Why was this changed: {name}?" for name in taken.restored[:3]]
    text = " ".join(exercise.brief.talk_about.split())
    return [*asked, *(f"{one.strip()}?" for one in text.split("?") if one.strip())]


def write(found: Grade, to: Path) -> None:
    """Write a grade as grade.json and grade.html below a folder."""
    write_json(to / "grade.json", found.model_dump())
    write_text(to / "grade.html", render("exercises/workbench/templates/grade.html", grade=found))
