"""The pages of the answer book as text: a checked header, and the sections below it.

Python alone reads them, without an environment: `make answer` and `make tonight` install nothing.
A header is therefore a small part of YAML, and whatever lies beyond that part is refused.
"""

import json
import re
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pipeline
from docs import search

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "docs" / "answers"
PROOFS = ROOT / "benchmarks" / "proofs.json"
SPOKEN, LONG = "In 30 seconds", "In three minutes"
HEADINGS = [
    SPOKEN,
    LONG,
    "The numbers here",
    "If they ask further",
    "A weak answer",
    "The trade-off, and when not to",
    "Managed, or on a cluster",
    "What this leaves out",
]
"""The sections of every page, in their order."""
DEMONSTRATED, ARGUED = "demonstrated", "argued"
SHOWN = {
    DEMONSTRATED: "Demonstrated: tests prove it here, and record what they measured.",
    ARGUED: "Argued only: no test here proves it; the code named is the nearest to it.",
}
"""Whether the repository runs what a page says, or the page only argues it."""
_BLOCK = re.compile(r"(?m)^(?![#|\s])(?:- )?\S.*(?:\n(?![#|\n]|- ).+)*")
"""A paragraph, or an item of a list with the lines that belong to it."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True)
class Answer:
    """One page: the checked header, and the text below it.

    `shown` is one of SHOWN. `asked` holds the question in other words, as interviewers put it: the
    search reads them.
    `numbers` holds the rows of the page's table: what is measured, and its place in a record, as
    "benchmarks/year.json:months". `figures` holds, by a short name, what sentences cite; `claims`
    what they say without a figure, as "benchmarks/loop.json:against_never.high < 0".
    """

    slug: str
    question: str
    shown: str
    stage: str
    code: list[str]
    command: str
    text: str
    asked: list[str] = field(default_factory=list)
    drills: list[str] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    claims: list[str] = field(default_factory=list)

    def section(self, heading: str) -> str:
        """The text below one of the headings, as people read it; empty if the page has none."""
        _, found, rest = self.text.partition(f"## {heading}\n")
        return readable(rest.partition("\n## ")[0]).strip() if found else ""

    @property
    def spoken(self) -> str:
        """The answer of thirty seconds, in one line."""
        return " ".join(self.section(SPOKEN).split())


@cache
def exercises() -> dict[str, list[tuple[str, str]]]:
    """The exercises of each answer: a name, and what it is, its kind and its minutes."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for path in sorted(ROOT.glob("exercises/*/*/exercise.toml")):
        one = tomllib.loads(path.read_text(encoding="utf-8"))
        words = f"{one['title']}: {one['kind']}, {one['minutes']} minutes"
        found.setdefault(one["answer"], []).append((one["depth"], path.parent.name, words))
    return {page: [(name, words) for _, name, words in sorted(of)] for page, of in found.items()}


def read_page(path: Path) -> Answer:
    """A page's header and text.

    Raises:
        TypeError: a key in the header is missing or unknown.
        ValueError: the header is not the part of YAML that pages use, or a key stands twice.
    """
    _, top, text = path.read_text(encoding="utf-8").split("---\n", 2)
    try:
        values = header(top)
    except ValueError as wrong:
        raise ValueError(f"{path.name}: {wrong}") from None
    page = Answer(slug=path.stem, command=values.pop("try", None), text=text, **values)
    if page.shown not in SHOWN:
        raise ValueError(f"{path.name}: shown is {page.shown!r}; it is one of {', '.join(SHOWN)}")
    return page


def header(text: str) -> dict[str, Any]:
    """A header's values: a text, a list, in brackets or of `- item` lines, or `name: text` lines.

    Raises:
        ValueError: a line is none of these, or a key stands twice.
    """
    blocks = [block.splitlines() for block in re.split(r"(?m)^(?=\S)", text) if block.strip()]
    return _unique(_entry(first, rest) for first, *rest in blocks)


def _entry(first: str, rest: list[str]) -> tuple[str, Any]:
    key, value = _pair(first)
    if value and rest:
        raise ValueError(f"{rest[0]!r} stands below {key!r}, which has a value in its own line")
    if value.startswith("[") and value.endswith("]"):
        return key, [_scalar(item.strip()) for item in value[1:-1].split(",")]
    if value:
        return key, value
    if all(line.startswith("  - ") for line in rest):
        return key, [_scalar(line.removeprefix("  - ")) for line in rest]
    return key, _unique(_pair(line.removeprefix("  "), with_value=True) for line in rest)


def _pair(line: str, with_value: bool = False) -> tuple[str, str]:
    """The key and the text of `key: text`; the key ends at the first colon before a space."""
    quoted = _QUOTED.match(line)
    key, colon, text = line[quoted.end() if quoted else 0 :].partition(": ")
    if not colon and key.endswith(":"):
        key, colon = key[:-1], ":"
    key = (quoted[0] if quoted else "") + key
    plain = not quoted and (key[:1] in ('"', "-", "") or key[:1].isspace())
    if not colon or plain or (quoted and key != quoted[0]) or (with_value and not text):
        raise ValueError(f"{line!r} is no `key: text`")
    return _scalar(key), _scalar(text)


def _scalar(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands twice in the header; remove one of them")
        found[key] = value
    return found


def readable(text: str) -> str:
    """A page's text without the marks of its generated parts, which are comments of one line."""
    return re.sub(r"<!-- [^<\n]* -->", "", re.sub(r"(?m)^<!-- [^<\n]* -->\n", "", text))


def wrapped(text: str, width: int = 98) -> str:
    """A page's paragraphs and items filled anew: a figure filled in leaves lines of any length.

    Headings, tables and what stands between fences stay as they are.
    """
    parts = f"\n{text}".split("\n```")
    parts[::2] = [_BLOCK.sub(lambda found: _filled(found[0], width), part) for part in parts[::2]]
    return "\n```".join(parts).removeprefix("\n")


def _filled(block: str, width: int) -> str:
    """One paragraph or one item as lines of at most so many letters."""
    below = "  " if block.startswith("- ") else ""
    return textwrap.fill(
        " ".join(block.split()),
        width,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def pages() -> list[Answer]:
    """Every answer, in the order in which data flows, then by question."""
    order = stages()
    found = [read_page(path) for path in ANSWERS.glob("*.md") if path.name != "README.md"]
    return sorted(found, key=lambda page: (order.index(page.stage), page.question))


def demonstrated() -> list[Answer]:
    """The answers that tests prove."""
    return [page for page in pages() if page.shown == DEMONSTRATED]


def stages() -> list[str]:
    """The stages, in the order of the map in pipeline/__init__.py."""
    return [line.split()[0] for line in (pipeline.__doc__ or "").splitlines() if "  " in line]


def find(words: str) -> Answer:
    """The page with this slug, or the one that is nearest to a question asked freely.

    Raises:
        LookupError: no page shares a word with the question.
    """
    book = pages()
    for page in book:
        if page.slug == words.strip():
            return page
    found = near(words, book)
    if not found:
        raise LookupError(
            f"no answer shares a word with {words!r}; `make questions` lists all {len(book)}"
        )
    return found[0]


def near(words: str, book: list[Answer]) -> list[Answer]:
    """The pages that may answer a question asked freely, the nearest first."""
    named = {page.slug: page for page in book}
    return [named[slug] for slug in search.rank(words, [entry(page) for page in book])]


def entry(page: Answer) -> search.Entry:
    """A page as the search knows it."""
    phrases = [page.question, page.slug.replace("-", " "), *page.asked]
    return search.Entry(page.slug, phrases, readable(page.text))


def only_closest(words: str) -> str:
    """What stands before a page that shares few words with a question, with two others near it.

    Empty where the question is the page's, or names it.
    """
    book = pages()
    if words.strip() in {page.slug for page in book}:
        return ""
    first, *others = near(words, book)
    if not search.is_weak(words, [entry(page) for page in book]):
        return ""
    also = "".join(f"\n  make answer Q={page.slug:<20} {page.question}" for page in others[:2])
    return (
        f"No page of the book asks {words.strip()!r}: {first.slug} below is only the closest."
        f"{f' Near it:{also}' if also else ''}\n"
    )


def aside(words: str) -> str:
    """What else a question asked freely may have meant."""
    _, *others = near(words, pages())
    return f"Near it: {', '.join(page.slug for page in others[:3]) or 'none'}"
