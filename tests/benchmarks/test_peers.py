"""Peers: a missing one is refused, each has a lock of its own with the model's runtime."""

import re

import pytest

from benchmarks import peers
from benchmarks.model_servers import launch
from benchmarks.model_servers.ways import NAMES, OURS
from pipeline.shared.errors import EnvironmentUnfit, UsageError
from tests.rules import apple, tree

LOCKS = [f"benchmarks/environments/{name}.lock" for name in (*launch.APART, "spark")]
SERVED = [name for name in LOCKS if "spark" not in name]


@pytest.mark.parametrize("name", LOCKS)
def test_a_peer_is_locked_with_hashes_from_nowhere_in_particular(name):
    text = tree.read(name)
    entries = [line for line in text.replace("\\\n", "").splitlines() if line[:1].isalnum()]
    assert entries
    assert all(re.search(r"^[\w.\[\]-]+==\S+.* --hash=sha256:[0-9a-f]{64}", e) for e in entries)
    assert re.findall(r"://| @ |\.whl|\.tar\.gz", text) == []
    assert "make lock" in text


@pytest.mark.parametrize("name", SERVED)
def test_every_server_has_the_runtime_of_ours(name):
    pinned = re.compile(r"^onnxruntime==([^\s;]+)", re.MULTILINE)
    assert pinned.findall(tree.read(name)) == pinned.findall(tree.read("requirements.lock"))


def test_make_installs_every_peer():
    assert apple.variables(tree.read("Makefile"))["PEERS"].split() == [*launch.APART, "spark", "s3"]


def test_the_version_of_every_peer_is_recorded():
    assert set(launch.versions()) == {*launch.APART, "mlflow", "kserve", "uvicorn", "onnxruntime"}


def test_a_peer_that_is_not_installed_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "ENVIRONMENTS", tmp_path)
    with pytest.raises(
        EnvironmentUnfit, match=r"3 of 3 .*bentoml, litserve, mlserver; `make peers"
    ):
        launch.require(launch.APART)


def test_a_comparison_of_some_is_not_recorded(capsys):
    assert peers.main(["--only", "features", "bare"]) == UsageError.exit_code
    assert f"2 of {len(NAMES)} servers are no comparison to record" in capsys.readouterr().err
    assert set(OURS) < set(NAMES)
