"""The interviewer's page: the planted fault, the expected path, hints to give, and the scoring."""

from pathlib import Path

from exercises.workbench import commands, judge
from exercises.workbench.catalogue import Exercise
from exercises.workbench.progress import STATE
from pipeline.shared.files import write_text
from pipeline.shared.pages import render


def page(exercise: Exercise) -> str:
    """The page as HTML: for the interviewer's screen only, since it shows the solution."""
    return render(
        "exercises/workbench/templates/interview.html",
        exercise=exercise,
        difference=commands.difference(exercise),
        checks=[
            (one.__name__.removeprefix("test_").replace("_", " "), one.weight, one.__doc__ or "")  # type: ignore[attr-defined]
            for one in judge.checks(exercise.checks)
        ],
        questions=[f"{q.strip()}?" for q in exercise.brief.talk_about.split("?") if q.strip()],
    )


def write(exercise: Exercise) -> Path:
    """Write the page below state/, and return where it is."""
    path = STATE / "interviews" / f"{exercise.slug}.html"
    write_text(path, page(exercise))
    return path
