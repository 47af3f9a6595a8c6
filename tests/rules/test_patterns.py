"""Every regular expression that reads other people's text takes time linear in it."""

import pytest

from tests.rules import linear, patterns
from tests.rules.patterns import Used

KNOWN_SLOW = [
    (r"(a+)+$", "match"),
    (r"(a|aa)+$", "match"),
    (r"(a|a)*b", "match"),
    (r"(\w+\s?)*$", "match"),
    (r"(?:a?){3,}b", "match"),
    (r"a*a*b", "match"),
    (r".*x.*y", "match"),
    (r"\s*(.*?)\s*$", "match"),
    (r"a{1,500}a{1,500}b", "match"),
    (r"(?=.*a)(?=.*b)c", "search"),
    (r"\w+@", "search"),
    (r"\s+$", "search"),
    (r"[^x]*x", "search"),
    (r"a{1,5000}b", "search"),
    (r"<!-- .*? -->", "search"),
    (r"\bsk-(?:[a-z]+-)*[0-9]{20,}", "search"),
    (r"BEGIN(?s:.*?END|)", "findall"),
    (r"a(?:.*b)?", "findall"),
]
KNOWN_LINEAR = [
    (r"a+b", "match"),
    (r"(?:[a-z]+-)*[0-9]", "match"),
    (r"[A-Za-z0-9._:-]{1,64}", "fullmatch"),
    (r"\w+", "findall"),
    (r"foo\w+", "findall"),
    (r"(?<!\w)\w+@", "findall"),
    (r"\ba+b", "findall"),
    (r"a{1,500}b", "findall"),
    (r"(?m)^[a-z]+ {2,}\S", "findall"),
    (r"<!-- [^<\n]* -->", "findall"),
    (r"a(?:.*b)?", "search"),
    (r'"(?:[^"\\]|\\.)*+"?|[\[{]', "findall"),
]
EXCUSED = {
    ("docs/numbers.py", "one['places']"): "a place in our own figures, from docs/measures.yaml",
    ("docs/book.py", "pattern"): "a block of the project's own pages",
}
"""What is not judged, by its file and its expression, and why it reads nobody else's text."""
USED = list(patterns.used())


@pytest.mark.parametrize(("pattern", "how"), KNOWN_SLOW)
def test_a_pattern_that_is_known_to_be_slow_is_found(pattern: str, how: str) -> None:
    assert linear.slow(pattern, how=how)


@pytest.mark.parametrize(("pattern", "how"), KNOWN_LINEAR)
def test_a_pattern_that_is_known_to_be_linear_passes(pattern: str, how: str) -> None:
    assert linear.slow(pattern, how=how) == ""


@pytest.mark.long
@pytest.mark.answer("model-security")
@pytest.mark.parametrize("one", USED, ids=lambda one: f"{one.file} {one.source}"[:120])
def test_a_pattern_takes_time_linear_in_its_text(one: Used) -> None:
    if (one.file, one.source) in EXCUSED:
        return
    assert one.text is not None, f"{one.file} builds {one.source}: nothing can judge it beforehand"
    text = linear.slow(one.text, one.flags, one.how)
    assert text == "", f"{one.file}: {one.source} reads {text!r}, repeated, again and again"


def test_every_excuse_is_still_needed() -> None:
    found = {(one.file, one.source): one for one in USED}
    assert set(EXCUSED) <= set(found)
    for place in EXCUSED:
        one = found[place]
        assert one.text is None or linear.slow(one.text, one.flags, one.how), place


def test_patterns_are_found_in_each_way_in_which_they_are_run() -> None:
    assert {one.how for one in USED} == {"findall", "search", "match", "fullmatch"}
    assert len({one.file for one in USED if one.file.startswith("pipeline/")}) > 15
