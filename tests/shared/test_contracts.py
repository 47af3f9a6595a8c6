import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.shared.contracts import (
    Kind,
    Manifest,
    Training,
    Verdict,
    at_least,
    at_most,
    checks_of,
    decide,
    read_record,
    snapshot_path,
)
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.files import write_json
from tests.builders import check, training, verdict


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


BEFORE_KINDS = {
    "beats champion": Kind.CHAMPION,
    "not worse than champion": Kind.CHAMPION,
    "surely not much worse than champion": Kind.CHAMPION,
    "beats hour_rate": Kind.BASELINE,
    "refit stays near what was judged": Kind.REFIT,
    "storm against champion": Kind.CHAMPION_SLICE,
    "carrier UA against hour_rate": Kind.BASELINE_SLICE,
    "invariance: flight and tail codes": Kind.BEHAVIOUR,
    "direction: wind_speed +15": Kind.BEHAVIOUR,
    "minimum: calm morning": Kind.BEHAVIOUR,
    "days judged": Kind.EVIDENCE,
    "window is new to the champion": Kind.EVIDENCE,
    "risks are probabilities": Kind.EVIDENCE,
}


def without_kinds(judged):
    """A verdict as it was written before its checks had kinds."""
    stored = judged.model_dump(mode="json")
    for one in stored["checks"]:
        del one["kind"]
    return stored


@pytest.mark.answer("schema-evolution")
def test_a_sealed_verdict_of_before_kinds_can_still_be_read():
    stored = without_kinds(verdict(checks=[check(name) for name in BEFORE_KINDS]))
    assert {c.name: c.kind for c in checks_of(stored)} == BEFORE_KINDS


def test_a_kind_that_was_sealed_holds_whatever_the_check_is_called():
    judged = verdict(checks=[check("beats champion", kind=kind) for kind in Kind])
    assert checks_of(judged.model_dump(mode="json")) == judged.checks


def test_a_verdict_of_before_kinds_is_no_verdict_to_register_by(tmp_path):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(without_kinds(verdict())))
    with pytest.raises(ArtifactTampered, match=r"checks\.0\.kind: .*; run `make evaluate`"):
        read_record(Verdict, path, "evaluate")


NO_DIGESTS = [
    *("", "c", "c" * 63, "c" * 65, "C" * 64, "g" * 64, "c" * 64 + "\n", "\n" + "c" * 64),
    *("' OR '1'='1", "c" * 64 + "' OR tags.model_digest != '", "c" * 63 + "'", "c" * 63 + '"'),
    *("../" + "c" * 61, "c" * 63 + "\u0663", "c" * 63 + "%"),
]


@pytest.mark.answer("model-security")
@pytest.mark.parametrize("digest", NO_DIGESTS)
@pytest.mark.parametrize(
    ("kind", "made", "key"),
    [
        (Verdict, verdict, "challenger"),
        (Verdict, verdict, "champion"),
        (Verdict, verdict, "config_hash"),
        (Verdict, verdict, "features_hash"),
        (Training, training, "digest"),
        (Training, training, "predictions_hash"),
        (Training, training, "data_hash"),
        (Training, training, "config_hash"),
    ],
)
def test_what_is_no_digest_is_no_part_of_a_record(tmp_path, kind, made, key, digest):
    """It would become part of a query to the registry."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(made().model_dump() | {key: digest}))
    with pytest.raises(ArtifactTampered, match=rf"{key}: String should match pattern"):
        read_record(kind, path, "train")


@pytest.mark.answer("model-security")
@pytest.mark.parametrize(
    "baselines",
    [
        {"../../x": "a" * 64},
        {"/etc/x": "a" * 64},
        {"a\n": "a" * 64},
        {"A": "a" * 64},
        {"": "a" * 64},
        {"logistic": "a"},
    ],
)
def test_a_baseline_is_named_by_a_word_that_leads_nowhere_else(tmp_path, baselines):
    path = tmp_path / "training.json"
    path.write_text(json.dumps(training().model_dump() | {"baselines": baselines}))
    with pytest.raises(ArtifactTampered, match="baselines"):
        read_record(Training, path, "train")


def manifest(**changes):
    """What a manifest of one snapshot says, with something in the snapshot changed."""
    snapshot = {"table": "flights", "month": "2013-01", "rows": 1, "first": "", "last": ""}
    snapshot |= {"path": "data/ingest/flights/2013-01.parquet"}
    snapshot |= {"content_hash": "a" * 64, "file_hash": "b" * 64}
    return {"source": "s", "as_of": "2013-01", "files": {}, "snapshots": [snapshot | changes]}


@pytest.mark.answer("model-security")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"month": "../../../etc/passwd"}, "month: String should match pattern"),
        ({"month": "2013-01/../../x"}, "month: String should match pattern"),
        ({"month": "2013-13"}, "month: String should match pattern"),
        ({"month": "2013-01\n"}, "month: String should match pattern"),
        ({"month": "２０１３-01"}, "month: String should match pattern"),
        ({"table": "../flights"}, "table: String should match pattern"),
        ({"path": "/etc/passwd"}, "path is '/etc/passwd', its table and month say 'data/ingest/fl"),
        ({"path": "data/ingest/../../x"}, "path is 'data/ingest/../../x', its table and month "),
        ({"path": "data/ingest/weather/2013-01.parquet"}, "path is 'data/ingest/weather/2013-01"),
        ({"month": "2013-02"}, "its table and month say 'data/ingest/flights/2013-02.parquet'"),
        ({"content_hash": "a"}, "content_hash: String should match pattern"),
        ({"file_hash": "a"}, "file_hash: String should match pattern"),
    ],
)
def test_a_manifest_leads_nowhere_but_to_where_ingest_writes(tmp_path, changes, told):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest()))
    assert read_record(Manifest, path, "ingest").snapshots[0].month == "2013-01"
    path.write_text(json.dumps(manifest(**changes)))
    with pytest.raises(ArtifactTampered, match=re.escape(told)):
        read_record(Manifest, path, "ingest")


@pytest.mark.parametrize("changes", [{"as_of": "../x"}, {"files": {"flights.csv.zip": "a"}}])
def test_the_rest_of_a_manifest_is_months_and_digests_too(tmp_path, changes):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest() | changes))
    with pytest.raises(ArtifactTampered, match="String should match pattern"):
        read_record(Manifest, path, "ingest")


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
    assert at_most(Kind.DATA, "a", found, 1.0, "").passed is up_to
    assert at_least(Kind.DATA, "a", found, 1.0, "").passed is from_on
