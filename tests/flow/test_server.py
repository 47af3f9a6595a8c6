"""The real server on the real store: what it answers is what training's table would have given."""

import asyncio
import json
import re
import signal
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import FEATURES, NUMERIC, matrix
from pipeline.records.request_log import features_of, read_predictions
from pipeline.registry.model import load
from pipeline.shared import loopback
from tests.flow import life
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
AT = pd.Timestamp("2013-02-14 12:00Z")
"""A T of the grid, up to which the store is complete: flights that leave at 9 in New York."""
WHO = ["year", "month", "day", "carrier", "flight", "origin"]


@pytest.fixture(scope="module")
def project(small, shelf):
    """The small project with its store brought up to T."""
    folder = life.twin(small.folder, shelf / "server")
    life.run(folder, *life.PIPELINE, "materialize", f"--until={AT:%Y-%m-%dT%H:%MZ}").well()
    return folder


def started(folder, *command, port):
    """A server that was started in a folder, once it says that it is ready."""
    process = life.start(folder, *command)
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if loopback.get(listening := port(folder), "/v2/health/ready") is not None:
            url = f"http://{loopback.HOST}:{listening}"
            return SimpleNamespace(folder=folder, process=process, port=listening, url=url)
        time.sleep(0.1)
    raise AssertionError(life.words(folder))


def _told(folder):
    found = re.search(r"http://127\.0\.0\.1:(\d+) serves version 1 .* ready", life.words(folder))
    return int(found[1]) if found else 1


@pytest.fixture(scope="module")
def server(project):
    """`python -m pipeline serve-http` on the small project's champion."""
    found = started(project, *life.PIPELINE, "serve-http", "--port=0", port=_told)
    yield found
    if found.process.returncode is None:
        life.kill(found.process)


@pytest.fixture(scope="module")
def flights(project):
    """The flights that are predicted at T, with training's features and the model's risk."""
    rows = pd.read_parquet(project / "data/features/rows.parquet")
    rows = rows[rows["predict_at"] == AT].reset_index(drop=True)
    training = json.loads((project / "data/train/training.json").read_text())
    model = load(project / "data/train/model.onnx", training["digest"])
    return rows.assign(risk=model.predict(rows))


def told(flights):
    """Flights as people write them."""
    names = ["carrier", "flight", "origin", "dest", "block_minutes", "distance", "tailnum"]
    whole = flights[names].astype({"block_minutes": "int64", "distance": "int64"}).astype(object)
    whole = whole.where(whole.notna(), None)
    instants = flights["sched_dep_utc"].dt.strftime("%Y-%m-%dT%H:%MZ")
    return whole.assign(scheduled_departure=instants).to_dict("records")


def post(server, body, request_id):
    headers = {"content-type": "application/json", "x-request-id": request_id}
    content = json.dumps(body).encode()
    done, answer = loopback.request(server.port, "/predict", content, headers, PATIENCE)
    assert (done.status, done.headers["x-version"]) == (200, "1")
    return json.loads(answer)


def test_it_says_when_it_is_ready_how_fresh_its_store_is(server, small, shelf):
    assert re.search(rf"ready; the online store is complete until {AT:%Y-%m-%dT%H:%M}Z",
                     life.words(server.folder))  # fmt: skip
    empty = life.twin(small.folder, shelf / "empty")
    found = started(empty, *life.PIPELINE, "serve-http", "--port=0", port=_told)
    life.kill(found.process)
    assert "the online store is empty: `make materialize` fills it" in life.words(empty)


def test_a_flight_gets_the_risk_that_the_model_gives_for_trainings_row(server, flights):
    assert len(flights) >= 10
    whole = post(server, {"flights": told(flights)}, "whole")
    assert [one["risk"] for one in whole["predictions"]] == flights["risk"].tolist()
    for number, flight in enumerate(told(flights)):
        alone = post(server, {"flights": [flight]}, f"alone-{number}")
        assert alone["predictions"] == [whole["predictions"][number]]


def infer(url, *inputs):
    """What KServe's own client is answered."""
    from kserve import InferenceRESTClient, InferRequest, RESTConfig

    async def asked():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            name = "flight-delay-features" if inputs[0].name == "inputs" else "flight-delay"
            name = name if not url.endswith("#kserve") else "flight-delay"
            at = url.partition("#")[0]
            assert await client.is_server_ready(at)
            assert await client.is_model_ready(at, name)
            return await client.infer(at, InferRequest(name, list(inputs)), model_name=name)

    return asyncio.run(asked()).outputs[0].as_numpy()


def rows(flights, binary=True):
    from kserve import InferInput

    found = InferInput("inputs", [len(flights), len(FEATURES)], "FP32")
    found.set_data_from_numpy(matrix(flights, FEATURES), binary_data=binary)
    return found


def tensors(flights, binary=True):
    from kserve import InferInput

    asked = pd.DataFrame(told(flights)).fillna({"tailnum": ""})
    for name in asked:
        texts = asked[name].dtype == object
        found = InferInput(name, [len(asked)], "BYTES" if texts else "INT64")
        found.set_data_from_numpy(asked[name].to_numpy(), binary_data=binary)
        yield found


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """KServe's client asks the proxy that the environment names, for this machine too."""
    monkeypatch.setenv("NO_PROXY", loopback.HOST)


@pytest.mark.parametrize("binary", [True, False])
def test_a_client_of_kserve_gets_the_same_with_features_or_with_flights(server, flights, binary):
    if binary:  # as JSON, this client writes NaN, which JSON does not have
        risk = infer(server.url, rows(flights))
        assert risk == pytest.approx(flights["risk"], abs=1e-7)
    risk = infer(server.url, *tensors(flights, binary))
    assert risk == pytest.approx(flights["risk"], abs=1e-7)


def test_the_predictor_under_kserves_own_server_gives_the_same(project, server, flights, shelf):
    (placed,) = (server.folder / "state/serve/releases").glob("*/placed.json")
    digest = json.loads(placed.read_text())["release"]
    folder = life.twin(project, shelf / "kserve")
    words = ("python", "-m", "pipeline.serve.kserve", f"--release={digest}", "--http_port=18391")
    here = started(folder, *words, port=lambda _: 18391)
    try:
        at = f"{here.url}#kserve"
        assert infer(at, rows(flights)) == pytest.approx(flights["risk"], abs=1e-7)
        assert infer(at, *tensors(flights)) == pytest.approx(flights["risk"], abs=1e-7)
    finally:
        life.kill(here.process)


def test_a_server_that_is_told_to_end_has_logged_every_answer_once(server, flights):
    post(server, {"flights": told(flights)[:1]}, "last")
    server.process.send_signal(signal.SIGTERM)
    done = life.finish(server.process, server.folder).well()
    assert "answers logged in" in done.words
    logged = read_predictions(f"sqlite:///{server.folder}/state/serve/log.db")
    assert not logged.duplicated(["request_id", "row", "arm", "release"]).any()
    own = logged[logged["request_id"].str.startswith("whole")]
    assert own["risk"].tolist() == flights["risk"].tolist()
    assert np.array_equal(
        features_of(own), flights[NUMERIC].to_numpy(dtype="float32"), equal_nan=True
    )
    assert logged["request_id"].str.startswith("last").sum() == 1
    assert logged["request_id"].str.startswith("alone-").sum() == len(flights)


def _bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["model.onnx", pytest.param("papers/data/train/training.json", marks=pytest.mark.nightly)],
)
def test_a_release_of_which_one_bit_has_changed_is_not_served(project, flights, shelf, name):
    folder = life.twin(project, shelf / f"changed-{name.split('/')[-1]}")
    script = "from pipeline.registry.release_loader import export; print(export('champion'))"
    life.run(folder, "python", "-c", script).well()
    (release,) = (folder / "state/serve/releases").iterdir()
    _bit(release / name)
    done = life.run(folder, *life.PIPELINE, "serve-http", "--port=0")
    assert done.code == 1
    assert "serve-http: ArtifactTampered: state/serve/releases/" in done.words
    assert "Traceback" not in done.words


def test_a_release_of_other_features_is_not_served(project, shelf):
    folder = life.twin(project, shelf / "other-features")
    life.configure(folder, "features", weather_hours=5)
    done = life.run(folder, *life.PIPELINE, "serve-http", "--port=0")
    assert done.code == 1
    assert "serve-http: ReleaseRefused: version 1 was trained with flight_delay-" in done.words
