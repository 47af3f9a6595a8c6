"""Decisions are numbered one after the other, so that "decision 7" is one page."""

from tests.rules.tree import ROOT

PAGES = sorted((ROOT / "docs/adr").glob("*.md"))


def test_each_decision_has_a_number_of_its_own():
    numbers = [int(page.name[:4]) for page in PAGES]
    assert numbers == list(range(1, len(PAGES) + 1))
    titles = [page.read_text(encoding="utf-8").partition("\n")[0] for page in PAGES]
    assert [int(title.removeprefix("# ").partition(".")[0]) for title in titles] == numbers
