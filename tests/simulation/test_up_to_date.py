"""A run is spared only where nothing that its story rests on has changed."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.shared.files import read_json, write_json
from simulation import up_to_date
from tests.rules.tree import ROOT

FILES = {
    "code": "pipeline/features/windows.py",
    "code of the replay": "simulation/story.py",
    "a template": "simulation/replay.txt",
    "a config": "configs/train.yaml",
    "the graph": "dvc.yaml",
    "the lock of the packages": "requirements.lock",
    "the recipes": "Makefile",
    "the lock of the data": "dvc.lock",
    "a snapshot": "data/ingest/flights/2013-01.parquet",
    "a verdict": "data/evaluate/verdict.json",
    "the registry": "state/mlflow.db",
    "a model": "state/artifacts/1/model.onnx",
    "the ledger": "state/rollout/ledger.db",
    "a config of the replay": "state/replay/run/configs/train.yaml",
    "data of the replay": "state/replay/run/data/rollout/0003-canary/rollout.png",
    "the report of a refused month": "state/replay/wrong-unit/data/validate/report.json",
    "the replay's journal": "state/replay/run/state/retrain/journal.db",
}


@pytest.fixture
def stands(tmp_path, monkeypatch):
    """A folder with a file of each kind, as a run has left it."""
    monkeypatch.chdir(tmp_path)
    for path in map(Path, FILES.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    _ended()
    assert "nothing has changed: version 1" in up_to_date.check()


def _ended():
    digests = {"inputs": up_to_date.inputs_digest(), "outputs": up_to_date.outputs_digest()}
    write_json(up_to_date.LAST_RUN, digests | {"stands": "version 1"})


def test_every_place_that_is_watched_is_tried_here():
    watched = {*up_to_date.RUN_INPUTS, *up_to_date.RUN_OUTPUTS} - {"state/replay/run/dvc.lock"}
    assert {p for p in watched for path in FILES.values() if path.startswith(p)} == watched


def test_each_place_is_one_of_this_project():
    assert [name for name in up_to_date.RUN_INPUTS if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_each_kind_makes_a_run_when_nothing_but_its_bytes_changes(stands, kind):
    path = Path(FILES[kind])
    before = path.stat()
    path.write_bytes(b"12346")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert up_to_date.check() == ""
    assert set(read_json(up_to_date.LAST_RUN, "run")) == {"inputs"}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_each_kind_makes_a_run_when_it_is_gone(stands, kind):
    Path(FILES[kind]).unlink()
    assert up_to_date.check() == ""


@pytest.mark.parametrize("folder", ["pipeline/features", "configs", "data/ingest", "state/rollout"])
def test_one_more_file_makes_a_run(stands, folder):
    Path(folder, "another.yaml").touch()
    assert up_to_date.check() == ""


@pytest.mark.parametrize("name", ["PIPELINE_TRACKING_URL", "MLFLOW_TRACKING_URI", "DVC_STUDIO"])
def test_a_setting_in_the_environment_makes_a_run(stands, monkeypatch, name):
    monkeypatch.setenv(name, "elsewhere")
    assert up_to_date.check() == ""


def test_no_setting_is_kept_as_it_is(stands, monkeypatch):
    monkeypatch.setenv("PIPELINE_TRACKING_URL", "postgresql://me:" + "hunter2" + "@base/registry")
    _ended()
    assert "hunter2" not in up_to_date.LAST_RUN.read_text()


def test_another_python_makes_a_run(stands, monkeypatch):
    monkeypatch.setattr(sys, "version", "3.99")
    assert up_to_date.check() == ""


@pytest.mark.parametrize("change", ["numpy-99.dist-info", "flights-1.egg-info"])
def test_another_package_makes_a_run(stands, tmp_path, monkeypatch, change):
    monkeypatch.setattr(up_to_date.sysconfig, "get_path", lambda _: str(tmp_path / "packages"))
    (tmp_path / "packages/numpy-1.dist-info").mkdir(parents=True)
    _ended()
    assert up_to_date.check()
    (tmp_path / "packages" / change).mkdir()
    assert up_to_date.check() == ""


def test_bytecode_dates_and_files_of_editors_make_none(stands):
    Path("pipeline/__pycache__").mkdir()
    Path("pipeline/__pycache__/windows.pyc").touch()
    Path("configs/train.yaml~").touch()
    Path("configs/train.yaml").touch()
    Path("state/book.html").touch()
    assert up_to_date.check()


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"stands": 1}', '"x"'])
def test_a_record_that_is_damaged_makes_a_run(stands, record):
    up_to_date.LAST_RUN.write_text(record)
    assert up_to_date.check() == ""


def test_a_run_whose_code_changed_meanwhile_is_not_recorded(stands):
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    assert up_to_date.check() == ""
    Path(FILES["code"]).write_bytes(b"edited during the run")
    up_to_date.note_run()
    assert set(read_json(up_to_date.LAST_RUN, "run")) == {"inputs"}


@pytest.mark.parametrize("url", ["postgresql://base/registry", "sqlite:////elsewhere/mlflow.db"])
def test_with_a_registry_elsewhere_a_run_is_not_recorded(stands, monkeypatch, url):
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    monkeypatch.setenv("PIPELINE_TRACKING_URL", url)
    assert up_to_date.check() == ""
    up_to_date.note_run()
    assert set(read_json(up_to_date.LAST_RUN, "run")) == {"inputs"}
