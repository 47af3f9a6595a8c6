"""The server's image: built without a network, run by an account of its own, asked over HTTP."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.features.definitions import FEATURES, matrix
from pipeline.registry.model import load
from pipeline.shared import loopback
from pipeline.shared.files import read_parquet
from tests import needs
from tests.flow import life
from tests.patience import PATIENCE, until

MOST_BYTES = 800_000_000
ACCOUNT = "10001"
BASE = "localhost/debian-python:3.11"
ABLE = os.geteuid() == 0 and shutil.which("mmdebstrap") and shutil.which("buildah")
MIRROR = "http://deb.debian.org/debian"
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    needs.unless(ABLE, "mmdebstrap and buildah"),
]


@pytest.fixture(scope="module")
def engine(shelf):
    """Buildah with a store of its own, where neither overlays nor cgroups are to be had."""
    folder = shelf / "images"
    folder.mkdir()
    places = f'graphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{places}')
    names = {"CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"), "STORAGE_DRIVER": "vfs"}
    names |= {"BUILDAH_ISOLATION": "chroot"}

    def buildah(*words):
        command, settings = ["buildah", *words], {**os.environ, **names}
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield SimpleNamespace(folder=folder, names=names, run=buildah)
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def base(engine):
    """A base of Debian's own packages, among which is Python 3.11."""
    root = engine.folder / "root.tar"
    made = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3", "bookworm"]
    subprocess.run([*made, str(root), MIRROR], check=True)
    container = engine.run("from", "scratch")
    engine.run("add", container, str(root), "/")
    engine.run("commit", "--quiet", "--rm", container, BASE)
    root.unlink()
    return BASE


@pytest.fixture(scope="module")
def image(small, shelf, engine, base, cut_off):
    """`make image` in the small project, its build cut off from all networks."""
    folder = life.twin(small.folder, shelf / "image")
    command = ["make", "image", f"BASE={base}", "TOOL=buildah"]
    fetching = ["python", "-c", "import runpy; from pathlib import Path; "
                "runpy.run_path('.ci/image.py')['assemble'](Path('state/image'))"]  # fmt: skip
    life.run(folder, *fetching, PYTHONPATH=".").well()
    done = life.run(folder, *cut_off, *command, **engine.names).well()
    name = re.search(r"^image: (\S+) built by buildah in \d+ s$", done.words, re.MULTILINE)[1]
    return SimpleNamespace(folder=folder, name=name)


def _export(folder):
    script = "from pipeline.registry.release_loader import export; print(export('champion'))"
    return life.run(folder, "python", "-c", script).well().words.split()[-1]


def _free_port():
    with contextlib.closing(socket.socket()) as found:
        found.bind((loopback.HOST, 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(image, engine):
    """The image's own command, with the champion's release mounted so that nobody can write it."""
    digest = _export(image.folder)
    releases = life.beside(image.folder, "releases")
    shutil.copytree(image.folder / "state/serve/releases", releases)
    for path in [releases, *releases.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o444)
    about = json.loads(engine.run("inspect", "--type", "image", image.name))["Docker"]["config"]
    container, port = engine.run("from", "--pull-never", image.name), _free_port()
    mounted = f"{releases}:/app/state/serve/releases:ro"
    run = ["buildah", "run", "--volume", mounted, "--env", f"PIPELINE_HOST={loopback.HOST}"]
    command = [*about["Entrypoint"], f"--version={digest}", f"--port={port}"]
    began = time.monotonic()
    process = life.start(image.folder, *run, container, "--", *command, **engine.names)
    try:
        until(
            lambda: process.poll() is not None or loopback.get(port, "/v2/health/ready"),
            lambda: life.words(image.folder),
        )
        assert process.poll() is None, life.words(image.folder)
        ready = time.monotonic() - began
        yield SimpleNamespace(
            port=port, container=container, about=about, digest=digest, ready=ready
        )
    finally:
        life.kill(process)


def test_it_is_as_small_as_what_serving_needs(image, engine, record_property):
    size = json.loads(engine.run("images", "--json", image.name))[0]["size"]
    amount, unit = size.split()
    count = float(amount) * {"MB": 1e6, "GB": 1e9}[unit]
    record_property("bytes", count)
    assert count <= MOST_BYTES


def test_it_runs_as_an_account_without_rights(server):
    assert server.about["User"] == f"{ACCOUNT}:{ACCOUNT}"
    accounts = {_account(pid) for pid in _serving(f"--port={server.port}")}
    assert ACCOUNT in accounts, accounts


def _serving(word):
    """The processes of Python with a word in their command."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_text().split("\0")
            if word in words and words[0] == "python":
                yield path


def _account(process):
    return re.search(r"^Uid:\t(\d+)", (process / "status").read_text(), re.MULTILINE)[1]


def test_its_health_check_asks_the_server_whether_it_is_ready(server, engine):
    kind, *command = server.about["Healthcheck"]["Test"]
    assert kind == "CMD"
    asked = [word.replace("8080", str(server.port)) for word in command]
    assert asked != command
    engine.run("run", server.container, "--", *asked)
    nobody = [word.replace("8080", str(_free_port())) for word in command]
    with pytest.raises(AssertionError):
        engine.run("run", server.container, "--", *nobody)


def test_it_predicts_what_the_model_predicts(server, image):
    rows = read_parquet(image.folder / "data/features/rows.parquet", "features").tail(5)
    training = json.loads((image.folder / "data/train/training.json").read_text())
    model = load(image.folder / "data/train/model.onnx", training["digest"])
    values = np.nan_to_num(matrix(rows, FEATURES))  # JSON has no NaN
    risk = model.predict_matrix(values)
    tensor = {"name": "inputs", "datatype": "FP32", "shape": list(values.shape)}
    body = {"inputs": [{**tensor, "data": values.ravel().tolist()}]}
    path, kind = "/v2/models/flight-delay-features/infer", {"content-type": "application/json"}
    done, answer = loopback.request(server.port, path, json.dumps(body).encode(), kind, PATIENCE)
    assert (done.status, done.headers["x-release"]) == (200, server.digest[:12]), answer
    assert json.loads(answer)["outputs"][0]["data"] == pytest.approx(risk.tolist(), abs=1e-6)


def test_without_a_release_it_says_what_is_missing(image, engine):
    container = engine.run("from", "--pull-never", image.name)
    command = ["buildah", "run", container, "--", "python", "-m", "pipeline", "serve-http"]
    done = life.run(image.folder, *command, **engine.names)
    assert "Traceback" not in done.words
    assert "serve-http: VersionUnknown: " in done.words
