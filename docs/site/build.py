"""The whole book, written into a folder: pages, search, rehearsal, one stylesheet, one script."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from docs.pages import ANSWERS, LONG, ROOT, SHOWN, SPOKEN, Answer
from docs.pages import pages as all_answers
from docs.site import contents, prose
from docs.site.prose import Links, Section
from docs.site.source import Excerpt, excerpt

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """One page: its file's name, its title, its template, and what that is filled with."""

    name: str
    title: str
    kind: str
    template: str
    filled: dict[str, Any]

    @property
    def sections(self) -> list[Section]:
        """Its prose, cut at its headings; a list of links has none."""
        return list(self.filled.get("sections", []))


def site(folder: Path) -> int:
    """Build the book into a folder that is its own, and say how many pages it has."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "static", folder)
    found = list(pages(folder))
    render = _environment()
    for page in found:
        text = render.get_template(page.template).render(page=page, **page.filled)
        (folder / page.name).write_text(text, encoding="utf-8")
    _write_data(folder, "search", _searched(found))
    _write_data(folder, "rehearse", _rehearsed(found))
    return len(found)


def pages(folder: Path) -> Iterator[Page]:
    """Every page; links to reports and files lead out of the folder to where those are."""
    links = _links(folder)
    answers, documents = list(_answers(links)), list(_documents(links))
    readings = contents.readings()
    yield Page("index.html", "Questions", "list", "index.html", _overview(links, documents))
    yield from _paths(readings, answers)
    yield from answers
    yield from documents
    yield Page("rehearse.html", "Rehearse", "tool", "rehearse.html", {"readings": readings})
    yield Page("search.html", "Search", "tool", "search.html", {})


def _links(folder: Path) -> Links:
    named = {f"docs/answers/{page.slug}.md": f"{page.slug}.html" for page in all_answers()}
    named |= {one.path.relative_to(ROOT).as_posix(): one.page for one in contents.documents()}
    named |= {"docs/answers/README.md": "index.html"}
    if len(set(named.values())) < len(named):
        raise ValueError(f"two pages have one name: {sorted(named.values())}")
    return Links(folder, named)


def _overview(links: Links, documents: list[Page]) -> dict[str, Any]:
    return {
        "topics": contents.topics(),
        "stages": contents.stages(),
        "readings": contents.readings(),
        "documents": documents,
        "reports": _reports(links),
    }


def _reports(links: Links, stage: str = "") -> dict[str, str]:
    return {links.to(path): what for path, what in contents.reports(stage).items()}


def _answers(links: Links) -> Iterator[Page]:
    order = all_answers()
    readings = contents.readings()
    for before, answer, after in zip([None, *order], order, [*order[1:], None], strict=False):
        filled = {
            "answer": answer,
            "shown": SHOWN[answer.shown],
            "sections": prose.sections(answer.text, ANSWERS / f"{answer.slug}.md", links),
            "code": [excerpt(symbol) for symbol in answer.code],
            "commands": contents.commands(answer),
            "reports": _reports(links, answer.stage),
            "on": [_place(reading, answer, order) for reading in readings if _on(reading, answer)],
            "before": before,
            "after": after,
        }
        yield Page(f"{answer.slug}.html", answer.question, answer.stage, "answer.html", filled)


def _on(reading: contents.Reading, answer: Answer) -> bool:
    return answer.slug in reading.answers


def _place(reading: contents.Reading, answer: Answer, order: list[Answer]) -> dict[str, Any]:
    """Where an answer stands on a path, and what follows there."""
    place = reading.answers.index(answer.slug)
    rest = reading.answers[place + 1 :]
    after = next((page for page in order if page.slug == rest[0]), None) if rest else None
    return {"reading": reading, "place": place + 1, "after": after}


def _paths(readings: list[contents.Reading], answers: list[Page]) -> Iterator[Page]:
    known = {page.filled["answer"].slug: page for page in answers}
    for reading in readings:
        steps = [(known[slug], why) for slug, why in reading.stops.items()]
        further = [page for slug, page in known.items() if slug not in reading.stops]
        filled = {"reading": reading, "steps": steps, "further": further}
        yield Page(reading.page, f"Reading path: {reading.title}", "list", "path.html", filled)


def _documents(links: Links) -> Iterator[Page]:
    for document in contents.documents():
        title, text = prose.title(document.path.read_text(encoding="utf-8"))
        found = prose.sections(text, document.path, links)
        yield Page(document.page, title, document.kind, "document.html", {"sections": found})


def _environment() -> Environment:
    render = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    render.filters["html"] = Markup  # what docs.site made; all else is escaped
    render.filters["inline"] = lambda text: Markup(prose.inline(text))
    return render


def _searched(found: list[Page]) -> list[dict[str, str]]:
    """One entry for each section, so that a hit leads to where the words stand."""
    entries = []
    for page in found:
        about = {"page": page.name, "title": page.title, "kind": page.kind}
        if (answer := page.filled.get("answer")) and answer.asked:
            words = " ".join(answer.asked)
            entries.append(about | {"id": "phrases", "heading": "Also asked as", "words": words})
        for part in page.sections:
            entries.append(about | {"id": part.id, "heading": part.title, "words": part.words})
        if code := page.filled.get("code"):
            words = " ".join(f"{one.symbol} {one.place} {one.doc}" for one in code)
            entries.append(about | {"id": "code", "heading": "In the code", "words": words})
    return entries


def _rehearsed(found: list[Page]) -> dict[str, Any]:
    """The questions with what is shown when they are answered; each excerpt is kept once."""
    answers = [page for page in found if "answer" in page.filled]
    code = {one.symbol: _shown(one) for page in answers for one in page.filled["code"]}
    return {"questions": [_question(page) for page in answers], "code": code}


def _question(page: Page) -> dict[str, Any]:
    said = {section.title: section.html for section in page.sections}
    return {
        "slug": page.filled["answer"].slug,
        "page": page.name,
        "question": page.title,
        "topic": page.kind,
        "paths": [one["reading"].slug for one in page.filled["on"]],
        "spoken": said[SPOKEN],
        "long": said[LONG],
        "code": page.filled["answer"].code,
    }


def _shown(one: Excerpt) -> dict[str, Any]:
    return {"place": one.place, "html": one.html, "left": one.left}


def _write_data(folder: Path, name: str, data: Any) -> None:
    """Data as a script, since a page that is opened as a file may not fetch one."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / f"{name}-data.js").write_text(f"window.{name}Data={text};\n", encoding="utf-8")
