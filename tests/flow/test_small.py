"""`make small` and `make report`: a pull request learns what the gates say before it is merged."""

import json
import re

import pytest

from tests.flow import life, small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.answer("ci-cd"),
]

REPORT = ("python", "-m", "docs.report")


def _answered(lived):
    """A checkout in which the small run was called, what that said, and what it answered."""
    answer = json.loads((lived.folder / "state/small.json").read_text())
    return lived.folder, lived.done, answer


def _left(folder):
    """What has appeared in a checkout, the files that git ignores included."""
    status = life.git(folder, "status", "--porcelain", "--ignored", "--untracked-files=all")
    return [line[3:] for line in status.splitlines() if not re.search(r"\.venv/|__pycache__", line)]


@pytest.fixture(scope="module")
def passed(called):
    return _answered(called)


@pytest.fixture(scope="module")
def refused(called_in_vain):
    return _answered(called_in_vain)


def test_the_whole_graph_runs_and_the_verdict_is_kept(passed):
    _, done, answer = passed
    assert re.findall(r"> python -m pipeline (\w+)", done.well().words) == (
        ["ingest", "validate", "features", "train", "evaluate"]
    )
    assert re.search(r"^small: passed in \d+ s -> state/small\.json$", done.words, re.MULTILINE)
    assert answer["verdict"]["passed"] is True
    assert answer["refusal"] is None


def test_nothing_else_is_left_in_the_checkout_or_beside_it(passed):
    folder, *_ = passed
    assert _left(folder) == ["state/small.json"]
    assert list(life.beside(folder, "aside").glob("small-*")) == []


def test_a_refusal_of_the_gate_is_the_last_word_and_exits_with_1_and_make_with_2(refused):
    folder, done, answer = refused
    assert done.code == 2, "make's own"
    assert done.words.rstrip().endswith("small] Error 1")
    last = done.words.split("small: refused in ")[1]
    assert re.search(r"^evaluate: GateRefused: challenger \w+ fails 1 of \d+", last, re.MULTILINE)
    assert "stormy evening" in last
    assert answer["refusal"] in done.words
    assert answer["verdict"]["passed"] is False
    assert set(_left(folder)) == {"configs/evaluate.yaml", "state/small.json"}


def test_the_report_shows_the_refusal_with_its_two_numbers(refused):
    folder, *_ = refused
    said = life.run(folder, *REPORT).well().words
    assert said == (folder / "state/report.md").read_text()
    assert "There is no `origin/main` here" in said
    assert "**refused**: 3" in said
    assert re.search(r"^\| `[^`]*stormy evening[^`]*` \| 0\.\d+ \| 0\.99 \| `", said, re.MULTILINE)


def test_the_report_forgets_a_verdict_on_other_files(passed):
    folder, *_ = passed
    assert "**passed**" in life.run(folder, *REPORT).well().words
    (folder / "README.md").write_text("another\n")
    assert "No verdict on these files" in life.run(folder, *REPORT).well().words


def test_the_report_compares_metrics_with_a_base_without_data_or_remote(passed):
    folder, *_ = passed
    path = folder / "data/evaluate/metrics.json"
    changed = json.loads(path.read_text()) | {"roc_auc": 0.5}
    path.write_text(json.dumps(changed))
    said = life.run(folder, *REPORT, BASE="HEAD").well().words
    assert re.search(
        r"^\| `data/evaluate/metrics.json: roc_auc` \| 0\.\d+ \| 0\.5 \| -", said, re.M
    )
    assert not (folder / ".dvc/cache").exists()


def test_a_bug_is_no_refusal(tmp_path):
    said = "Traceback\nValueError: a bug\nERROR: failed to reproduce 'train'\n"
    assert small.answer(tmp_path, 255, said) == {"refusal": None, "verdict": None}
    said = "validate: DataRejected: 1 month\n  a rule\nERROR: failed to reproduce 'validate'\n"
    found = small.answer(tmp_path, 255, said)
    assert found["refusal"] == "validate: DataRejected: 1 month\n  a rule"
