"""The answer book as web pages: whole, linked, and without a request to anywhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs import book, site


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        elif tag in ("link", "script", "img", "iframe"):
            self.loads.append(str(found.get("src") or found.get("href")))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.build(folder)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


def test_every_answer_has_a_page_and_is_on_a_way_to_read(pages):
    slugs = {page.slug for page in book.pages()}
    assert {f"{slug}.html" for slug in slugs} <= set(pages)
    assert {slug for path in site.paths().values() for slug in path["answers"]} == slugs


def test_a_way_to_read_has_no_answer_twice():
    for path in site.paths().values():
        assert len(set(path["answers"])) == len(path["answers"])


def test_every_link_leads_to_a_page_and_a_heading_that_are_there(pages):
    seen = {name: Seen(text) for name, text in pages.items()}
    for name, found in seen.items():
        for link in found.links:
            target, _, part = link.partition("#")
            target = target.partition("?")[0] or name
            if link.startswith("http"):
                continue
            if target.startswith("../../"):  # a report of the last run
                assert target.removeprefix("../../") in site.REPORTS
                continue
            assert target in seen, f"{name}: {link}"
            assert not part or part in seen[target].ids, f"{name}: {link}"


def test_nothing_is_loaded_from_elsewhere(pages):
    for name, text in pages.items():
        assert set(Seen(text).loads) <= {"style.css", "answers.js", "book.js", "data:,"}, name


def test_each_page_has_a_title_of_its_own_one_heading_a_language_and_fits_a_phone(pages):
    titles = [re.search(r"<title>(.*?)</title>", text)[1] for text in pages.values()]
    assert len(set(titles)) == len(titles)
    for name, text in pages.items():
        seen = Seen(text)
        assert seen.tags.count("h1") == 1, name
        assert len(set(seen.ids)) == len(seen.ids), name
        assert '<html lang="en">' in text
        assert 'name="viewport"' in text


@pytest.mark.parametrize("page", book.pages(), ids=lambda page: page.slug)
def test_a_page_shows_the_code_as_it_is_and_what_to_run(pages, page):
    text = pages[f"{page.slug}.html"]
    for symbol in page.code:
        assert book.place(symbol).split(" ")[0] in text
    assert f"make prove Q={page.slug}" in text
    for name in page.drills:
        assert f"make drill D={name}" in text


def test_a_constant_is_shown_by_its_line():
    assert "STEPS" in site.excerpt("pipeline.retrain.attempt:STEPS")


def test_a_long_function_is_cut_and_says_so(tmp_path: Path):
    assert re.search(r"# \.\.\. \d+ more lines", site.excerpt("pipeline.features.transform"))
