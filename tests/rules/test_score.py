"""The scores: every claim names a proof that exists, and a proof that did not run earns nothing."""

import ast
import re
from collections import Counter
from types import SimpleNamespace

import pytest

from docs import score
from tests.rules import tree

BOARD = score.board()
IDS = [f"{section}{number}" for section in "DMIN" for number in range(1, 8)]
NODES = sorted({proof for item in BOARD.items for proof in [*item.tests, *item.flow]})
EVIDENCE = sorted(
    {one for c in BOARD.rubric for one in c.evidence}
    | {one for marks in BOARD.maturity.values() for mark in marks for one in mark.evidence}
)
FLOW_ONLY = {"flow": ["tests/flow/test_a.py"]}


def item(**changes):
    told = {"id": "D1", "name": "it holds", "counts": 1, "limit": "None.", "tests": ["tests/a.py"]}
    return score.Item(**told | changes)


# What docs/score.yaml says.


def test_each_of_the_28_tests_is_there_once_and_in_its_section():
    assert [item.id for item in BOARD.items] == IDS
    assert [len(items) for items in BOARD.sections.values()] == [7, 7, 7, 7]


@pytest.mark.parametrize("node", NODES)
def test_a_proof_exists(node):
    path, _, function = node.partition("::")
    assert path in tree.files()
    found = {node.name for node in tree.parsed(path).body if isinstance(node, ast.FunctionDef)}
    assert not function or function in found


def test_what_takes_minutes_is_never_run_unasked():
    assert not [node for item in BOARD.items for node in item.tests if "tests/flow" in node]
    assert all(node.startswith("tests/flow/") for item in BOARD.items for node in item.flow)


@pytest.mark.parametrize("one", BOARD.items, ids=lambda one: one.id)
def test_a_point_has_a_proof_and_a_limit(one):
    assert one.counts in (0, score.HALF, 1)
    assert bool(one.tests or one.flow) == (one.counts > 0)
    assert re.fullmatch(r"[A-Z].*\.", one.limit)
    assert "|" not in one.name + one.limit


@pytest.mark.parametrize("one", [one for one in BOARD.items if one.benchmark], ids=lambda x: x.id)
def test_a_recorded_figure_is_in_git(one):
    assert one.benchmark.partition(":")[0] in tree.files()
    assert score.figure(one.benchmark)


@pytest.mark.parametrize("one", EVIDENCE)
def test_evidence_is_a_file_or_a_target(one):
    assert one in tree.files() or one.removeprefix("make ") in tree.offered()


def test_a_level_is_shown_or_is_nothing():
    for criterion in BOARD.rubric:
        assert 0 <= criterion.level <= criterion.of
        assert bool(criterion.evidence) == (criterion.level > 0), criterion.name
    marks = [mark for many in BOARD.maturity.values() for mark in many]
    assert {mark.holds for mark in marks} <= {"yes", "partly", "no"}
    assert all(mark.evidence for mark in marks if mark.holds != "no")


# How points are counted.


@pytest.mark.parametrize(
    ("seen", "earned"),
    [
        ({"passed": 3}, 1),
        ({"passed": 3, "skipped": 2}, 1),
        ({"passed": 3, "failed": 1}, 0),
        ({"skipped": 2}, 0),
        ({}, 0),
    ],
)
def test_a_claim_is_earned_if_a_proof_ran_and_none_failed(seen, earned):
    assert score.points(item(), seen, flow=False) == earned
    assert score.points(item(counts=0.5), seen, flow=False) == earned / 2


def test_what_is_claimed_without_a_proof_earns_nothing():
    assert score.points(item(tests=[]), {}, flow=False) == 0
    assert score.told(item(tests=[]), {}, flow=False) == "no test"


def test_what_only_the_flow_proves_is_worth_half_until_the_flow_has_run():
    only = item(tests=[], **FLOW_ONLY)
    assert score.points(only, {}, flow=False) == only.claimed(flow=False) == 0.5
    assert score.points(only, {"passed": 1}, flow=True) == only.claimed(flow=True) == 1
    assert score.points(only, {"failed": 1}, flow=True) == 0
    assert "make score FLOW=1" in score.told(only, {}, flow=False)


def test_what_was_skipped_only_says_so():
    assert score.told(item(), {"skipped": 2}, flow=False) == "skipped only: 2"
    assert score.told(item(), {"passed": 1, "skipped": 2}, flow=False) == "1 passed, 2 skipped"


def test_the_score_is_the_minimum_of_the_sums():
    earned = {one.id: one.counts for one in BOARD.items} | {"N1": 0.5, "N2": 0.0}
    sums = score.section_scores(BOARD.sections, earned)
    assert sums["Monitoring"] == sum(earned[f"N{number}"] for number in range(1, 8))
    notes = dict.fromkeys(earned, "3 passed")
    worst = min(sums, key=sums.get)
    end = f"score: {sums[worst]:g}, the minimum ({worst})"
    assert score.shown(BOARD, earned, notes).endswith(end)


def test_a_function_is_not_run_again_where_its_whole_file_is_run():
    one, other = item(tests=["tests/a.py::test_x", "tests/b.py"]), item(tests=["tests/a.py"])
    assert score.proofs([one], flow=False) == ["tests/a.py::test_x", "tests/b.py"]
    assert score.proofs([one, other], flow=False) == ["tests/a.py", "tests/b.py"]


def test_outcomes_are_counted_by_function_and_found_by_file():
    seen = score.Outcomes()
    for name, when, outcome in [
        ("tests/a.py::test_x[1]", "setup", "passed"),
        ("tests/a.py::test_x[1]", "call", "passed"),
        ("tests/a.py::test_x[2]", "setup", "skipped"),
        ("tests/a.py::test_xy", "setup", "failed"),
        ("tests/ab.py::test_x", "call", "passed"),
    ]:
        seen.pytest_runtest_logreport(SimpleNamespace(nodeid=name, when=when, outcome=outcome))
    assert seen.under(["tests/a.py::test_x"]) == Counter(passed=1, skipped=1)
    assert seen.under(["tests/a.py"]) == Counter(passed=1, skipped=1, failed=1)
    seen.pytest_collectreport(SimpleNamespace(nodeid="tests/c.py", failed=True))
    assert seen.under(["tests/c.py::test_gone"]) == Counter()
    assert seen.under(["tests/c.py"]) == Counter(failed=1)


def test_a_level_of_maturity_is_reached_if_all_of_it_holds():
    assert BOARD.level == "Level 1: the pipeline is automated"
    of = {"one": "no", "two": "yes", "three": "partly", "four": "yes"}
    marks = {name: [score.Characteristic("", holds, [], "")] for name, holds in of.items()}
    assert score.Board({}, [], marks).level == "two"
