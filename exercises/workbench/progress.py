"""Progress of the person at this checkout: what is started, passed, and due again.

One file below state/, written whole or not at all. A passed exercise is due again after a while,
longer each time: what is not repeated is forgotten.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exercises.workbench.catalogue import ROOT
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import read_json, write_json

STATE = ROOT / "state" / "exercises"
INTERVALS = (3, 10, 30, 90)
"""Days after which a passed exercise is due, the first time and each time after it."""


class Entry(BaseModel):
    """One exercise's progress; `commit` is main's at its start, `start` that of the start state.

    `fingerprint` is of the exercise and its code then; `passes` counts passed repetitions.
    """

    model_config = ConfigDict(extra="forbid")

    commit: str
    start: str
    fingerprint: str
    started_on: date
    points: int = 0
    most: int = 0
    passes: int = 0
    passed_on: date | None = None
    due_on: date | None = None
    hints: int = 0
    solution_seen: bool = False


class Progress(BaseModel):
    """Every started exercise by its slug."""

    model_config = ConfigDict(extra="forbid")

    exercises: dict[str, Entry] = Field(default_factory=dict)


def load(folder: Path = STATE) -> Progress:
    """Read the progress; none yet without a file.

    Raises:
        ArtifactTampered: the file is not what the workbench writes.
    """
    path = folder / "progress.json"
    if not path.is_file():
        return Progress()
    try:
        return Progress.model_validate(read_json(path, "learn"))
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactTampered(
            f"{path} is not what the workbench writes: {'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}; correct it, or move it away: the worktrees beside it stay"
        ) from error


def save(progress: Progress, folder: Path = STATE) -> None:
    """Write the progress.

    Raises:
        StorageFailed: the disk is full or the folder cannot be written; the old one is as it was.
    """
    write_json(folder / "progress.json", progress.model_dump(mode="json"))


@contextmanager
def changing() -> Iterator[Progress]:
    """The progress, to be changed in the block and written at its end, by one command at a time.

    Raises:
        StorageFailed: it cannot be written; the old one is as it was.
    """
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "progress.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        known = load()
        yield known
        save(known)


def record(entry: Entry, points: int, most: int, passed: bool, today: date) -> None:
    """Note a verdict; a pass on another day than the last one moves the due date further."""
    entry.points, entry.most = points, most
    if not passed or entry.passed_on == today:
        return
    entry.passed_on = today
    days = INTERVALS[min(entry.passes, len(INTERVALS) - 1)]
    entry.due_on = today + timedelta(days=INTERVALS[0] if entry.solution_seen else days)
    entry.passes += 0 if entry.solution_seen else 1


def state_of(entry: Entry | None, today: date) -> str:
    """The state of an exercise as a list shows it."""
    if entry is None:
        return "new"
    if entry.due_on is not None:
        return "due" if entry.due_on <= today else "passed"
    return f"{entry.points} of {entry.most}" if entry.most else "started"
