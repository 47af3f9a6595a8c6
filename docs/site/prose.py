"""Markdown as the book shows it: sections with ids, links between pages, plain words to search."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import escape

from docs.pages import ROOT, readable
from docs.site.source import coloured


@dataclass(frozen=True)
class Section:
    """A part of a page: an id to link to, its heading, its HTML, and its words without markup."""

    id: str
    title: str
    html: str
    words: str

    @property
    def entry(self) -> tuple[str, str]:
        """What a table of contents needs of it."""
        return self.id, self.title


@dataclass(frozen=True)
class Links:
    """Where the pages are: what a link from a Markdown file becomes in the folder of the site."""

    folder: Path
    pages: dict[str, str]
    """The name of the built page by the path of its Markdown file, seen from the root."""

    def resolve(self, href: str, source: Path) -> str:
        """A link of a Markdown file, as it is followed from a built page."""
        path, mark, fragment = href.partition("#")
        if "://" in href or not path:
            return href
        target = Path(os.path.normpath(source.parent / path))
        name = self.pages.get(target.relative_to(ROOT).as_posix())
        return (name or self.to(target)) + mark + fragment

    def to(self, target: Path) -> str:
        """A file of the checkout, as it is reached from a built page."""
        return Path(os.path.relpath(target, self.folder)).as_posix()

    def named(self, words: str) -> str | None:
        """The page that words in backticks name: its slug, or the path of its Markdown file."""
        return self.pages.get(words) or self.pages.get(f"docs/answers/{words}.md")


def sections(text: str, source: Path, links: Links) -> list[Section]:
    """A Markdown text cut at its `##` headings; what stands before the first has no title."""
    tokens = _parser().parse(readable(text))
    starts = [n for n, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]
    bounds = [0, *starts, len(tokens)]
    found: list[Section] = []
    for start, end in pairwise(bounds):
        part = tokens[start:end]
        if part:
            _link(part, source, links)
            _name_columns(part)
            found.append(_section(part, {section.id for section in found}))
    return found


def title(text: str) -> tuple[str, str]:
    """A document's `#` heading, and the text below it."""
    heading, _, rest = text.partition("\n")
    return heading.removeprefix("# ").strip(), rest


def inline(text: str) -> str:
    """One line of Markdown as HTML, such as a fault that names code in backticks."""
    return str(_parser().renderInline(text))


def anchor(words: str) -> str:
    """A heading as an id."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _section(tokens: list[Token], taken: set[str]) -> Section:
    heading = ""
    if tokens[0].type == "heading_open":
        heading, tokens = tokens[1].content, tokens[3:]
    name = anchor(heading) or "text"
    while name in taken:
        name += "-again"
    html = str(_parser().renderer.render(tokens, _parser().options, {"section": heading}))
    return Section(name, heading, html, " ".join(_words(tokens)))


def _link(tokens: list[Token], source: Path, links: Links) -> None:
    """Point the links of a part to built pages, and link the pages that it names in backticks."""
    for token in tokens:
        inside = 0
        for child in token.children or []:
            inside += {"link_open": 1, "link_close": -1}.get(child.type, 0)
            if child.type == "link_open":
                child.attrs["href"] = links.resolve(str(child.attrs["href"]), source)
            elif child.type == "image":
                child.attrs["src"] = links.resolve(str(child.attrs["src"]), source)
            elif child.type == "code_inline" and not inside:
                page = links.named(child.content)
                if page and links.pages.get(source.relative_to(ROOT).as_posix()) != page:
                    child.meta["page"] = page


def _name_columns(tokens: list[Token]) -> None:
    """A column without a name has no heading, which a reader of the screen would announce."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.type == "th_open" and token.type == "inline" and not token.content:
            before.tag = after.tag = "td"


def _words(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "inline":
            breaks = {"softbreak": " ", "hardbreak": " "}
            yield "".join(breaks.get(c.type, c.content) for c in token.children or [])
        elif token.type == "fence":
            yield token.content


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_inline", _code)
    parser.add_render_rule("table_open", _table)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _fence(_: Any, tokens: list[Token], place: int, *__: Any) -> str:
    return coloured(tokens[place].content, tokens[place].info.strip())


def _code(_: Any, tokens: list[Token], place: int, *__: Any) -> str:
    shown = f"<code>{escape(tokens[place].content)}</code>"
    page = tokens[place].meta.get("page")
    return f'<a href="{escape(page)}">{shown}</a>' if page else shown


def _table(_: Any, __: list[Token], ___: int, ____: Any, env: dict[str, str]) -> str:
    """A wide table scrolls by itself, and can be focused to do so."""
    label = escape(f"Table: {env['section']}".rstrip(": "))
    return f'<div class="wide" role="group" tabindex="0" aria-label="{label}"><table>\n'
