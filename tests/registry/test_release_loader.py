"""A release on its way from the registry to a server: what is served is what was sealed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.features.definitions import FEATURES
from pipeline.registry import release_loader as module
from pipeline.registry.release_loader import export, export_folder, load_release, warm_up_failure
from pipeline.shared.errors import ArtifactTampered, ReleaseRefused, VersionUnknown
from tests.rules.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.answer("model-server")]


@pytest.fixture
def served(registered, monkeypatch):
    """A small project with a champion of the features that this checkout serves."""
    monkeypatch.setattr(module, "service_version", lambda _: "planted-1")
    return registered


def test_a_version_is_found_by_number_alias_and_release(served):
    digest = export("champion")
    assert export("1") == export(digest) == digest
    assert [path.name for path in module.RELEASES.iterdir()] == [digest[:12]]


@pytest.mark.parametrize("name", ["2", "challenger", "0" * 64, "../x", ""])
def test_a_version_that_is_not_registered_is_refused(served, name):
    with pytest.raises(VersionUnknown):
        export(name)


def test_a_release_loads_with_everything_that_is_sealed_and_is_ready(served):
    found = load_release(export("champion"))
    assert (found.number, found.service) == ("1", "planted-1")
    assert found.model.features == FEATURES
    assert (found.folder / "release.json").is_file()
    assert warm_up_failure(found) == ""


def test_the_recorded_prediction_is_of_rows_with_gaps_too(served):
    warm = load_release(export("champion")).warm_up
    assert len(warm.inputs) == len(warm.risk) == 5
    assert all(0 < risk < 1 for risk in warm.risk)
    assert any(value is None for row in warm.inputs for value in row)


def test_only_the_export_needs_the_registry(served):
    digest = export("champion")
    shutil.rmtree("state/artifacts")
    script = (
        "import sys; from pipeline.registry import release_loader as m\n"
        "m.service_version = lambda _: 'planted-1'\n"
        f"print(m.load_release({digest!r}).number, 'mlflow' in sys.modules)"
    )
    settings = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False"]


def test_an_export_is_found_by_its_digest_where_there_is_no_registry(served):
    """In a container there is the release and nothing else."""
    digest = export("champion")
    for folder in ("state/artifacts", "state/rollout"):
        shutil.rmtree(folder)
    Path("state/mlflow.db").unlink()
    assert export(digest) == digest
    assert load_release(digest).number == "1"
    with pytest.raises(VersionUnknown):
        export("champion")


def test_what_was_not_exported_yet_is(served):
    digest = export("champion")
    shutil.rmtree(module.RELEASES)
    assert load_release(digest).release == digest


def _changed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["model.onnx", "papers/release.json", "papers/dvc.lock", "papers/data/train/warmup.json"],
)
def test_one_changed_bit_is_refused_with_what_to_do(served, name):
    digest = export("champion")
    _changed(export_folder(digest) / name)
    with pytest.raises(ArtifactTampered, match=r"is not what was exported: .*; `make repair`"):
        load_release(digest)


def test_a_paper_that_was_added_is_refused(served):
    digest = export("champion")
    (export_folder(digest) / "papers/added.json").write_text("{}")
    with pytest.raises(ArtifactTampered, match=r"added\.json"):
        load_release(digest)


@pytest.mark.answer("schema-evolution")
def test_a_release_of_other_features_is_refused(registered):
    with pytest.raises(ReleaseRefused, match="trained with planted-1, this checkout serves flight"):
        load_release(export("champion"))


def test_an_export_that_was_killed_leaves_nothing_that_is_loaded(served, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            export("champion")
    assert load_release(export("champion")).number == "1"
