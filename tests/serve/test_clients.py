"""Foreign clients: each of its ways to ask works here, or is refused by a word that says why.

Clients that the lock holds are themselves; of others that are not installed here nothing is said.
"""

import asyncio
import gzip
import importlib.util
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.features.definitions import FEATURES
from pipeline.serve.open_inference import FROM_STORE, HEADER
from pipeline.shared.loopback import HOST
from tests import needs
from tests.patience import PATIENCE
from tests.serve.fakes import FLIGHT
from tests.serve.live import BODY, live

pytestmark = [pytest.mark.slow, pytest.mark.answer("model-server")]
RISK = 0.051
"""Of the flight: the fake model says a hundredth of the first feature, the minute of the day."""
FLIGHTS, ROWS = "flight-delay", "flight-delay-features"


@pytest.fixture(scope="module")
def server():
    """A server over real connections."""
    with live() as here:
        yield here


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Clients ask the proxy that the environment names, for this machine too."""
    monkeypatch.setenv("NO_PROXY", HOST)


def tensors() -> dict[str, np.ndarray]:
    kinds = {"BYTES": object, "INT64": np.int64}
    return {name: np.array([FLIGHT[name]], dtype=kinds[kind]) for name, kind in FROM_STORE.items()}


def rows() -> np.ndarray:
    found = np.full((1, len(FEATURES)), 0.5, dtype="float32")
    found[0, 0] = 510.0
    return found


def in_json(**changes) -> bytes:
    asked = [
        {"name": name, "datatype": FROM_STORE[name], "shape": [1], "data": values.tolist()}
        for name, values in tensors().items()
    ]
    return json.dumps({"inputs": asked} | changes).encode()


# KServe's clients.


def kserve_asked(server, model: str, binary: bool, binary_answer: bool | None = None):
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    inputs = []
    for name, values in (tensors() if model == FLIGHTS else {"inputs": rows()}).items():
        kind = "FP32" if model == ROWS else FROM_STORE[name]
        one = InferInput(name, list(values.shape), kind)
        one.set_data_from_numpy(values, binary_data=binary)
        inputs.append(one)
    told = {} if binary_answer is None else {"parameters": {"binary_data_output": binary_answer}}

    async def ask():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            url = f"http://{HOST}:{server.port}"
            assert await client.is_server_ready(url)
            assert await client.is_model_ready(url, model)
            return await client.infer(url, InferRequest(model, inputs, **told), model_name=model)

    return asyncio.run(ask()).outputs[0].as_numpy()


@pytest.mark.parametrize("answer", [None, True, False])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", [FLIGHTS, ROWS])
def test_kserves_rest_client(server, model, binary, answer):
    assert kserve_asked(server, model, binary, answer) == pytest.approx([RISK])


def test_kserves_rest_client_by_the_older_protocol_is_told_where_to_look(server):
    from httpx import HTTPStatusError
    from kserve import InferenceRESTClient, RESTConfig

    async def ask():
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            url = f"http://{HOST}:{server.port}"
            return await client.infer(url, {"instances": [[1]]}, model_name=FLIGHTS)

    with pytest.raises(HTTPStatusError, match=r"Not Found: POST /v1/models/.*; see /docs"):
        asyncio.run(ask())


# Libraries for HTTP.

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def by_httpx(url, body, headers):
    import httpx

    done = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=PATIENCE)
    return done.status_code, done.content


def by_requests(url, body, headers):
    import requests

    done = requests.post(url, data=body, headers=headers, timeout=PATIENCE)
    return done.status_code, done.content


def by_aiohttp(url, body, headers):
    import aiohttp

    async def ask():
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers) as done,
        ):
            return done.status, await done.read()

    return asyncio.run(ask())


def by_curl(url, body, headers):
    if not (curl := shutil.which("curl")):
        needs.skip("curl")
    told = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = [curl, "--silent", "--noproxy", "*", "--data-binary", "@-", "-w", "\n%{http_code}"]
    done = subprocess.run([*command, *told, url], input=body, capture_output=True, check=True)
    content, _, code = done.stdout.rpartition(b"\n")
    return int(code), content


CLIENTS = {"httpx": by_httpx, "requests": by_requests, "aiohttp": by_aiohttp, "curl": by_curl}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_library_for_http_may_pack_what_it_sends(server, client, packing):
    headers = {"content-type": "application/json", "content-encoding": packing}
    url = f"http://{HOST}:{server.port}"
    for path, body in (("/predict", BODY), (f"/v2/models/{FLIGHTS}/infer", in_json())):
        code, content = CLIENTS[client](url + path, PACKINGS[packing](body), headers)
        assert code == 200, content
        assert b"risk" in content


@pytest.mark.parametrize("client", CLIENTS)
def test_a_library_that_names_a_form_is_told_what_is_wanted(server, client):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    code, content = CLIENTS[client](f"http://{HOST}:{server.port}/predict", BODY, headers)
    assert code == 415
    assert "wanted is application/json" in json.loads(content)["error"]


# As Triton's client has it on the wire: no content type, and all packed, its own header's size
# being that of the JSON before it was packed.


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("binary", [True, False])
def test_a_request_as_tritons_client_sends_it(server, packing, binary):
    head, tail = in_json(), b""
    if binary:
        tail = rows().tobytes()
        tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, len(FEATURES)]}
        tensor["parameters"] = {"binary_data_size": len(tail)}
        told = [{"name": "risk", "parameters": {"binary_data": True}}]
        head = json.dumps({"inputs": [tensor], "outputs": told}).encode()
    headers = {HEADER: str(len(head))} if binary else {}
    headers |= {} if packing == "identity" else {"content-encoding": packing}
    path = f"/v2/models/{ROWS if binary else FLIGHTS}/infer"
    body, url = PACKINGS[packing](head + tail), f"http://{HOST}:{server.port}{path}"
    code, content = by_httpx(url, body, headers | {"accept-encoding": packing})
    assert code == 200, content
    if binary:
        assert np.frombuffer(content[-4:], "<f4") == pytest.approx([RISK])
    else:
        assert json.loads(content)["outputs"][0]["data"] == pytest.approx([RISK])


@needs.unless(importlib.util.find_spec("tritonclient"), "tritonclient")
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client(server, packing, binary):
    from tritonclient import http as client

    inputs = []
    for name, values in tensors().items():
        one = client.InferInput(name, [1], FROM_STORE[name])
        one.set_data_from_numpy(values, binary_data=binary)
        inputs.append(one)
    outputs = [client.InferRequestedOutput("risk", binary_data=binary)]
    with client.InferenceServerClient(f"{HOST}:{server.port}") as asking:
        assert asking.is_server_live()
        assert asking.is_model_ready(FLIGHTS)
        done = asking.infer(
            FLIGHTS,
            inputs,
            outputs=outputs,
            request_compression_algorithm=packing,
            response_compression_algorithm=packing,
        )
    assert done.as_numpy("risk") == pytest.approx([RISK])
