"""The exercises, as exercises/<topic>/<slug>/exercise.toml describes them.

A start, a solution and a wrong solution are each a list of edits of main: small, so that they show
what the exercise is about, and checked against main, so that a stale one is found.
"""

import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.shared.errors import ArtifactTampered, UsageError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "exercises"
TOPICS = {
    "reproducibility": "Reproducibility",
    "ci-cd": "CI/CD and gates",
    "deployment": "Deployment and rollout",
    "serving": "Serving and the feature store",
    "monitoring": "Monitoring",
    "drift": "Drift",
    "retraining": "Retraining",
}
"""Folder and title of each topic, in the order of the guide."""
Kind = Literal["rebuild", "repair", "extend", "decide"]
Reader = Literal["data scientist", "devops engineer", "candidate", "interviewer"]
"""For whom it is first of all: of the last two, for the evening before, and to hand out."""


class ExerciseUnknown(UsageError):
    """There is no exercise of this name."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Edit(_Part):
    """One change of a file: exactly one of its forms.

    `blank` empties the bodies of these functions; `old` becomes `new`, and stands there once;
    `code` replaces functions and classes by those of the same name; `text` is the whole file;
    `source` names the whole file in the exercise's folder, where it is linted as code;
    `made` has it made by the exercise's evidence.py, from the real code.
    """

    file: str
    blank: list[str] = Field(default_factory=list)
    old: str | None = None
    new: str | None = None
    code: str | None = None
    text: str | None = None
    source: str | None = None
    made: bool = False

    @model_validator(mode="after")
    def _has_one_form(self) -> "Edit":
        forms = [bool(self.blank), self.old is not None, self.code is not None]
        forms += [self.text is not None, self.source is not None, self.made]
        if sum(forms) != 1 or (self.old is None) != (self.new is None):
            raise ValueError(
                f"an edit of {self.file} is blank, old and new, code, text, source or made"
            )
        return self


class Brief(_Part):
    """What a person is told, in five parts."""

    situation: str = Field(min_length=40)
    task: str = Field(min_length=20)
    done_when: str = Field(min_length=20)
    out_of_scope: str = Field(min_length=10)
    talk_about: str = Field(min_length=20)


class Failing(_Part):
    """A check that the start fails, and words of the reason."""

    check: str
    words: str


class Wrong(_Part):
    """A wrong solution, what is wrong with it, and the check that rejects it."""

    name: str
    why: str
    rejected_by: str
    edits: list[Edit] = Field(min_length=1)


class Exercise(_Part):
    """One exercise; `depth` orders a topic's chain, `module` is what the checks call.

    A handout has its `files` and those that it `ships` whole; `leaves_out` names functions of the
    files that are the way in from a command, whose registry and logs the task does not reach.
    """

    topic: str
    slug: str
    title: str
    kind: Kind
    depth: int = Field(ge=1, le=10)
    minutes: int = Field(ge=10, le=240)
    reader: Reader
    answer: str
    module: str = ""
    files: list[str]
    brief: Brief
    hints: list[str] = Field(min_length=3, max_length=3)
    start: list[Edit] = Field(default_factory=list)
    fails: Failing
    solution: list[Edit] = Field(default_factory=list)
    wrong: list[Wrong] = Field(min_length=2)
    ships: list[str] = Field(default_factory=list)
    leaves_out: list[str] = Field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.topic / self.slug

    @property
    def checks(self) -> Path:
        """The module of its checks."""
        return self.folder / "checks.py"


def names() -> dict[str, Path]:
    """Every exercise's folder by its slug, topic by topic."""
    found = {}
    for topic in TOPICS:
        for path in sorted((FOLDER / topic).glob("*/exercise.toml")):
            found[path.parent.name] = path.parent
    return found


def read(folder: Path) -> Exercise:
    """Read an exercise from its folder.

    Raises:
        ArtifactTampered: its exercise.toml is not what the workbench reads.
    """
    path = folder / "exercise.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        where = {"topic": folder.parent.name, "slug": folder.name}
        return Exercise.model_validate(values | where)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        first = " ".join(str(error).split())[:300]
        raise ArtifactTampered(
            f"{path.relative_to(ROOT)} is not an exercise: {first}; compare it with another one, "
            "or bring it back with `git checkout HEAD -- exercises`"
        ) from error


@cache
def exercises() -> list[Exercise]:
    """Every exercise: by topic, and in a topic by depth."""
    found = [read(folder) for folder in names().values()]
    order = list(TOPICS)
    return sorted(found, key=lambda one: (order.index(one.topic), one.depth, one.slug))


def exercise(slug: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ExerciseUnknown: there is none; names the nearest ones.
    """
    known = {one.slug: one for one in exercises()}
    if slug in known:
        return known[slug]
    near = difflib.get_close_matches(slug, known, n=3, cutoff=0.4)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise ExerciseUnknown(
        f"{slug!r} is none of the {len(known)} exercises; {meant}`make exercise` lists them"
    )


def next_in_chain(one: Exercise) -> Exercise | None:
    """The exercise after this one in its topic, or the first of the next topic."""
    every = exercises()
    place = every.index(one) + 1
    return every[place] if place < len(every) else None


def next_of_reader(one: Exercise) -> Exercise | None:
    """The next exercise in the chain for the same reader; the chain's next one after the last."""
    every = exercises()
    after = every[every.index(one) + 1 :]
    return next((other for other in after if other.reader == one.reader), next_in_chain(one))
