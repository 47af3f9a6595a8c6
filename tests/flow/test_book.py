"""The answer book in a real Chromium: it loads, is searched and rehearsed, and axe finds nothing.

Opened from its folder, as people open it, without a server and without a network.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.site import build
from tests import needs
from tests.flow import browser

AXE = build.ROOT / ".venv" / "browser" / "axe-core" / "axe.min.js"
PHONE = (320, 640)
KINDS = ["index", "path-data-scientist", "canary-decides", "score", "rehearse", "search"]
"""One page of each kind."""

pytestmark = [
    pytest.mark.slow,
    needs.unless(browser.program(), "chromium"),
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "book"
    build.site(folder)
    return folder


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[browser.Tab]:
    """A browser that has never been here, and in the end nothing that it complained about."""
    with browser.opened(tmp_path / "profile") as found:
        found.look()
        yield found
        assert found.faults == []


def _url(book: Path, name: str) -> str:
    name, mark, query = name.partition("?")
    return (book / f"{name}.html").as_uri() + mark + query


def _text(tab: browser.Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def _shown(tab: browser.Tab, selector: str) -> bool:
    return bool(tab.run(f"document.querySelector({json.dumps(selector)}).checkVisibility()"))


def test_every_page_loads_without_an_error_and_fits_a_phone(book: Path, tab: browser.Tab) -> None:
    tab.look(*PHONE)
    wide = {}
    for path in sorted(book.glob("*.html")):
        tab.go(path.as_uri())
        root = "document.documentElement"
        wide[path.name] = tab.run(f"{root}.scrollWidth - {root}.clientWidth")
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}


@pytest.mark.long
@needs.unless(AXE.is_file(), "axe-core")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(book: Path, tab: browser.Tab, dark: bool) -> None:
    found = {}
    for width in (1200, PHONE[0]):
        tab.look(width, dark=dark)
        for name in KINDS:
            tab.go(_url(book, f"{name}?q=canary"))
            if name == "rehearse":
                tab.press(" ")
            tab.run(AXE.read_text(encoding="utf-8"))
            told = tab.run(
                "axe.run({preload: false}).then((done) => done.violations.map((one) =>"
                " one.id + ': ' + one.nodes.map((node) => node.target).join(', ')))"
            )
            found |= {(width, name): told} if told else {}
    assert found == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ("roll back", "rollback"),
        ("which model made this prediction", "who-served"),
        ("delayed labels", "delayed-labels"),
        ("plan_hash", "canary-decides"),
    ],
)
def test_what_is_asked_on_any_page_is_found(
    book: Path, tab: browser.Tab, words: str, slug: str
) -> None:
    tab.go(_url(book, "index"))
    tab.run(f"document.querySelector('[name=q]').value = {json.dumps(words)}")
    tab.await_load("document.querySelector('[role=search]').requestSubmit()")
    assert tab.run("document.querySelector('#results a').getAttribute('href')").startswith(slug)
    assert f"for “{words}”" in _text(tab, "#found")


@pytest.mark.long
def test_what_is_nowhere_is_said_not_to_be_found(book: Path, tab: browser.Tab) -> None:
    tab.go(_url(book, "search?q=qqqq"))
    assert _text(tab, "#found") == "No pages for “qqqq”"


def test_a_question_is_rehearsed_by_keys_and_its_score_is_kept(
    book: Path, tab: browser.Tab
) -> None:
    tab.go(_url(book, "rehearse"))
    assert not _shown(tab, "#answer")
    tab.press("3")  # too early: there is no answer to score yet
    assert _text(tab, "#kept").startswith("0 of ")
    asked = _text(tab, "#question")
    tab.press(" ")
    assert _shown(tab, "#answer")
    assert _shown(tab, "#excerpts pre")
    tab.press("3")
    assert "1 of " in _text(tab, "#kept")
    tab.press("n")
    assert not _shown(tab, "#answer")
    assert _text(tab, "#question") != asked
    tab.reload()
    assert _text(tab, "#kept").startswith("1 of ")
    assert "3.0 on average" in _text(tab, "#kept")


@pytest.mark.long
def test_the_clock_tells_of_thirty_seconds_and_of_three_minutes(
    book: Path, tab: browser.Tab
) -> None:
    tab.go(_url(book, "rehearse"))
    for seconds, clock, told in [(5, "0:05", ""), (31, "0:31", "Thirty"), (181, "3:01", "Three")]:
        tab.run(f"window.real ??= Date.now; Date.now = () => real() + {seconds} * 1000 + 200")
        tab.run("new Promise((done) => setTimeout(done, 400))")
        assert _text(tab, "#clock").startswith(clock[:3])
        assert _text(tab, "#told").startswith(told)


@pytest.mark.long
def test_low_scores_come_more_often(book: Path, tab: browser.Tab) -> None:
    tab.go(_url(book, "rehearse"))
    slugs = tab.run("rehearseData.questions.map((one) => one.slug)")
    scores = {slug: 1 if n % 2 else 5 for n, slug in enumerate(slugs)}
    kept = json.dumps(json.dumps({"scores": scores}))
    tab.run(f"localStorage.setItem('answer-book', {kept})")
    tab.reload()
    drawn = tab.run(
        "Array.from({length: 400}, () => {"
        " document.querySelector('.next').click();"
        " return document.getElementById('question').textContent; })"
    )
    asked = tab.run("Object.fromEntries(rehearseData.questions.map((o) => [o.question, o.slug]))")
    low = sum(scores[asked[question]] == 1 for question in drawn)
    assert low > 300  # of 400, where by chance it would be half, and by the weights 8 of 9


@pytest.mark.long
def test_a_path_narrows_the_questions_and_keys_can_be_turned_off(
    book: Path, tab: browser.Tab
) -> None:
    tab.go(_url(book, "rehearse?path=devops-engineer"))
    whole = tab.run("rehearseData.questions.length")
    on = tab.run("rehearseData.questions.filter((o) => o.paths.includes('devops-engineer')).length")
    assert on < whole
    assert f"of {on} scored" in _text(tab, "#kept")
    tab.run("document.getElementById('keys').click()")
    tab.press(" ")
    assert not _shown(tab, "#answer")
