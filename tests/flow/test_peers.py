"""The peers, really: each server that is installed here starts, agrees with ours, is measured."""

import json

import pytest

from benchmarks.model_servers import launch
from benchmarks.model_servers.ways import NAMES
from tests.flow import life

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("model-server"),
]
HERE = [n for n in NAMES if n not in launch.APART or launch.python(n).exists()]


def test_the_peers_that_are_installed_are_measured_beside_ours(small, shelf):
    folder = life.twin(small.folder, shelf / "peers")
    (folder / "state" / "peers").symlink_to(launch.ENVIRONMENTS)
    said = life.run(folder, "python", "-m", "benchmarks.peers", "--quick", "--only", *HERE).well()
    found = json.loads(said.words[said.words.index("\n{") :])
    assert list(found["paths"]) == HERE
    for of in found["paths"].values():
        assert of["at_1"]["requests"] > 0
        assert of["at_1"]["errors"] == 0
        assert of["rows_a_second"] > 0
    assert set(found["servers"]) == {"ours", *(n for n in HERE if n not in ("features", "store"))}
    assert all(one["memory_mb"] > 0 for one in found["servers"].values())
    assert not (folder / "benchmarks" / "peers.json").exists()
