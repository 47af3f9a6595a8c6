"""The search of the book: a question leads to its page, in the words in which people ask it."""

import re

import pytest

from docs import ask, search
from docs.pages import SPOKEN, aside, find, near, only_closest, pages, readable, wrapped
from tests.rules import tree

PAGES = pages()
PHRASINGS = tree.load("tests/rules/phrasings.yaml")
MOST_FREQUENT = 50
"""Phrasings of public lists of interview questions that the book answers to."""


def _rows(kind: str) -> list[tuple[str, str]]:
    return [(words, slug) for slug, many in PHRASINGS[kind].items() for words in many]


@pytest.mark.long
@pytest.mark.parametrize(("words", "slug"), _rows("first"))
def test_a_question_leads_to_its_page_at_once(words: str, slug: str) -> None:
    assert find(words).slug == slug


@pytest.mark.parametrize(("words", "slug"), _rows("near"))
def test_a_frequent_phrasing_leads_to_its_page_within_two(words: str, slug: str) -> None:
    assert slug in [page.slug for page in near(words, PAGES)[:2]]


def test_phrasings_are_enough_and_none_stands_twice() -> None:
    asked = [words for kind in ("first", "near") for words, _ in _rows(kind)] + PHRASINGS["weak"]
    assert len(_rows("near")) >= MOST_FREQUENT
    assert len(set(asked)) == len(asked)


def test_a_page_is_found_by_every_phrasing_in_its_header() -> None:
    phrases = [(phrase, page.slug) for page in PAGES for phrase in [page.question, *page.asked]]
    entries = [search.Entry(p.slug, [p.question, *p.asked], p.text) for p in PAGES]
    assert [(words, search.rank(words, entries)[0]) for words, _ in phrases] == phrases


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_is_found_by_its_name(page) -> None:
    assert find(page.slug).slug == page.slug


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("blue/green", "blue-green"),
        ("A/B test", "AB testing"),
        ("k8s", "Kubernetes"),
        ("ground truth", "labels"),
        ("CI CD", "CI/CD"),
        ("real-time inference", "online inference"),
    ],
)
def test_two_ways_to_write_a_word_find_the_same(one: str, other: str) -> None:
    assert [p.slug for p in near(one, PAGES)] == [p.slug for p in near(other, PAGES)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rolback", "Near it: "),
        ("When and how do you retrain?", "Near it: "),
    ],
)
def test_an_answer_to_free_words_says_what_else_is_near(words: str, said: str) -> None:
    assert aside(words).startswith(said)
    assert find(words).slug not in aside(words)


@pytest.mark.parametrize("words", PHRASINGS["weak"])
def test_a_page_that_does_not_ask_it_is_called_the_closest_before_it_is_shown(
    words: str, capsys
) -> None:
    assert ask.main(["answer", words]) == 0
    first, *near_it = capsys.readouterr().out.splitlines()[:3]
    nearest, *others = near(words, PAGES)
    assert first.startswith(f"No page of the book asks {words!r}: {nearest.slug} below is only the")
    said = [line.split()[2] for line in near_it if line.startswith("  make answer")]
    assert said == [f"Q={one.slug}" for one in others[:2]]


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        *(page.slug for page in PAGES),
        *(one for page in PAGES for one in [page.question, *page.asked]),
    ],
)
def test_a_page_that_asks_it_is_not_called_the_closest(words: str) -> None:
    assert only_closest(words) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_printed_page_says_all_and_its_paragraphs_fill_their_lines(page) -> None:
    text, shown = readable(page.text), wrapped(readable(page.text))
    assert shown.split() == text.split()
    kept = [line for line in text.splitlines() if line.startswith(("|", "#", "```"))]
    assert [line for line in shown.splitlines() if line.startswith(("|", "#", "```"))] == kept
    assert [one for one in re.findall(r"```.*?```", text, re.DOTALL) if one not in shown] == []
    spoken = shown.partition(f"## {SPOKEN}\n")[2].partition("\n\n")[0].splitlines()
    assert [line for line in spoken[:-1] if not 80 < len(line) <= 98] == []


def test_a_question_about_nothing_in_the_book_says_so(capsys) -> None:
    assert ask.main(["answer", "qqqq zzzz"]) == 1
    assert "answer: no answer shares a word with 'qqqq zzzz'" in capsys.readouterr().err
