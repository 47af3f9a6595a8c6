from html.parser import HTMLParser

import pytest

from pipeline.evaluate.verdict_report import interval_rows, verdict_report
from pipeline.shared.contracts import Kind, at_most
from tests.builders import check, compared, verdict

pytestmark = pytest.mark.answer("model-validation")


class Cells(HTMLParser):
    """The texts of a page's table, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_each_check_is_a_row_with_its_two_numbers_and_its_answer():
    checks = [
        check("beats hour_rate", found=-0.1, limit=0.0),
        check("storm against champion", passed=False, found=0.02, limit=0.005),
        check("hour 21-23 against logistic", passed=False, blocking=False),
    ]
    header, *rows = Cells(verdict_report(verdict(checks=checks))).rows
    assert header == ["check", "found", "limit", "answer", "detail"]
    assert [row[:4] for row in rows] == [
        ["beats hour_rate", "-0.1", "0", "pass"],
        ["storm against champion", "0.02", "0.005", "fail"],
        ["hour 21-23 against logistic", "-0.1", "0", "report"],
    ]


def test_the_answer_and_both_models_are_named():
    refused = verdict_report(verdict(champion="e" * 64, checks=[check(passed=False)]))
    assert "refused" in refused
    assert "champion eeeeeeeeeeee" in refused
    passed = verdict_report(verdict())
    assert "refused" not in passed
    assert "no champion yet" in passed
    assert "Challenger cccccccccccc" in passed


def test_what_a_check_says_cannot_become_markup():
    hostile = "<script>alert(1)</script>&<img src=x onerror=alert(1)>"
    cells = Cells(verdict_report(verdict(checks=[check(hostile, detail=hostile)])))
    assert cells.rows[1][0] == cells.rows[1][4] == hostile
    assert cells.tags & {"script", "img"} == set()


def test_what_failed_comes_first_and_the_tables_are_folded():
    failed = check("too slow", passed=False, detail="why")
    page = verdict_report(verdict(checks=[check(), failed]))
    assert page.index("What failed") < page.index("too slow") < page.index("<details>")
    assert "Nothing failed" in verdict_report(verdict())


def test_the_picture_shows_what_is_nearest_to_its_limit_first():
    checks = [
        compared(Kind.CHAMPION_SLICE, "far", (-0.05, -0.09, -0.04), 0.005),
        compared(Kind.CHAMPION_SLICE, "near", (0.004, -0.001, 0.009), 0.005),
        compared(Kind.CHAMPION, "whole", (-0.01, -0.02, -0.001), 0.0),
        at_most(Kind.EVIDENCE, "days", 14, 20, "days with flights"),
    ]
    rows = interval_rows(checks, "champion")
    assert [row.words for row in rows] == ["whole", "near", "far"]
    assert rows[0].low < rows[0].point < rows[0].high < rows[0].zero == rows[0].limit
    assert rows[1].point > rows[1].zero
    assert interval_rows(checks[3:], "champion") == []
