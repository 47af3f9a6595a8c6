"""The search of the book: which page answers a question that is asked in free words.

A question is compared with each phrase by which a page is asked for: its own question, its name and
the other phrasings in its header. Words that few pages hold count more. What the page's text holds
decides between phrases that are equally near.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from math import log

_SMALL = {
    word[:5]
    for word in """about an and are as at be best but can did do does ensure explain for from give
    had handle has have how if in into is it its know let me my no not of on or our should so some
    sure tell than that the their them then there they this to us use walk was way we what when
    where which who why will with would you your""".split()
}
"""Words that every question has; they say nothing of what is asked."""
_ALIKE = {
    "blue/green": "blue-green",
    "blue green": "blue-green",
    "ab testing": "a/b test",
    "a/b testing": "a/b test",
    "ab test": "a/b test",
    "ab-test": "a/b test",
    "k8s": "kubernetes",
    "ground truth": "labels",
    "ground-truth": "labels",
    "ci cd": "ci/cd",
    "cicd": "ci/cd",
    "gpus": "gpu",
    "llms": "llmops",
    "machine learning": "ml",
    "real time": "online",
    "real-time": "online",
    "covariate shift": "data drift",
}
"""What is written in several ways, and the one way in which the search compares it."""
_OF_TEXT = 0.4
"""What a text that holds every word counts, beside 1 for a phrase that is the question itself."""
_SURE = 0.7
"""From here a page is an answer; below it shares a word or two with the question."""


@dataclass(frozen=True)
class Entry:
    """A page as the search knows it: its name, the phrases that ask for it, and its text."""

    slug: str
    phrases: list[str]
    text: str


@dataclass(frozen=True)
class _Page:
    """The stems of a page: of each phrase that asks for it, and how often each is in its text."""

    phrases: list[set[str]]
    text: Counter[str]

    @cached_property
    def held(self) -> set[str]:
        return set(self.text).union(*self.phrases)

    def worth(self, asked: set[str], rarity: dict[str, float]) -> float:
        """How near a page is to what is asked: its nearest phrase, then what its text holds."""
        if not asked & self.held:
            return 0

        def weight(stems: Iterable[str]) -> float:
            return sum(rarity[stem] for stem in stems)

        shared = [2 * weight(asked & one) / (weight(asked) + weight(one)) for one in self.phrases]
        counts = {stem: self.text[stem] for stem in asked}
        within = sum(rarity[stem] * n / (1 + n) for stem, n in counts.items())
        return max(shared) + _OF_TEXT * within / weight(asked)


def rank(words: str, entries: list[Entry]) -> list[str]:
    """The names of the pages that share words with a question, nearest first; misspelt ones too."""
    found = _worths(words, entries)
    return sorted(filter(found.__getitem__, found), key=found.__getitem__, reverse=True)


def is_weak(words: str, entries: list[Entry]) -> bool:
    """Whether the nearest page is only the closest: it asks something else."""
    return max(_worths(words, entries).values()) < _SURE


def _worths(words: str, entries: list[Entry]) -> dict[str, float]:
    """How near each page is to a question."""
    book = {one.slug: _page(tuple(one.phrases), one.text) for one in entries}
    pages_with = Counter(stem for page in book.values() for stem in page.held)
    rarity = {stem: log(1 + len(book) / count) for stem, count in pages_with.items()}
    asked = {stem for word in set(_stems(words)) for stem in _alike(word, rarity)}
    return {slug: page.worth(asked, rarity) for slug, page in book.items()}


@cache
def _page(phrases: tuple[str, ...], text: str) -> _Page:
    """A page's stems, which stay the same for every question."""
    return _Page([set(_stems(phrase)) for phrase in phrases], Counter(_stems(text)))


def _alike(stem: str, known: Collection[str]) -> list[str]:
    """The stem that is meant, itself if it is known; none if nothing is like it."""
    return [stem] if stem in known else get_close_matches(stem, sorted(known), 1, 0.75)


def _stems(text: str) -> list[str]:
    """The beginnings of a text's words, which its forms share, without the small ones."""
    text = text.lower()
    for written, compared in _ALIKE.items():
        text = text.replace(written, compared)
    words = re.findall(r"a/b|[a-z]{2,}", text)
    return [word[:5] for word in words if word[:5] not in _SMALL]
