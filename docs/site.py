"""The answer book as web pages: static, without a request to anywhere, readable from a folder.

Text comes from docs/, code excerpts from the source as it is when the pages are built, numbers from
the recorded runs that the answers name.
"""

import json
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from docs import book
from docs.book import ROOT, Answer

SITE, TEMPLATES = ROOT / "state" / "book", ROOT / "docs" / "site"
PATHS = ROOT / "docs" / "paths.yaml"
REPORTS = {
    "data/validate/docs/index.html": "Great Expectations: the data gate's last report",
    "data/evaluate/verdict.html": "The gate's last verdict",
    "data/monitor/month.html": "The last month, with Evidently's drift",
    "data/reproduce/report.html": "The last reproduction",
}
"""Pages of the last run here; those that are there are linked."""
_EXCERPT = 25
"""Lines of a symbol that are shown at most."""


def paths() -> dict[str, dict[str, Any]]:
    """The ways to read: a title, for whom, and the answers in their order."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(PATHS.read_text(encoding="utf-8"))
    return found


def markdown(text: str) -> str:
    """Markdown as HTML: headings can be linked to, wide tables scroll by themselves."""
    text = re.sub(r"<!-- .*? -->\n", "", text)
    html = str(_parser().render(text))
    html = re.sub(r"<h2>(.*?)</h2>", lambda m: f'<h2 id="{_slug(m[1])}">{m[1]}</h2>', html)
    html = re.sub(r'href="(?:[\w./-]*/)?([\w-]+)\.md', r'href="\1.html', html)
    html = re.sub(r'<a href="(?!http|#|[\w-]+\.html)[^"]*">(.*?)</a>', r"<code>\1</code>", html)
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>')
    return html.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def excerpt(symbol: str) -> str:
    """The first lines of a symbol's source, as highlighted HTML."""
    lines = book.source(symbol)
    if len(lines) > _EXCERPT:
        lines = [*lines[:_EXCERPT], f"# ... {len(lines) - _EXCERPT} more lines"]
    html = str(highlight("\n".join(lines), PythonLexer(), HtmlFormatter(cssclass="code")))
    return html.replace("<pre>", '<pre tabindex="0">')


def _section(page: Answer, heading: str) -> str:
    return page.text.split(f"## {heading}\n")[1].split("\n## ")[0]


def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(loader=loader, autoescape=False, undefined=jinja2.StrictUndefined)


def _answer(page: Answer, order: list[Answer], render: jinja2.Environment) -> str:
    place = order.index(page)
    code = [
        {"symbol": symbol, "place": book.place(symbol), "source": excerpt(symbol)}
        for symbol in page.code
    ]
    spoken = '<h2 id="in-30-seconds">In 30 seconds</h2>'
    text = markdown(page.text)
    first = re.compile(rf"{spoken}\s*(<p>.*?</p>)", re.DOTALL)
    text = first.sub(rf'{spoken}<div class="spoken">\1</div>', text, count=1)
    return render.get_template("answer.html").render(
        page=page,
        text=text,
        code=code,
        before=order[place - 1] if place else None,
        after=order[place + 1] if place + 1 < len(order) else None,
    )


def _others() -> dict[str, Path]:
    """Pages that are no answers, by their names: decisions, runbook, drills, score, Tecton."""
    adrs = sorted((ROOT / "docs/adr").glob("*.md"))
    single = [ROOT / f"docs/{name}.md" for name in ("runbook", "drills", "score", "tecton")]
    return {path.stem: path for path in [*single, *adrs] if path.is_file()}


def _title(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("# "))[2:]


def _index(answers: list[Answer], more: dict[str, str], render: jinja2.Environment) -> str:
    topics: dict[str, list[Answer]] = {}
    for page in answers:
        topics.setdefault(page.stage, []).append(page)
    reports = {f"../../{path}": what for path, what in REPORTS.items() if (ROOT / path).is_file()}
    return render.get_template("index.html").render(
        paths=paths(),
        questions={page.slug: page.question for page in answers},
        topics=topics,
        more=more,
        reports=reports,
    )


def _known(answers: list[Answer], others: dict[str, str]) -> list[dict[str, Any]]:
    """What search and rehearsal know of each page."""
    on = {
        slug: [n for n, path in paths().items() if slug in path["answers"]]
        for slug in (page.slug for page in answers)
    }
    found: list[dict[str, Any]] = [
        {
            "name": page.slug,
            "title": page.question,
            "kind": f"answer, {page.stage}",
            "text": page.text,
            "paths": on[page.slug],
            "spoken": markdown(_section(page, "In 30 seconds")),
            "long": markdown(_section(page, "In three minutes")),
            "places": [book.place(symbol).split("  ")[0] for symbol in page.code],
        }
        for page in answers
    ]
    for name, text in others.items():
        kind = "decision" if name[:4].isdigit() else "reference"
        found.append({"name": name, "title": _title(text), "kind": kind, "text": text})
    return found


def build(folder: Path = SITE) -> int:
    """Write the whole site into a folder; how many pages it has."""
    render, answers = _templates(), book.pages()
    others = {name: path.read_text(encoding="utf-8") for name, path in _others().items()}
    more = {name: _title(text) for name, text in others.items()}
    pages = {page.slug: (page.question, _answer(page, answers, render)) for page in answers}
    pages |= {name: (more[name], markdown(text)) for name, text in others.items()}
    pages["index"] = ("The answer book", _index(answers, more, render))
    rehearsal = render.get_template("rehearse.html").render(paths=paths())
    pages["rehearse"] = ("Rehearse", rehearsal)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.html"):
        old.unlink()
    footer = "Real flights, New York 2013. Built from the project as it was here."
    for name, (title, body) in pages.items():
        whole = render.get_template("page.html").render(title=title, body=body, footer=footer)
        (folder / f"{name}.html").write_text(whole, encoding="utf-8")
    known = json.dumps(_known(answers, others), ensure_ascii=False)
    (folder / "answers.js").write_text(f"window.PAGES = {known};\n", encoding="utf-8")
    for name in ("style.css", "book.js"):
        (folder / name).write_bytes((TEMPLATES / name).read_bytes())
    return len(pages)


def main() -> int:
    """Build the book here, and say where it is."""
    began = time.perf_counter()
    count = build()
    seconds = time.perf_counter() - began
    sys.stdout.write(
        f"book: {count} pages in {seconds:.1f} s -> {SITE.relative_to(ROOT)}/index.html\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
