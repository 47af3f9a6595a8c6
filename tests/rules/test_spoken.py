"""What is said aloud: its length, the guide's words and tools, plain words, and checked numbers."""

import re

import pytest

from docs import numbers, sheet
from docs.pages import LONG, SPOKEN, Answer, pages, readable
from docs.site import contents
from tests.rules import tree

PAGES = pages()
BY_SLUG = {page.slug: page for page in PAGES}
WORDS = tree.load("tests/rules/spoken.yaml")
PRIVATE = re.compile(
    r"\b(surely|tripwires?|papers|seal(?:s|ed)?|mended|is told|was told|are told|told so|"
    r"few looks|by luck|whoever is|who comes back|keeper|desk)\b|(?<!-)\blived\b"
)
"""Words of this project alone, where the field has its own."""
EXACT = re.compile(
    r"`[^`]*`|https?://\S+|\bx86-64\b|\b[a-zA-Z]+\d+\b|\b4xx\b|"
    r"\b(?:exits|usage) with \d\b|\b\d+ to \d+\b(?= *[,.:]| as)|"
    r"\b(?:status )?200\b(?= in| and|[.,])|\bversion 2\b|\bCore 2\b|\b13313\b|\bissues? \d+\b|"
    r"\w+_v\d+\b|\bsince \d\.\d\b|\b[Aa]rticles? \d+\b|\bopinion \d+ of \d{4}\b"
)
"""Digits that measure nothing: names, codes, statuses, a probability's range."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_spoken_answer_fits_thirty_seconds(page: Answer) -> None:
    assert 60 <= len(page.spoken.split()) <= 80, len(page.spoken.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_the_three_minutes_are_a_story_in_parts(page: Answer) -> None:
    text = page.section(LONG)
    assert 150 <= len(text.split()) <= 400, len(text.split())
    assert len(text.split("\n\n")) >= 4, "the problem, the mechanism, the evidence, the limit"


@pytest.mark.parametrize(("slug", "words"), WORDS["pages"].items())
def test_a_spoken_answer_holds_the_words_of_the_guide(slug: str, words: list[str]) -> None:
    spoken = BY_SLUG[slug].spoken.lower()
    assert [word for word in words if word.lower() not in spoken] == []


def test_every_word_and_tool_of_the_guide_is_spoken_somewhere() -> None:
    spoken = " ".join(page.spoken for page in PAGES).lower()
    assert [word for word in WORDS["somewhere"] if word.lower() not in spoken] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_an_answer_speaks_the_words_of_the_field(page: Answer) -> None:
    prose = re.sub(r"`[^`]*`|^\|.*$", "", readable(page.text), flags=re.MULTILINE)
    assert PRIVATE.findall(prose) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_number_that_is_said_aloud_is_a_recorded_one(page: Answer) -> None:
    """A figure stands in a mark; what a header names, such as 3,000 requests, may be repeated."""
    named = {
        *re.findall(r"\d+", " ".join([*page.numbers, *page.numbers.values()]).replace(",", ""))
    }
    named |= {*re.findall(r"\d+", " ".join(page.figures.values()).replace(",", ""))}
    for heading in (SPOKEN, LONG):
        part = page.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        bare = re.sub(r"<!-- [\w-]+ -->[^<]*<!-- / -->", "", part)
        found = re.findall(r"\d[\d,]*(?:\.\d+)?", EXACT.sub("", bare))
        assert [one for one in found if one.replace(",", "").strip(".") not in named] == []


# Tonight's sheet, and the reading paths.


def test_the_sheet_asks_the_nine_questions_of_the_guide() -> None:
    first = tree.load("tests/rules/phrasings.yaml")["first"]
    asked = [words for many in first.values() for words in many]
    assert len(sheet.entries()) == 9
    assert [entry.question for entry in sheet.entries() if entry.question not in asked] == []


@pytest.mark.parametrize("entry", sheet.entries(), ids=lambda entry: entry.question)
def test_an_answer_of_the_sheet_fits_thirty_seconds(entry: sheet.Entry) -> None:
    said = (entry.answer or BY_SLUG[entry.page].spoken).split()
    assert 60 <= len(said) <= 80, len(said)
    assert len(entry.push.split()) <= 35
    assert entry.then in BY_SLUG


def test_the_sheet_is_read_aloud_in_twenty_minutes() -> None:
    """Twice each answer, and the lines below once, at 130 words a minute."""
    text = tree.read("docs/tonight.md")
    answers = [" ".join(part.split("\n- **")[0].split()) for part in text.split("\n## ")[1:]]
    words = len(text.split()) + sum(len(answer.split()) for answer in answers)
    assert words / 130 <= 20


@pytest.mark.parametrize("reading", contents.readings(), ids=lambda reading: reading.slug)
def test_a_path_has_at_most_twelve_stops_each_with_one_sentence(reading: contents.Reading) -> None:
    assert len(reading.stops) <= 12
    assert set(reading.stops) <= set(BY_SLUG)
    for why in reading.stops.values():
        assert re.fullmatch(r"[A-Z][^.]*\.", why), why


@pytest.mark.parametrize(
    ("slug", "claim"), [(page.slug, claim) for page in PAGES for claim in page.claims]
)
def test_a_claim_of_a_page_holds_in_the_record(slug: str, claim: str) -> None:
    assert numbers.holds(claim), f"docs/answers/{slug}.md says so, its record no more"
