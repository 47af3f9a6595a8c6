"""The server's image: built without a network, run by an account of its own, asked over HTTP."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import image as images
from pipeline.features.definitions import FEATURES, matrix
from pipeline.registry.model import load
from pipeline.shared import loopback
from pipeline.shared.files import read_parquet
from tests import needs
from tests.flow import life
from tests.patience import PATIENCE

MOST_BYTES = 800_000_000
ACCOUNT = "10001"
ABLE = os.geteuid() == 0 and shutil.which("mmdebstrap") and shutil.which("buildah")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    needs.unless(ABLE, "mmdebstrap and buildah"),
]


@pytest.fixture(scope="module")
def engine(shelf):
    with images.engine(shelf / "images") as made:
        images.make_base(made)
        yield made


@pytest.fixture(scope="module")
def image(small, shelf, engine, cut_off):
    """`make image` in the small project: packages are fetched first, the rest is cut off."""
    folder = life.twin(small.folder, shelf / "image")
    fetching = (
        "import runpy; module = runpy.run_path('.ci/image.py'); "
        "module['fetch'](module['CONTEXT'] / 'packages')"
    )
    life.run(folder, "python", "-c", fetching, PYTHONPATH=".").well()
    command = ["make", "image", f"FROM={images.BASE}", "TOOL=buildah"]
    done = life.run(folder, *cut_off, *command, **engine.settings).well()
    name = re.search(r"^image: (\S+) built by buildah in \d+ s$", done.words, re.MULTILINE)[1]
    return SimpleNamespace(folder=folder, name=name)


@pytest.fixture(scope="module")
def server(image, engine):
    script = "from pipeline.registry.release_loader import export; print(export('champion'))"
    digest = life.run(image.folder, "python", "-c", script).well().words.split()[-1]
    exported = image.folder / "state/serve/releases"
    releases = images.readable(exported, life.beside(image.folder, "releases"))
    with images.serving(engine, image.name, releases, digest) as found:
        yield SimpleNamespace(**vars(found), digest=digest, about=engine.image(image.name))


def test_it_is_as_small_as_what_serving_needs(image, engine, record_property):
    record_property("bytes", size := engine.size(image.name))
    assert 0 < size <= MOST_BYTES


def test_it_runs_as_an_account_without_rights(server):
    assert server.about["User"] == f"{ACCOUNT}:{ACCOUNT}"
    assert ACCOUNT in {_account(path) for path in _serving(f"--port={server.port}")}


def _serving(word):
    """The processes of Python with a word in their command."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_text().split("\0")
            if word in words and Path(words[0]).name.startswith("python"):
                yield path


def _account(process):
    return re.search(r"^Uid:\t(\d+)", (process / "status").read_text(), re.MULTILINE)[1]


def test_its_health_check_asks_the_server_whether_it_is_ready(server, engine):
    kind, *command = server.about["Healthcheck"]["Test"]
    assert kind == "CMD"
    asked = [word.replace("8080", str(server.port)) for word in command]
    assert asked != command
    engine.run("run", server.container, "--", *asked)
    nobody = [word.replace("8080", str(images.free_port())) for word in command]
    with pytest.raises(subprocess.CalledProcessError):
        engine.run("run", server.container, "--", *nobody)


def test_it_predicts_what_the_model_predicts(server, image):
    rows = read_parquet(image.folder / "data/features/rows.parquet", "features").tail(5)
    training = json.loads((image.folder / "data/train/training.json").read_text())
    model = load(image.folder / "data/train/model.onnx", training["digest"])
    values = np.nan_to_num(matrix(rows, FEATURES))  # JSON has no NaN
    tensor = {"name": "inputs", "datatype": "FP32", "shape": list(values.shape)}
    body = {"inputs": [{**tensor, "data": values.ravel().tolist()}]}
    path, kind = "/v2/models/flight-delay-features/infer", {"content-type": "application/json"}
    done, answer = loopback.request(server.port, path, json.dumps(body).encode(), kind, PATIENCE)
    assert (done.status, done.headers["x-release"]) == (200, server.digest[:12]), answer
    risk = model.predict_matrix(values).tolist()
    assert json.loads(answer)["outputs"][0]["data"] == pytest.approx(risk, abs=1e-6)


def test_without_a_release_it_says_what_is_missing(image, engine):
    container = engine.run("from", "--pull-never", image.name)
    command = ["buildah", "run", container, "--", "python", "-m", "pipeline", "serve-http"]
    done = life.run(image.folder, *command, **engine.settings)
    assert "Traceback" not in done.words
    assert "serve-http: VersionUnknown: " in done.words
