"""The answer book as web pages: whole, linked, for everyone, and without a request to anywhere."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs import symbols
from docs.pages import DEMONSTRATED, HEADINGS, ROOT, SHOWN, Answer, exercises
from docs.pages import pages as all_answers
from docs.site import build, contents, prose, source
from tests.rules import tree

ANSWERS = all_answers()
SLUGS = [answer.slug for answer in ANSWERS]
VOID = {"link", "meta", "input", "img", "br", "hr"}


class Seen(HTMLParser):
    """What a page is made of: each tag with its attributes, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag in tags]

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.found if "id" in attributes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site") / "book"
    assert build.site(to) == len(list(to.glob("*.html")))
    return to


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Seen]:
    return {path.name: Seen(path.read_text(encoding="utf-8")) for path in folder.glob("*.html")}


def _data(folder: Path, name: str) -> object:
    text = (folder / f"{name}-data.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix(f"window.{name}Data=").rstrip().removesuffix(";"))


# What is in it.


def test_every_answer_decision_and_document_has_a_page(pages: dict[str, Seen]) -> None:
    names = {path.stem for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md")]}
    names |= {answer.slug for answer in ANSWERS}
    assert {f"{name}.html" for name in names} <= set(pages)


def test_a_path_leads_to_its_stops_and_then_to_every_other_answer(pages: dict[str, Seen]) -> None:
    readings = contents.readings()
    assert [reading.slug for reading in readings] == ["data-scientist", "devops-engineer"]
    for reading in readings:
        linked = [link["href"] for link in pages[reading.page].all("a")]
        found = [name for name in linked if name.removesuffix(".html") in SLUGS]
        assert found[: len(reading.answers)] == [f"{slug}.html" for slug in reading.answers]
        assert sorted(found) == sorted(f"{slug}.html" for slug in SLUGS)


def test_the_first_link_of_the_book_is_tonights_sheet(pages: dict[str, Seen]) -> None:
    for page in pages.values():
        links = [link for link in page.all("a") if "class" not in link]
        assert links[0]["href"] == "tonight.html"


def test_the_questions_stand_by_topic_in_the_order_of_the_flow(pages: dict[str, Seen]) -> None:
    stages = [name for name in pages["index.html"].ids() if name in contents.stages()]
    assert stages == [stage for stage in tree.stages() if stage in contents.topics()]
    asked = [link["href"] for link in pages["index.html"].all("a")]
    assert {f"{answer.slug}.html" for answer in ANSWERS} <= set(asked)


@pytest.mark.long
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.slug)
def test_an_answer_shows_its_sections_its_code_and_what_to_run(
    pages: dict[str, Seen], answer: Answer
) -> None:
    page = pages[f"{answer.slug}.html"]
    headings = [prose.anchor(heading) for heading in HEADINGS]
    wanted = [h for h in headings if h != "the-numbers-here" or answer.numbers]
    assert [name for name in page.ids() if name in [*wanted, "code", "run"]] == [
        *wanted,
        "code",
        "run",
    ]
    for symbol in answer.code:
        assert f">{symbol}<" in page.text
        assert symbols.place(symbol).split("  ")[0] in page.text
    proof = f"make prove Q={answer.slug}"
    assert (f"<code>{proof}</code>" in page.text) is (answer.shown == DEMONSTRATED)
    assert SHOWN[answer.shown] in page.text
    lines = [answer.command]
    built = [f"make exercise E={name}" for name, _ in exercises().get(answer.slug, [])]
    for line in [*lines, *built, *(f"make drill D={drill}" for drill in answer.drills)]:
        assert f"<code>{line}</code>" in page.text


def test_answers_lead_to_their_neighbours_from_the_first_to_the_last(
    pages: dict[str, Seen],
) -> None:
    name, visited = f"{ANSWERS[0].slug}.html", []
    while name:
        visited.append(name.removesuffix(".html"))
        name = next((a["href"] for a in pages[name].all("a") if a.get("rel") == "next"), "")
    assert visited == [answer.slug for answer in ANSWERS]


def test_a_report_is_linked_only_where_it_is_and_is_one_that_a_stage_writes(
    pages: dict[str, Seen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = "".join(tree.read(name) for name in tree.code())
    for path, (stage, _) in contents.REPORTS.items():
        assert path.startswith(f"data/{stage}/")
        assert Path(path).name in written
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    assert contents.reports() == {}
    (tmp_path / "data/evaluate").mkdir(parents=True)
    (tmp_path / "data/evaluate/verdict.html").touch()
    assert list(contents.reports("evaluate")) == [tmp_path / "data/evaluate/verdict.html"]
    assert contents.reports("monitor") == {}


# Each page.


def test_every_link_leads_to_a_page_or_file_and_a_heading_that_are_there(
    folder: Path, pages: dict[str, Seen]
) -> None:
    for name, link in _links(pages):
        target, _, part = link.partition("#")
        target = target.partition("?")[0] or name
        assert (folder / target).resolve().exists(), f"{name}: {link}"
        if part and target in pages:
            assert part in pages[target].ids(), f"{name}: {link}"


def _links(pages: dict[str, Seen]) -> Iterator[tuple[str, str]]:
    for name, page in pages.items():
        for attributes in page.all("a"):
            if "://" not in attributes["href"]:
                yield name, attributes["href"]


def test_what_the_search_and_the_rehearsal_know_leads_to_headings_too(
    folder: Path, pages: dict[str, Seen]
) -> None:
    for entry in _data(folder, "search"):
        assert not entry["heading"] or entry["id"] in pages[entry["page"]].ids(), entry
    rehearsed = _data(folder, "rehearse")
    assert [one["slug"] for one in rehearsed["questions"]] == [answer.slug for answer in ANSWERS]
    assert set(rehearsed["code"]) == {symbol for answer in ANSWERS for symbol in answer.code}


def test_nothing_is_loaded_from_elsewhere(folder: Path, pages: dict[str, Seen]) -> None:
    for name, page in pages.items():
        for tag in page.all("link", "script", "img", "iframe", "form"):
            source = tag.get("src") or tag.get("href") or tag.get("action", "")
            assert source == "data:," or (folder / source).is_file(), f"{name}: {source}"
        scripts = re.findall(r"<script[^>]*>([^<]*)</script>|\son[a-z]+=|style=", page.text)
        assert not any(scripts), name
    assert "://" not in (folder / "book.css").read_text(encoding="utf-8")
    assert "://" not in (folder / "book.js").read_text(encoding="utf-8")


def test_a_page_has_a_title_of_its_own_one_heading_a_language_and_fits_a_phone(
    pages: dict[str, Seen],
) -> None:
    titles = [re.findall(r"<title>(.*?)</title>", page.text) for page in pages.values()]
    assert len({title for (title,) in titles}) == len(titles)
    for name, page in pages.items():
        assert len(page.all("h1")) == 1, name
        assert page.all("html") == [{"lang": "en"}], name
        assert [m["content"] for m in page.all("meta") if m.get("name") == "viewport"], name
        assert len(set(page.ids())) == len(page.ids()), name
        assert page.open == [], name


def test_a_page_can_be_used_without_a_mouse_and_without_seeing_it(pages: dict[str, Seen]) -> None:
    for name, page in pages.items():
        assert page.all("a")[0] == {"class": "skip", "href": "#main"}, name
        assert [m["id"] for m in page.all("main")] == ["main"], name
        assert all("alt" in image for image in page.all("img")), name
        assert all(nav.keys() & {"aria-label", "aria-labelledby"} for nav in page.all("nav")), name
        assert all(pre.get("tabindex") == "0" for pre in page.all("pre")), name
        labelled = {label["for"] for label in page.all("label") if "for" in label}
        fields = [f["id"] for f in page.all("input", "select") if f.get("type") != "checkbox"]
        assert set(fields) <= labelled, name
    told = [p for p in pages["search.html"].all("p") if p.get("aria-live")]
    assert [p["id"] for p in told] == ["found"]


# How it is made.


def test_a_page_that_another_names_in_backticks_is_linked() -> None:
    links = prose.Links(Path("/site"), {"docs/answers/skew.md": "skew.html"})
    (section,) = prose.sections("see `skew`, not `skews`", ROOT / "docs/a.md", links)
    assert section.html == (
        '<p>see <a href="skew.html"><code>skew</code></a>, not <code>skews</code></p>\n'
    )
    assert section.words == "see skew, not skews"


def test_a_link_out_of_the_book_leads_back_to_the_checkout(tmp_path: Path) -> None:
    links = prose.Links(tmp_path, {"docs/adr/0001.md": "0001.html"})
    here = ROOT / "docs/score.md"
    assert links.resolve("adr/0001.md#why", here) == "0001.html#why"
    assert (tmp_path / links.resolve("../README.md", here)).resolve() == ROOT / "README.md"
    assert links.resolve("https://example.org", here) == "https://example.org"


def test_markup_in_a_text_stays_text_and_a_drawing_is_shown_as_it_was_written() -> None:
    links = prose.Links(Path("/site"), {})
    text = "<b>\n\n```mermaid\nflowchart LR\n```\n"
    (section,) = prose.sections(text, ROOT / "docs/a.md", links)
    assert "&lt;b&gt;" in section.html
    assert '<pre class="code" tabindex="0"><code>flowchart LR' in section.html


def test_a_column_without_a_name_has_no_heading() -> None:
    links = prose.Links(Path("/site"), {})
    table = "| | what |\n|---|---|\n| 1 | one |\n"
    (section,) = prose.sections(f"## Things\n{table}", ROOT / "docs/a.md", links)
    assert section.html.count("<th>") == 1
    assert 'aria-label="Table: Things"' in section.html


def test_a_long_symbol_is_cut_and_says_how_much_is_left() -> None:
    found = source.excerpt("pipeline.features.windows")
    shown = re.sub("<[^>]+>", "", found.html).splitlines()
    assert len(shown) == source.LINES
    assert found.left + len(shown) == len(symbols.source("pipeline.features.windows"))


def test_a_constant_is_shown_too() -> None:
    assert "STEPS" in source.excerpt("pipeline.retrain.attempt:STEPS").html
