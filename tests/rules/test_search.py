"""The search of the book: a question leads to its page, in the words in which people ask it."""

import pytest

from docs import ask, search
from docs.pages import aside, find, near, pages
from tests.rules import tree

PAGES = pages()
PHRASINGS = tree.load("tests/rules/phrasings.yaml")
MOST_FREQUENT = 50
"""Phrasings of public lists of interview questions that the book answers to."""


def _rows(kind: str) -> list[tuple[str, str]]:
    return [(words, slug) for slug, many in PHRASINGS[kind].items() for words in many]


@pytest.mark.parametrize(("words", "slug"), _rows("first"))
def test_a_question_leads_to_its_page_at_once(words: str, slug: str) -> None:
    assert find(words).slug == slug


@pytest.mark.parametrize(("words", "slug"), _rows("near"))
def test_a_frequent_phrasing_leads_to_its_page_within_two(words: str, slug: str) -> None:
    assert slug in [page.slug for page in near(words, PAGES)[:2]]


def test_phrasings_are_enough_and_none_stands_twice() -> None:
    asked = [words for kind in PHRASINGS for words, _ in _rows(kind)]
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
        (
            "chargeback zoology",
            "No question of the book is about 'chargeback zoology'; this is the ",
        ),
    ],
)
def test_an_answer_to_free_words_says_what_else_is_near(words: str, said: str) -> None:
    assert aside(words).startswith(said)
    assert find(words).slug not in aside(words)


def test_a_question_about_nothing_in_the_book_says_so(capsys) -> None:
    assert ask.main(["answer", "qqqq zzzz"]) == 1
    assert "answer: no answer shares a word with 'qqqq zzzz'" in capsys.readouterr().err
