import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.shared.contracts import (
    Verdict,
    at_least,
    at_most,
    decide,
    read_record,
    snapshot_path,
)
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.files import write_json
from tests.builders import check, verdict


@pytest.mark.parametrize(
    ("checks", "passes"),
    [
        ([], False),
        ([check()], True),
        ([check(), check(passed=False)], False),
        ([check(), check(passed=False, blocking=False)], True),
        ([check(blocking=False)], False),  # nothing that could have refused
    ],
)
def test_a_verdict_passes_if_it_asked_something_and_no_blocking_check_failed(checks, passes):
    assert decide(checks) is passes
    assert verdict(checks=checks).passed is passes


@pytest.mark.parametrize(
    ("checks", "passed"), [([check(passed=False)], True), ([check()], False), ([], True)]
)
def test_a_verdict_that_contradicts_its_checks_cannot_be_made(checks, passed):
    with pytest.raises(ValidationError, match=f"passed is {passed}, its checks say {not passed}"):
        verdict(checks=checks, passed=passed)


def test_a_verdict_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        verdict().passed = True


def test_a_record_comes_back_as_it_was_written(tmp_path):
    write_json(tmp_path / "verdict.json", verdict().model_dump())
    assert read_record(Verdict, tmp_path / "verdict.json", "evaluate") == verdict()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"passed": False}, "as a whole: .*its checks say True"),
        ({"checks": []}, "as a whole: .*its checks say False"),
        ({"rows": "many"}, "rows: "),
        ({"approved_by": "me"}, "approved_by: Extra inputs"),
    ],
)
def test_a_record_that_was_changed_by_hand_is_refused(tmp_path, change, told):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verdict().model_dump() | change))
    with pytest.raises(ArtifactTampered, match=rf"verdict\.json .*{told}.*; run `make evaluate`"):
        read_record(Verdict, path, "evaluate")


def test_a_record_that_is_not_there_names_the_stage_that_writes_it(tmp_path):
    with pytest.raises(ArtifactMissing, match=r"verdict\.json is missing; `make evaluate`"):
        read_record(Verdict, tmp_path / "verdict.json", "evaluate")


def test_a_snapshot_has_a_path_of_its_own():
    assert snapshot_path(Path("data/ingest"), "flights", "2013-01") == Path(
        "data/ingest/flights/2013-01.parquet"
    )


@pytest.mark.parametrize(
    ("found", "up_to", "from_on"),
    [(1.0, True, True), (0.9, True, False), (1.1, False, True), (float("nan"), False, False)],
)
def test_a_check_passes_up_to_or_from_its_limit_on(found, up_to, from_on):
    assert at_most("a", found, 1.0, "").passed is up_to
    assert at_least("a", found, 1.0, "").passed is from_on
