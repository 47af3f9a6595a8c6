"""The answer book beside the page: which question each part of the page is the evidence for."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

from pipeline.shared import yaml_files

PLACES: dict[str, list[str]] = {
    "now": ["who-served", "silent-degradation", "release", "lineage", "three-artefacts"],
    "time": ["closed-loop", "when-to-retrain", "rollback", "delayed-labels", "star-stories"],
    "pipeline": [
        "walk-through",
        "another-problem",
        "notebook",
        "mlops",
        "ci-cd",
        "orchestrators",
        "feature-store",
        "point-in-time",
        "backfill",
        "devops-engineer",
        "hundred-times",
        "cost",
        "scaling",
        "docker-kubernetes",
        "infrastructure-as-code",
        "maturity-levels",
        "many-models",
        "edge",
        "gpu",
        "whiteboard-platform",
        "whiteboard-feature-store",
    ],
    "data": ["data-validation", "schema-evolution"],
    "gate": [
        "model-validation",
        "behavioural-tests",
        "retraining",
        "data-scientist",
        "fairness",
        "llmops",
    ],
    "rollout": [
        "safe-rollout",
        "canary-decides",
        "which-rollout",
        "ab-test",
        "latency",
        "post-mortem",
    ],
    "performance": [
        "what-to-monitor",
        "data-drift",
        "which-drift",
        "alert-fatigue",
        "embedding-drift",
    ],
    "prediction": [
        "one-prediction",
        "explainability",
        "skew",
        "model-server",
        "online-or-batch",
        "whiteboard-fraud",
    ],
    "versions": [
        "model-registry",
        "experiment-tracking",
        "model-security",
        "governance",
        "lineage",
        "release",
        "three-artefacts",
    ],
}
"""By part of the page, the answers that it is the evidence for, the nearest first."""
_DRILL = re.compile(r"^\| `([\w-]+)` \| [\w ]+ \| (.*?) \|", re.MULTILINE)
_FURTHER = re.compile(r"^- \*(.+?\?)\*\s+(.+?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
_FILLED = re.compile(r"<!--.*?-->")
"""The marks around a figure that is filled from its record."""
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_SPOKEN, _AFTER = "## In 30 seconds", "## If they ask further"


@dataclass(frozen=True)
class Answer:
    """A page of the book: its question, how else it is asked, what is said, what comes next."""

    slug: str
    question: str
    stage: str
    command: str
    spoken: list[str]
    asked: list[str] = field(default_factory=list)
    further: list[tuple[str, str]] = field(default_factory=list)
    drills: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    argued: bool = False
    """Whether nothing here proves it: its parts of the page are the nearest only."""

    @property
    def places(self) -> list[str]:
        """The parts of the page that are its evidence."""
        return [place for place, slugs in PLACES.items() if self.slug in slugs]


@dataclass(frozen=True)
class Book:
    """The answers by slug, and what each drill injects."""

    answers: dict[str, Answer]
    drills: dict[str, str]

    def of(self, place: str) -> list[Answer]:
        """The answers of a part of the page."""
        return [self.answers[slug] for slug in PLACES.get(place, []) if slug in self.answers]

    def drill_of(self, place: str) -> str:
        """The first drill of a part's answers; "" without any."""
        return next((name for one in self.of(place) for name in one.drills), "")

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Every question with its answer's slug, other phrasings included."""
        return [
            (question, one.slug)
            for one in self.answers.values()
            for question in (one.question, *one.asked)
        ]


@lru_cache(maxsize=1)
def read(root: Path) -> Book:
    """Read the book of a checkout; it is as old as the process."""
    pages = sorted((root / "docs" / "answers").glob("*.md"))
    found = [answer for path in pages if (answer := _answer(path)) is not None]
    path = root / "docs" / "drills.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return Book({one.slug: one for one in found}, dict(_DRILL.findall(text)))


def _answer(path: Path) -> Answer | None:
    """A page's header and spoken part; None for a page that is no answer."""
    try:
        _, header, text = path.read_text(encoding="utf-8").split("---\n", 2)
        values = yaml_files.parse(header)
        return Answer(
            slug=path.stem,
            question=values["question"],
            stage=values["stage"],
            command=values["try"],
            spoken=_paragraphs(_section(text, _SPOKEN)),
            asked=list(values.get("asked", [])),
            further=[(_plain(q), _plain(a)) for q, a in _FURTHER.findall(_section(text, _AFTER))],
            drills=list(values.get("drills", [])),
            code=list(values.get("code", [])),
            argued=values.get("shown") == "argued",
        )
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def _section(text: str, heading: str) -> str:
    return text.partition(f"{heading}\n")[2].partition("\n## ")[0].strip()


def _paragraphs(text: str) -> list[str]:
    return [_plain(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _plain(text: str) -> str:
    """A text on one line, its links as their words, its figures without their marks."""
    return " ".join(_LINK.sub(r"\1", _FILLED.sub("", text)).split())
