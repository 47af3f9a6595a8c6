"""A brief's suite: its checks on a checkout, one after the other, and a verdict with weights."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from exercises.briefs import service, statement
from exercises.briefs.service import Service
from exercises.workbench import verdict
from exercises.workbench.checking import Unmet
from exercises.workbench.modules import load
from exercises.workbench.verdict import Found, Verdict
from pipeline.shared.errors import UsageError

FOLDER = Path(__file__).parent
BRIEFS = ("airline", "joined")


class BriefUnknown(UsageError):
    """There is no brief of this name, or no folder to check."""


@dataclass
class Subject:
    """A checkout under check: its folder, and its service once a check asks for it."""

    brief: str
    folder: Path
    seconds: float
    measured: dict[str, float] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _started: "Service | Unmet | None" = None

    @property
    def statement(self) -> statement.Statement:
        """What the checkout states."""
        return statement.read(self.folder, self.brief)

    @property
    def service(self) -> Service:
        """The running service; a start that failed once is not tried again."""
        if self._started is None:
            try:
                serving = service.serving(self.folder, self.statement)
                self._started = self._stack.enter_context(serving)
            except Unmet as error:
                self._started = error
        if isinstance(self._started, Unmet):
            raise self._started
        return self._started

    def close(self) -> None:
        """End the service."""
        self._stack.close()


def check(brief: str, folder: Path, seconds: float = 60.0) -> tuple[Verdict, dict[str, float]]:
    """Check a checkout against a brief; the verdict, and what was measured.

    Args:
        brief: one of BRIEFS.
        folder: the checkout; its commands run as this account.
        seconds: how long the users of a load ask.

    Raises:
        BriefUnknown: there is no such brief, or no such folder.
    """
    if brief not in BRIEFS:
        named = " or ".join(f"`make brief B={one}`" for one in BRIEFS)
        raise BriefUnknown(f"there is no brief {brief!r}, there are {len(BRIEFS)}: {named}")
    if not folder.is_dir():
        raise BriefUnknown(f"{folder} is no folder: `make brief B={brief} FROM=folder` checks one")
    checks = load(FOLDER / brief / "checks.py")
    subject = Subject(brief, folder.resolve(), seconds)
    try:
        found = [
            _run(name, one, subject)
            for name, one in vars(checks).items()
            if name.startswith("test_")
        ]
    finally:
        subject.close()
    return Verdict(f"brief {brief}", found), subject.measured


def _run(name: str, one: Callable[[Subject], Any], subject: Subject) -> Found:
    weight = int(getattr(one, "weight", 1))
    try:
        one(subject)
    except Unmet as error:
        return Found(name, weight, False, expected=error.expected, seen=error.seen, why=error.why)
    return Found(name, weight, True)


def show(brief: str, folder: Path, console: Console) -> bool:
    """Check and print the verdict with what was measured; whether all checks passed."""
    found, measured = check(brief, folder)
    verdict.show(found, console)
    for name, value in measured.items():
        console.print(f"  {name}: {value:,.1f}", highlight=False)
    if not found.passed:
        console.print(f"the brief: exercises/briefs/{brief}/brief.md", highlight=False)
    return found.passed
