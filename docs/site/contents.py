"""What is in the book: questions by topic, reading paths, documents, commands, reports."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.__main__ import questions
from docs.pages import DEMONSTRATED, ROOT, Answer, exercises, pages
from pipeline.shared.yaml_files import parse

PATHS = ROOT / "docs" / "paths.yaml"
REPORTS = {
    "data/validate/docs/index.html": ("validate", "Great Expectations: what the data gate found"),
    "data/evaluate/verdict.html": ("evaluate", "The gate: the verdict on the last challenger"),
    "data/monitor/month.html": ("monitor", "The month: operations, inputs, outcomes"),
    "data/monitor/drift.html": ("monitor", "Evidently: the drift of the month's inputs"),
    "data/monitor/docs/index.html": ("monitor", "Great Expectations: the tripwires on live data"),
}
"""Pages that the last run here may have left: their topic, and what they show."""


@dataclass(frozen=True)
class Reading:
    """A way through the book: for whom, why, and its stops in order, each with why it is there."""

    slug: str
    title: str
    why: str
    stops: dict[str, str]

    @property
    def answers(self) -> list[str]:
        """The answers at its stops."""
        return list(self.stops)

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"path-{self.slug}.html"


@dataclass(frozen=True)
class Document:
    """A page that answers no question: a decision, the runbook, a comparison."""

    path: Path
    kind: str

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.path.stem}.html"


@dataclass(frozen=True)
class Command:
    """What to type, why, and what it does."""

    verb: str
    line: str
    does: str


def readings() -> list[Reading]:
    """The reading paths, as docs/paths.yaml gives them."""
    found = parse(PATHS.read_text(encoding="utf-8"))
    return [Reading(slug=slug, **values) for slug, values in found.items()]


def topics() -> dict[str, list[Answer]]:
    """The answers of each stage, in the order in which data flows."""
    found: dict[str, list[Answer]] = {}
    for page in pages():
        found.setdefault(page.stage, []).append(page)
    return found


@cache
def stages() -> dict[str, str]:
    """What each stage does, in the words of the map."""
    import pipeline

    text = (pipeline.__doc__ or "").replace(" -> ", " → ")
    return dict(re.findall(r"^([a-z]+) {2,}(\S.*)$", text, re.MULTILINE))


def documents() -> list[Document]:
    """The decisions in their order, then every other page of docs/."""
    decisions = sorted((ROOT / "docs/adr").glob("*.md"))
    others = sorted((ROOT / "docs").glob("*.md"))
    return [Document(path, "decision") for path in decisions] + [
        Document(path, "reference") for path in others
    ]


def commands(page: Answer) -> list[Command]:
    """The commands that show, prove and break an answer, and the exercises that build it."""
    told, built = _drills(), exercises().get(page.slug, [])
    proof = Command("Prove it", f"make prove Q={page.slug}", "Run the tests that prove this answer")
    return [
        Command("See it", page.command, _commands()[page.command]),
        *([proof] if page.shown == DEMONSTRATED else []),
        *(Command("Break it", f"make drill D={drill}", told[drill]) for drill in page.drills),
        *(Command("Build it", f"make exercise E={name}", words) for name, words in built),
    ]


def reports(stage: str = "") -> dict[Path, str]:
    """The reports of the last run that are here, of one topic or of all."""
    return {
        ROOT / path: what
        for path, (topic, what) in REPORTS.items()
        if (not stage or topic == stage) and (ROOT / path).is_file()
    }


@cache
def _commands() -> dict[str, str]:
    """What each target of make does, and each benchmark."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = [line.partition("## ") for line in text.splitlines() if line[:1].isalpha()]
    targets = {rule.partition(":")[0]: does for rule, marked, does in rules if marked}
    each = {f"measure M={name}": question for name, question in questions().items()}
    return {f"make {command}": does for command, does in (targets | each).items()}


@cache
def _drills() -> dict[str, str]:
    from exercises import drill

    return {
        slug: f"{one.fault[:1].upper()}{one.fault[1:]}. Caught by {one.guard}."
        for slug, one in drill.drills().items()
    }
