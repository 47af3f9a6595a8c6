"""The maker of tonight's sheet: docs/tonight.yaml and the pages it names -> docs/tonight.md.

The spoken answers are those of the pages, so that a page and the sheet never say two things.
"""

import textwrap
from dataclasses import dataclass, replace
from typing import Any

from docs import numbers, symbols
from docs.pages import ANSWERS, ROOT, Answer, read_page
from pipeline.shared import yaml_files

PLAN = ROOT / "docs" / "tonight.yaml"
WIDTH = 98
"""Letters of a line: it is read in a terminal."""


@dataclass(frozen=True)
class Entry:
    """A question of the sheet: its page, one number, and what to say if they push.

    `number` is a sentence in which {name} stands for a figure. `answer` stands in place of the
    page's spoken part where another question leads to that page.
    """

    question: str
    page: str
    number: str
    figures: dict[str, str]
    push: str
    then: str
    answer: str = ""


def entries() -> list[Entry]:
    """The sheet's questions, in the order in which they are read."""
    return [Entry(**one) for one in yaml_files.parse(PLAN.read_text(encoding="utf-8"))["questions"]]


def sheet() -> str:
    """The sheet as Markdown."""
    plan: dict[str, Any] = yaml_files.parse(PLAN.read_text(encoding="utf-8"))
    parts = [_section(number, entry) for number, entry in enumerate(entries(), 1)]
    return "\n".join([f"# {plan['title']}\n", _wrapped(plan["lead"]), "", *parts])


def _section(number: int, entry: Entry) -> str:
    found = read_page(ANSWERS / f"{entry.page}.md")
    page = replace(found, text=numbers.cite(found.text, found.figures))
    lines = [f"## {number}. {entry.question}", _wrapped(entry.answer or page.spoken), ""]
    return "\n".join([*lines, *_below(entry, page), ""])


def _below(entry: Entry, page: Answer) -> list[str]:
    """The lines below an answer: one number, the file, the command, and what comes next."""
    said = {name: numbers.said(place) for name, place in entry.figures.items()}
    file = symbols.place(page.code[0]).partition(":")[0]
    return [
        _item("One number", entry.number.format(**said)),
        _item("Open", f"`{file}`"),
        _item("Run", f"`{page.command}`; the whole page: [{page.slug}](answers/{page.slug}.md)"),
        _item("If they push", f"{entry.push} More: [{entry.then}](answers/{entry.then}.md)."),
    ]


def _item(name: str, text: str) -> str:
    return textwrap.fill(f"- **{name}:** {text}", WIDTH, subsequent_indent="  ", **_WHOLE)


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, **_WHOLE)


_WHOLE: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
