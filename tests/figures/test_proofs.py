"""Every answer was proven, and none of the proofs took longer than a reader waits."""

import json

import pytest

from benchmarks import proofs
from docs import proof
from docs.pages import demonstrated
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/proofs.json"))


def test_every_answer_was_proven_within_the_limit():
    assert set(FOUND["proofs"]) == {page.slug for page in demonstrated()}
    assert FOUND["limit_seconds"] == proofs.LIMIT
    assert max(one["seconds"] for one in FOUND["proofs"].values()) <= proofs.LIMIT


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """Of two answers, the second's proof ends as it is told to."""
    monkeypatch.setattr(proofs, "FOUND", tmp_path / "proofs.json")
    first, second = demonstrated()[:2]
    monkeypatch.setattr(proofs, "demonstrated", lambda: [first, second])

    def end(last):
        ends = {first.slug: proof.Proof(True, 4.04, 3, 0, []), second.slug: last}
        monkeypatch.setattr(proof, "prove", lambda page: ends[page.slug])
        return first.slug, second.slug

    return end


def test_each_answer_is_recorded_with_its_seconds_and_tests(ended, capsys):
    first, second = ended(proof.Proof(True, 59.96, 7, 0, []))
    assert proofs.main([]) == 0
    assert json.loads(proofs.FOUND.read_text())["proofs"] == {
        first: {"seconds": 4, "tests": 3},
        second: {"seconds": 60, "tests": 7},
    }
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"proofs: 2 answers proven in 64 s, the longest {second} with 60 s"


@pytest.mark.parametrize(
    "last",
    [proof.Proof(True, 60.1, 7, 0, []), proof.Proof(False, 5.0, 7, 1, [])],
    ids=["too long", "not proven"],
)
def test_a_proof_that_is_too_long_or_fails_ends_with_1_and_is_not_recorded(ended, last, capsys):
    first, second = ended(last)
    assert proofs.main([]) == 1
    assert list(json.loads(proofs.FOUND.read_text())["proofs"]) == [first]
    assert f"proofs: {second}: not proven, or longer than 60 s" in capsys.readouterr().out


def test_only_tests_that_start_a_real_tool_are_run_by_two_processes():
    assert not proof._is_long(["tests/rollout/test_bluegreen.py", "tests/figures/test_rollout.py"])
    assert proof._is_long(["tests/rollout/test_bluegreen.py", "tests/tune/test_tune.py"])


def test_named_answers_are_proven_anew_and_the_others_keep_their_record(ended):
    first, second = ended(proof.Proof(True, 12.0, 7, 0, []))
    proofs.main([])
    ended(proof.Proof(True, 5.0, 9, 0, []))
    assert proofs.main([second]) == 0
    assert json.loads(proofs.FOUND.read_text())["proofs"] == {
        first: {"seconds": 4, "tests": 3},
        second: {"seconds": 5, "tests": 9},
    }
