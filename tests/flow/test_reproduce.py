"""An old version is rebuilt from its record, git and the remote; and whatever was changed is named.

By then the code, the data and the config have moved on, the cache is gone, and it happens in
another clone.
"""

import json
import re
import shutil
import sqlite3
from contextlib import closing

import pytest

from pipeline.registry.release import TRAINING, artifact_path
from pipeline.shared import dvc_lock
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]
SNAPSHOT = "data/ingest/flights/2013-01.parquet"


@pytest.fixture(scope="module")
def elsewhere(aged, shelf):
    """Another clone, which knows the registry and the remote of the first and has no cache."""
    shutil.rmtree(aged.folder / ".dvc/cache")
    return _clone(aged.folder, shelf / "elsewhere")


def _clone(source, folder):
    life.clone(source, folder)
    life.configure(
        folder,
        "register",
        tracking_url=f"sqlite:///{source}/state/mlflow.db",
        artifacts_url=f"{source}/state/artifacts",
    )
    remote = ("remote", "modify", "--local", "local", "url", str(source / ".dvc/remote"))
    life.run(folder, "dvc", *remote).well()
    # Of a registry within a project others take the paths for theirs, until it names full ones.
    life.run(folder, *life.PIPELINE, "relocate").well()
    return folder


def _report(folder, version):
    return json.loads((folder / f"data/reproduce/version-{version}.json").read_text())


def _answers(report):
    return {item["answer"] for item in [*report["headlines"], *report["outputs"]]}


@pytest.mark.answer("three-artefacts")
def test_the_first_version_is_rebuilt_byte_for_byte_in_another_clone(elsewhere):
    before = life.git(elsewhere, "status", "--porcelain")
    done = life.run(elsewhere, "make", "reproduce", "VERSION=1").well()
    report = _report(elsewhere, 1)
    assert _answers(report) == {"equal"}
    assert {item["stage"] for item in report["outputs"]} == {
        *("ingest", "validate", "features", "train", "evaluate")
    }
    assert [item["what"] for item in report["headlines"]] == [
        *("snapshots", "model", "predictions, every flight", "predictions, test set")
    ]
    assert re.search(r"^reproduce +\d+\.\d s  version 1 is what was registered", done.words, re.M)
    assert life.git(elsewhere, "status", "--porcelain") == before
    assert len(life.git(elsewhere, "worktree", "list").splitlines()) == 1
    assert {path.name for path in (elsewhere / "state").iterdir()} == {"runs.jsonl"}


@pytest.mark.nightly
@pytest.mark.answer("three-artefacts")
def test_a_version_of_a_changed_tree_is_rebuilt_with_other_threads_against_its_champion(elsewhere):
    """Its patch was committed by nobody; its verdict needs the champion of then."""
    life.run(elsewhere, "make", "reproduce", "VERSION=2", "THREADS=2").well()
    report = _report(elsewhere, 2)
    assert {item["answer"] for item in report["headlines"]} == {"equal"}
    assert "different" not in _answers(report)
    assert report["threads"] == "2"
    training = next(i for i in report["outputs"] if i["what"] == str(TRAINING))
    assert training["answer"] == "within tolerance"


@pytest.mark.answer("lineage")
def test_the_lineage_of_an_old_version_is_a_page_with_its_card(elsewhere):
    done = life.run(elsewhere, "make", "lineage", "VERSION=2").well()
    page = (elsewhere / "data/reproduce/lineage-2.md").read_text()
    assert "```mermaid" in page
    assert "patch " in page
    assert (elsewhere / "data/reproduce/card-2.md").read_text().startswith("# Model card")
    assert "version 2: commit " in done.words


# What was changed is found, and named. Each in a copy of its own.


@pytest.fixture
def copy(aged, shelf, request):
    """A copy of everything, remote and registry included, that a test may spoil."""
    folder = life.twin(aged.folder, shelf / request.node.name[:40])
    life.run(folder, *life.PIPELINE, "relocate").well()
    yield folder
    shutil.rmtree(folder)


def _stored(folder, path):
    """Where the remote keeps a snapshot."""
    return dvc_lock.cache_path(dvc_lock.md5(folder / path), folder / ".dvc/remote")


def _refused(folder, error, *words, version="1", **settings):
    done = life.run(folder, "make", "reproduce", f"VERSION={version}", **settings)
    assert done.code == 2  # make's own number for a command that failed
    last = next(line for line in done.words.splitlines() if line.startswith("reproduce: "))
    assert last.startswith(f"reproduce: {error}: ")
    assert all(word in done.words for word in words), done.words
    assert "Traceback" not in done.words
    assert not (folder / "data/reproduce/version-1.json").exists() or error == "NotReproduced"


@pytest.mark.answer("three-artefacts")
def test_a_changed_byte_of_a_snapshot_in_the_remote_is_named(copy):
    path = _stored(copy, SNAPSHOT)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    _refused(copy, "DataUnavailable", "recorded files did not come from", f"{SNAPSHOT} (")


@pytest.mark.answer("three-artefacts")
def test_a_file_that_is_missing_in_the_remote_is_named(copy):
    _stored(copy, SNAPSHOT).unlink()
    _refused(copy, "DataUnavailable", "recorded files did not come from", f"{SNAPSHOT} (")


@pytest.mark.answer("three-artefacts")
def test_another_version_of_a_library_is_named_with_both_numbers(copy, tmp_path):
    fake = tmp_path / "scikit_learn-1.0.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 1.0\n")
    told = ("scikit-learn 1.0 is installed, 1.", "REBUILD_ENV=1")
    done = life.run(copy, "python", "-m", "pipeline", "reproduce", PYTHONPATH=str(tmp_path))
    assert done.code == 2
    assert "reproduce: EnvironmentUnfit: 1 package(s) differ from those" in done.words
    assert all(word in done.words for word in told)


@pytest.mark.answer("release")
def test_a_rewritten_tag_is_named(copy):
    with closing(sqlite3.connect(copy / "state/mlflow.db")) as database, database:
        commit = life.git(copy, "rev-parse", "HEAD").strip()
        database.execute(
            "UPDATE model_version_tags SET value = ? WHERE key = 'git_commit' AND version = 1",
            (commit,),
        )
    _refused(copy, "ArtifactTampered", "tag git_commit of flight-delay version 1", commit)


@pytest.mark.answer("release")
def test_a_model_that_was_swapped_in_the_store_is_named(copy):
    first, second = (_model(copy, version) for version in (1, 2))
    first.write_bytes(second.read_bytes())
    _refused(copy, "ArtifactTampered", "flight-delay version 1 has SHA-256")


def _model(folder, version):
    with closing(sqlite3.connect(folder / "state/mlflow.db")) as database:
        (location,) = database.execute(
            "SELECT storage_location FROM model_versions WHERE version = ?", (version,)
        ).fetchone()
    return folder / location.removeprefix("file://") / "model.onnx"


def _papers(folder, version):
    """The sealed release of a version."""
    with closing(sqlite3.connect(folder / "state/mlflow.db")) as database:
        (seal,) = database.execute(
            "SELECT value FROM model_version_tags WHERE key = 'release' AND version = ?", (version,)
        ).fetchone()
    (found,) = (folder / "state/artifacts").glob(f"*/artifacts/{artifact_path(seal)}")
    return found


@pytest.mark.answer("release")
def test_a_config_that_was_changed_in_the_store_is_named(copy):
    papers = _papers(copy, 1)
    path = papers / "configs/train.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    _refused(copy, "ArtifactTampered", "configs/train.yaml of the release has SHA-256")
