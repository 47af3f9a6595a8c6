"""A full disk: the stage says so, and what was there before is still there."""

import re

import pytest

from pipeline.shared.files import file_hash
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def cramped(small, shelf):
    return life.twin(small.folder, shelf / "cramped")


def _files(folder):
    return {p: file_hash(p) for p in sorted((folder / "data").rglob("*")) if p.is_file()}


LATE = pytest.mark.nightly


@pytest.mark.parametrize(
    ("stage", "file_kb", "path"),
    [
        pytest.param("ingest", 1, "data/ingest/manifest.json", id="ingest"),
        pytest.param("validate", 1, "data/validate/report.json", id="validate"),
        pytest.param(
            "validate", 150, "data/validate", id="the pages of Great Expectations", marks=LATE
        ),
        pytest.param("features", 1, "data/features/rows.parquet", id="features"),
        pytest.param("train", 1, "data/train/candidate.onnx", id="train"),
        pytest.param("train", 300, "state/mlflow.db", id="the registry's database", marks=LATE),
    ],
)
def test_a_full_disk_is_a_refusal_that_names_the_file_and_harms_nothing(
    cramped, stage, file_kb, path
):
    before = _files(cramped)
    done = life.run(cramped, *life.PIPELINE, stage, file_kb=file_kb)
    assert done.code == 1
    last = done.words.splitlines()[-1]
    assert last.startswith(f"{stage}: StorageFailed: cannot write {path}: ")
    assert re.search(r" [\d,]+\.\d MB are free in \S+/; .* run the same again$", last)
    assert _files(cramped) == before
    assert life.half_written(cramped) == []


def test_with_room_again_the_registry_is_as_it_was(cramped):
    done = life.run(cramped, *life.PIPELINE, "register").well()
    assert "version 1" in done.words
    assert "already champion: nothing to do" in done.words
