"""What a pull request's comment may hold: the numbers, and nothing that a stranger can steer."""

import json
import re

import pytest

from docs import report
from tests.builders import check, verdict

pytestmark = pytest.mark.answer("ci-cd")

NASTY = [
    "a`b",
    "| x | y |",
    "two\nlines",
    "@everyone <script>alert(1)</script>",
    "[click](javascript:x)",
    "`$(touch x)`",
    "\\`",
    "",
    "x" * 1_000,
    "\u202e\u200b\x00",
]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A project without a verdict, whose files are those of the tree "ours"."""
    monkeypatch.setattr(report, "REPORT", tmp_path / "state/report.md")
    monkeypatch.setattr(report, "SMALL", tmp_path / "small.json")
    monkeypatch.setattr(report, "VERDICT", tmp_path / "verdict.json")
    monkeypatch.setattr(report, "_files", lambda: "ours")
    return tmp_path


def _judged(files, of="ours", refusal=None, **changes):
    found = verdict(**changes).model_dump()
    report.SMALL.write_text(json.dumps({"files": of, "refusal": refusal, "verdict": found}))


@pytest.mark.parametrize("text", NASTY)
def test_foreign_text_is_one_piece_of_code(text):
    assert re.fullmatch(r"`[^`|\n\\]{1,160}`", report.quoted(text))


def test_a_passed_verdict_is_counted_and_lists_no_check(files):
    _judged(files, checks=[check("one"), check("two"), check("no veto", blocking=False)])
    said = report.judged()
    assert "**passed**: 2 of 2 blocking checks hold" in said
    assert "small run" in said
    assert "| failed |" not in said


def test_a_failing_check_is_named_with_its_two_numbers(files):
    wrong = check("beats champion", passed=False, found=0.0123, limit=0.0, detail="worse")
    _judged(files, checks=[check(), wrong], refusal="evaluate: GateRefused: no")
    said = report.judged()
    assert "**refused**: 1 of 2 blocking checks hold" in said
    assert "| `beats champion` | 0.0123 | 0 | `worse` |" in said
    assert "Refused: `evaluate: GateRefused: no`" in said


def test_a_refusal_before_the_gate_is_told_without_a_verdict(files):
    answer = {"files": "ours", "refusal": "validate: DataRejected: 1 month", "verdict": None}
    report.SMALL.write_text(json.dumps(answer))
    assert "No verdict.\n\nRefused: `validate: DataRejected: 1 month`" in report.judged()


def test_a_small_run_of_other_files_does_not_count(files):
    _judged(files, of="theirs")
    assert "No verdict on these files" in report.judged()
    report.VERDICT.write_text(json.dumps(verdict().model_dump()))
    assert "The gate, last run" in report.judged()


def test_metrics_are_shown_with_what_they_were(files):
    found = {"data/evaluate/metrics.json": {"roc_auc": {"old": 0.7, "new": 0.75, "diff": 0.05}}}
    said = report.metrics(found)
    assert "| `data/evaluate/metrics.json: roc_auc` | 0.7 | 0.75 | 0.05 |" in said
    assert report.metrics({}) == "No metric changes."


@pytest.mark.parametrize("change", [{}, {"new": None}, {"old": "a | b", "new": [1, 2]}])
def test_a_metric_that_came_or_went_or_is_no_number_is_shown_too(change):
    said = report.metrics({"a.json": {"x": change}})
    assert said.splitlines()[-1].count(" | ") == 3


@pytest.mark.parametrize("checks", [1, 2_000])
def test_a_comment_is_never_larger_than_github_takes(files, monkeypatch, checks):
    monkeypatch.setattr(report, "changes", lambda base: {"é" * 300: {"…" * 300: {}}})
    monkeypatch.setattr(report, "revision", lambda base: ("HEAD", "…" * 100_000))
    _judged(files, checks=[check("x" * 300, passed=False, detail="…" * 300)] * checks)
    assert ("… and 1950 more" in report.judged()) is (checks == 2_000)
    said = report.write("HEAD")
    assert len(said.encode()) <= report.MOST_BYTES < 65_536
    assert report.REPORT.read_text(encoding="utf-8") == said


def test_a_base_that_does_not_exist_is_told(files):
    assert report.revision("origin/nowhere") == (
        "HEAD",
        "There is no `origin/nowhere` here: compared with the last commit instead.",
    )


@pytest.mark.parametrize(
    "base", ["--output=x", "--since=2013-01-01", "-h", "", "HEAD;touch x", "$(touch x)"]
)
def test_a_base_is_a_name_and_nothing_that_runs(files, base):
    revision, said = report.revision(base)
    assert revision == "HEAD"
    assert said.startswith("There is no `")
