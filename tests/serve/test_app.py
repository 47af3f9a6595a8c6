"""The server over HTTP, with a model and a store at its edge that give what the test says."""

import gzip
import json
import re
import struct
import threading
import time
import tracemalloc
import uuid
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from pipeline.features.definitions import FEATURES, NUMERIC
from pipeline.records.request_log import features_of, read_predictions
from pipeline.records.request_log_writer import open_log
from pipeline.serve import open_inference
from pipeline.serve.app import create_app
from pipeline.serve.metrics import Metrics
from pipeline.serve.open_inference import FROM_STORE, HEADER, RequestRefused
from pipeline.serve.predictor import Predictor
from pipeline.shared.callers import STRANGERS, Trust, new_id
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.patience import PATIENCE, until
from tests.serve.fakes import FLIGHT, RELEASE, Session, Store, loaded

pytestmark = pytest.mark.answer("model-server")

KEY = "0123456789abcdef"
JSON = {"content-type": "application/json"}
FLIGHTS = "/v2/models/flight-delay/infer"
ROWS = "/v2/models/flight-delay-features/infer"


@pytest.fixture
def served(tmp_path):
    """Makes a client of an app over a session and a store, and closes what it opened."""
    url, ends = f"sqlite:///{tmp_path}/log.db", []

    def make(session=None, store=None, reason="", edge_key="", **changes):
        calm = {"timeout_ms": 1_000 * PATIENCE, "queue_ms": 1_000 * PATIENCE, "refusal_ms": 0}
        config = load(ServeConfig).model_copy(update=calm | changes)
        context = open_log(url, 1_000)
        log = context.__enter__()
        metrics, store = Metrics(), store or Store()
        predictor = Predictor(loaded(session), store)
        app = create_app(predictor, log, config, metrics, lambda: reason, trust=Trust(edge_key))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()

        def end():
            client.__exit__(None, None, None)
            context.__exit__(None, None, None)

        def logged():
            end()
            ends.clear()
            return read_predictions(url)

        ends.append(end)
        return SimpleNamespace(
            client=client, metrics=metrics, store=store, logged=logged, log=log, app=app
        )

    yield make
    for end in ends:
        end()


WIDTH = len(FEATURES)


def flights(*changes):
    return {"flights": [FLIGHT | change for change in changes or [{}]]}


def rows(*values, **changes):
    """A request for rows of FEATURES that are all one value."""
    data = [value for value in values or (0.5,) for _ in FEATURES]
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [len(values) or 1, len(FEATURES)]}
    return {"inputs": [tensor | {"data": data} | changes]}


def tensors(**changes):
    """A request for one flight as tensors."""
    kinds = FROM_STORE.items()
    told = {n: {"name": n, "datatype": k, "shape": [1], "data": [FLIGHT[n]]} for n, k in kinds}
    return {"inputs": [told[name] | changes.get(name, {}) for name in told]}


def test_people_get_the_risk_of_each_flight_with_what_lacked(served):
    here = served(store=Store(weather="stale"))
    done = here.client.post("/predict", json=flights({}, {"origin": "JFK"}))
    assert done.status_code == 200
    told = done.json()
    assert (told["version"], told["release"]) == ("7", RELEASE)
    assert told["predictions"] == [
        {
            "flight": f"2013-04-18/UA/1545/{origin}",
            "predict_at": "2013-04-18T10:30Z",
            "risk": pytest.approx(0.051),
            "flags": {"weather": "stale"},
        }
        for origin in ("EWR", "JFK")
    ]
    counted = here.metrics.value("serve_features_total", view="weather", flag="stale")
    assert counted == 2


@pytest.mark.answer("who-served")
def test_every_answer_is_logged_once_with_what_it_rests_on(served):
    here = served(store=Store(aircraft="missing"), edge_key=KEY)
    who = {"x-request-id": "mine", "x-arm": "control", "x-edge-key": KEY}
    for _ in range(2):  # a proxy that tries again
        here.client.post("/predict", json=flights({}, {"flight": 7}), headers=who)
    here.client.post(ROWS, json=rows(0.5))
    logged = here.logged()
    assert logged["request_id"].tolist()[:2] == ["mine", "mine"]
    assert logged["row"].tolist() == [0, 1, 0]
    assert logged["arm"].tolist() == ["control", "control", "direct"]
    assert logged["flight"].tolist() == ["2013-04-18/UA/1545/EWR", "2013-04-18/UA/7/EWR", None]
    assert json.loads(logged["flags"][0]) == {"aircraft": "missing"}
    assert features_of(logged)[0][NUMERIC.index("distance")] == 1400
    assert (logged["release"] == RELEASE).all()
    assert logged["risk"][0] == pytest.approx(0.051)


@pytest.mark.answer("who-served")
def test_what_strangers_ask_is_answered_and_counted_and_has_no_row(served):
    here = served(edge_key=KEY)
    who = {"x-arm": "stranger", "x-edge-key": KEY}
    for path, body in (("/predict", flights({}, {"flight": 7})), (ROWS, rows(0.5))):
        assert here.client.post(path, json=body, headers=who).status_code == 200
    assert here.metrics.value("serve_log_strangers") == 3
    assert len(here.logged()) == 0


@pytest.mark.answer("who-served")
def test_every_response_says_which_request_version_and_release_it_is_of(served):
    here = served()
    for done in (
        here.client.post("/predict", json=flights(), headers={"x-request-id": "a-1"}),
        here.client.get("/v2/nothing", headers={"x-request-id": "a-1"}),
        here.client.post("/predict", content="{", headers={**JSON, "x-request-id": "a-1"}),
    ):
        found = [done.headers[f"x-{name}"] for name in ("request-id", "version", "release")]
        assert found[0].startswith("a-1.")
        assert found[1:] == ["7", "f" * 12]
    made = {here.client.get("/v2").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(
    "told",
    ["a-1", "2013-04-18:1", "1234567890", "1.2.3", str(uuid.UUID(int=7)), "span:7", "a:b:x"],
)
def test_a_callers_own_id_is_the_beginning_of_the_one_that_is_logged(served, told):
    done = served().client.get("/v2", headers={"x-request-id": told})
    assert re.fullmatch(rf"{re.escape(told)}\.[0-9a-f]{{12}}", done.headers["x-request-id"])


@pytest.mark.answer("who-served")
def test_an_id_that_is_sent_twice_hides_no_answer_and_takes_no_others_place(served):
    here = served(edge_key=KEY)
    proxied = {"x-request-id": "1", "x-arm": "champion", "x-edge-key": KEY}
    here.client.post("/predict", json=flights(), headers={"x-request-id": "1"})
    here.client.post("/predict", json=flights({"flight": 2}), headers={"x-request-id": "1"})
    here.client.post("/predict", json=flights({"flight": 3}), headers=proxied)
    logged = here.logged()
    assert logged["flight"].str.split("/").str[2].tolist() == ["1545", "2", "3"]
    assert logged["request_id"].is_unique
    assert logged.loc[logged["request_id"] == "1", "arm"].tolist() == ["champion"]


CLAIMS = [
    {"host": "a-shadow"},
    {"x-arm": "shadow"},
    {"x-arm": "challenger", "x-edge-key": ""},
    {"x-arm": "challenger", "x-edge-key": KEY[:-1]},
    {"x-arm": "challenger", "x-edge-key": KEY.upper()},
    {"x-arm": "challenger", "x-edge-key": b"\xe9"},
    {"x-arm": "A" * 33},
    {"x-forwarded-for": "10.0.0.1", "x-forwarded-host": "a-shadow"},
]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("edge_key", [KEY, ""])
def test_what_a_caller_claims_without_the_edge_key_is_not_believed(served, claim, edge_key):
    here = served(edge_key=edge_key)
    assert here.client.post("/predict", json=flights(), headers=claim).status_code == 200
    assert here.logged()["arm"].tolist() == ["direct"]


def test_an_address_with_a_slash_too_many_is_not_sent_elsewhere(served):
    """The address of a redirect is made of the Host header, which is the caller's."""
    headers = {"host": "elsewhere.example"}
    done = served().client.get("/v2/", headers=headers, follow_redirects=False)
    assert done.status_code == 404
    assert "elsewhere" not in str(done.headers)


def test_an_id_that_a_server_makes_is_a_uuid_that_begins_with_the_time():
    made = []
    for _ in range(3):
        made.append(new_id())
        time.sleep(0.002)
    assert made == sorted(made)
    assert all(uuid.UUID(one).version == 7 for one in made)
    assert all(uuid.UUID(one).variant == uuid.RFC_4122 for one in made)
    assert len({new_id() for _ in range(1_000)}) == 1_000


def test_it_shows_until_when_its_model_was_trained(served):
    until = served().metrics.value("serve_model_trained_until_seconds")
    assert pd.Timestamp(until, unit="s", tz="UTC") == pd.Timestamp("2013-04-01 04:00Z")


@pytest.mark.parametrize(
    "header",
    [
        {"x-request-id": "a b"},
        {"x-request-id": "x" * 65},
        {"x-request-id": "jane@example.org"},
        {"x-request-id": "203.0.113.7"},
        {"x-request-id": "203.0.113.7:443"},
        {"x-request-id": "2001:db8::7"},
        {"x-request-id": "212-555-0123"},
        {"x-arm": "A", "x-edge-key": KEY},
        {"x-arm": "a" * 33, "x-edge-key": KEY},
        {"x-edge-key": KEY},
    ],
)
def test_a_header_that_would_not_fit_the_log_is_refused(served, header):
    here = served(edge_key=KEY)
    done = here.client.post("/predict", json=flights(), headers=header)
    assert done.status_code == 400
    assert next(iter(header)).replace("edge-key", "arm") in done.json()["error"]
    assert here.logged().empty


def test_a_server_says_that_it_lives_and_whether_it_is_ready(served):
    here = served()
    assert here.client.get("/v2/health/live").json() == {"live": True}
    assert here.client.get("/v2/health/ready").json() == {"ready": True}
    assert here.client.get("/v2/models/flight-delay/versions/7/ready").status_code == 200
    assert here.client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


def test_a_server_that_is_not_ready_says_why(served):
    here = served(reason="the warm-up prediction differs")
    for path in ("/v2/health/ready", "/v2/models/flight-delay/ready"):
        done = here.client.get(path)
        assert done.status_code == 503
        assert done.json()["error"] == "not ready: the warm-up prediction differs"
    assert here.client.get("/v2/health/live").status_code == 200


def test_a_model_says_what_it_takes_and_gives(served):
    told = served().client.get("/v2/models/flight-delay-features/versions/7").json()
    assert told["versions"] == ["7"]
    assert told["inputs"] == [{"name": "inputs", "datatype": "FP32", "shape": [-1, WIDTH]}]
    assert told["outputs"] == [{"name": "risk", "datatype": "FP32", "shape": [-1]}]


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/flight-delay/versions/8", "/v2/models/x/infer", "/nothing"],
)
def test_what_is_not_served_is_not_found(served, path):
    client = served().client
    done = client.post(path, json=rows()) if path.endswith("infer") else client.get(path)
    assert done.status_code == 404
    assert done.json()["error"]


def test_flights_may_come_as_tensors(served):
    here = served()
    done = here.client.post(FLIGHTS, json=tensors() | {"id": "42"})
    assert done.status_code == 200
    assert done.json() == {
        "model_name": "flight-delay",
        "model_version": "7",
        "id": "42",
        "outputs": [
            {"name": "risk", "datatype": "FP32", "shape": [1], "data": [pytest.approx(0.051)]}
        ],
    }
    (asked,) = here.store.asked
    assert (asked["carrier"], asked["sched_hour"]) == (["UA"], [8])


def test_an_aircraft_may_be_left_out_of_the_tensors(served):
    body = tensors()
    body["inputs"] = [one for one in body["inputs"] if one["name"] != "tailnum"]
    here = served()
    assert here.client.post(FLIGHTS, json=body).status_code == 200
    assert here.store.asked[0]["tailnum"] == [""]


def test_features_may_come_in_the_request_nested_or_flat_and_null_is_missing(served):
    session = Session()
    client = served(session).client
    flat = rows(1, 2)
    nested = rows(1, 2, data=[[1] * WIDTH, [2.0] * WIDTH])
    assert client.post(ROWS, json=flat).json()["outputs"][0]["data"] == [
        pytest.approx(1e-4),
        pytest.approx(2e-4),
    ]
    assert client.post(ROWS, json=nested).status_code == 200
    assert np.array_equal(session.seen[0], session.seen[1])
    assert client.post(ROWS, json=rows(None)).status_code == 200
    assert np.isnan(session.seen[2]).all()


def test_tensors_may_follow_as_bytes_and_be_answered_as_bytes(served):
    values = np.linspace(0, 1, 2 * WIDTH, dtype="<f4").reshape(2, WIDTH)
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [2, WIDTH]}
    tensor["parameters"] = {"binary_data_size": values.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    session = Session()
    done = served(session).client.post(
        ROWS, content=head + values.tobytes(), headers={HEADER: str(len(head))}
    )
    assert done.status_code == 200
    assert np.array_equal(session.seen[0], values)
    size = int(done.headers[HEADER])
    told = json.loads(done.content[:size])["outputs"][0]
    assert told["parameters"] == {"binary_data_size": 8}
    assert len(np.frombuffer(done.content[size:], "<f4")) == 2


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_an_infinite_number_in_bytes_is_refused_as_one_in_json_is(served, value):
    values = np.full((1, WIDTH), value, dtype="<f4")
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, WIDTH]}
    tensor["parameters"] = {"binary_data_size": values.nbytes}
    head = json.dumps({"inputs": [tensor]}).encode()
    done = served().client.post(
        ROWS, content=head + values.tobytes(), headers={HEADER: str(len(head))}
    )
    assert done.status_code == 400
    assert "infinite as FP32" in done.json()["error"]


def _binary(body):
    """The same request for flights with every tensor as bytes."""
    tail = b""
    for tensor in body["inputs"]:
        (value,) = tensor.pop("data")
        text = value.encode() if isinstance(value, str) else b""
        packed = struct.pack("<I", len(text)) + text if text else struct.pack("<q", value)
        tensor["parameters"] = {"binary_data_size": len(packed)}
        tail += packed
    head = json.dumps(body).encode()
    return head + tail, {HEADER: str(len(head)), "content-type": "application/octet-stream"}


def test_texts_and_whole_numbers_may_follow_as_bytes_too(served):
    here = served()
    content, headers = _binary(tensors())
    assert here.client.post(FLIGHTS, content=content, headers=headers).status_code == 200
    assert here.client.post("/predict", json=flights()).status_code == 200
    assert here.store.asked[0] == here.store.asked[1]


@pytest.mark.parametrize(("cut", "add"), [(1, b""), (0, b"x")])
def test_bytes_that_are_too_few_or_too_many_are_refused(served, cut, add):
    content, headers = _binary(tensors())
    content = content[: len(content) - cut] + add
    done = served().client.post(FLIGHTS, content=content, headers=headers)
    assert done.status_code == 400


ENDLESS = (
    '{"inputs": [{"name": "inputs", "datatype": "FP32", "shape": ['
    + "9" * 5_000
    + '], "data": [1]}]}'
)
WRONG = {
    "no JSON": ("/predict", "{", 400, "not JSON"),
    "not a number": ("/predict", '{"flights": NaN}', 400, "not JSON"),
    "not UTF-8": ("/predict", b'{"flights": "\xff"}', 400, "not JSON"),
    "nested": ("/predict", "[" * 5_000, 400, "not JSON"),
    "a list": ("/predict", [], 400, "the body: Input should be"),
    "nothing": ("/predict", {}, 400, "flights: Field required"),
    "no flights": ("/predict", {"flights": []}, 400, "at least 1"),
    "another field": ("/predict", flights({"late": 1}), 400, "flights.0.late: Extra inputs"),
    "another origin": ("/predict", flights({"origin": "BOS"}), 400, "flights.0.origin"),
    "a surrogate": ("/predict", '{"flights": [{"dest": "\\ud800"}]}', 400, ""),
    "too many rows": ("/predict", flights(*[{}] * 11), 413, "11 rows; 1 to 10"),
    "too large": ("/predict", "[" + " " * 70_000, 413, "at most 60000 are read"),
    "no inputs": (ROWS, {"inputs": []}, 400, "inputs: List should have at least 1"),
    "another tensor": (ROWS, rows(name="other"), 400, "got 'other'"),
    "another datatype": (ROWS, rows(datatype="FP64"), 400, "'FP64'"),
    "another width": (ROWS, rows(shape=[WIDTH, 1]), 400, f"wanted is [n, {WIDTH}]"),
    "another count": (ROWS, rows(shape=[2, WIDTH]), 400, f"its shape says {2 * WIDTH}"),
    "an enormous shape": (ROWS, rows(shape=[2**62, 2**62]), 400, "its shape says"),
    "an endless shape": (ROWS, ENDLESS, 400, ""),
    "texts": (ROWS, rows("1"), 400, "holds str, not FP32"),
    "truths": (ROWS, rows(True), 400, "holds bool, not FP32"),
    "ragged": (ROWS, rows(data=[[1] * (WIDTH - 1), [1], [[1]]]), 400, "holds list"),
    "infinite": (ROWS, rows(1e300), 400, "infinite as FP32"),
    "infinite below zero": (ROWS, rows(0.5, -1e39), 400, "infinite as FP32"),
    "no data": (ROWS, rows(data=None), 400, "needs data, or a binary_data_size"),
    "another output": (ROWS, rows() | {"outputs": [{"name": "x"}]}, 400, "no output 'x'"),
    "no rows": (ROWS, rows(shape=[0, WIDTH], data=[]), 400, "0 rows"),
    "a tensor less": (FLIGHTS, {"inputs": tensors()["inputs"][1:]}, 400, "missing: carrier"),
    "uneven": (FLIGHTS, tensors(dest={"shape": [2], "data": ["IAH"] * 2}), 400, "[1, 2] values"),
    "twice": (FLIGHTS, {"inputs": tensors()["inputs"] * 2}, 400, "one each of"),
    "a number as text": (FLIGHTS, tensors(flight={"data": ["1"]}), 400, "holds str, not INT64"),
    "no carrier": (FLIGHTS, tensors(carrier={"data": ["u"]}), 400, "0.carrier"),
}


@pytest.mark.long
@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_answered_is_refused_with_the_reason(served, wrong):
    path, body, code, reason = WRONG[wrong]
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    here = served(max_rows=10, max_body_bytes=60_000)
    done = here.client.post(path, content=content, headers=JSON)
    assert (done.status_code, list(done.json())) == (code, ["error"]), done.text
    assert reason in done.json()["error"]
    assert here.logged().empty


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json"])
@pytest.mark.parametrize("path", ["/predict", ROWS])
def test_another_content_type_is_refused(served, path, kind):
    done = served().client.post(path, content="{}", headers={"content-type": kind})
    assert done.status_code == 415
    assert "application/json" in done.json()["error"]


def test_a_body_whose_kind_is_not_named_is_taken_for_json(served):
    for told in ({}, {"content-type": ""}, {"content-type": " ; charset=utf-8"}):
        for path, body in (("/predict", flights()), (FLIGHTS, tensors()), (ROWS, rows())):
            content = json.dumps(body).encode()
            assert served().client.post(path, content=content, headers=told).status_code == 200


def test_a_body_that_does_not_say_its_size_is_read_no_further_than_allowed(served):
    stream = (b" " * 1_000 for _ in range(100))
    done = served(max_body_bytes=5_000).client.post("/predict", content=stream, headers=JSON)
    assert done.status_code == 413


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("POST", "/v2/health/live")])
def test_another_method_is_refused_with_those_that_are_allowed(served, method, path):
    done = served().client.request(method, path)
    assert done.status_code == 405
    assert done.headers["allow"]
    assert done.json()["error"]


@pytest.mark.parametrize("says", [float("nan"), 1.5])
@pytest.mark.parametrize(("path", "body"), [("/predict", flights()), (ROWS, rows())])
def test_a_model_that_gives_no_probability_is_the_servers_fault_and_counted(
    served, path, body, says
):
    here = served(Session(says))
    done = here.client.post(path, json=body)
    assert done.status_code == 500
    assert "version 7 gave no probability: 1 of 1" in done.json()["error"]
    assert here.metrics.value("serve_invalid_predictions_total") == 1
    assert here.logged().empty


def test_a_bug_is_told_without_its_words_and_counted(served):
    here = served()
    here.store.before = lambda: 1 / 0
    done = here.client.post("/predict", json=flights())
    assert done.status_code == 500
    assert "the server failed (ZeroDivisionError)" in done.json()["error"]
    assert done.headers["x-version"] == "7"
    assert here.metrics.value("serve_requests_total", route="/predict", code="500") == 1


def test_who_waits_too_long_is_told_so_and_the_next_is_served(served):
    here, go_on = served(timeout_ms=50), threading.Event()
    here.store.before = lambda: go_on.wait(PATIENCE)
    done = here.client.post("/predict", json=flights())
    assert done.status_code == 504
    assert done.json()["error"] == "no answer within 50 ms"
    go_on.set()
    until(lambda: here.client.post("/predict", json=flights()).status_code == 200)


def test_what_was_not_begun_when_its_time_was_over_is_taken_back(served):
    here, go_on = served(timeout_ms=100, max_waiting=2), threading.Event()
    here.store.before = lambda: go_on.wait(PATIENCE)
    codes = [here.client.post("/predict", json=flights()).status_code for _ in range(3)]
    assert codes == [504, 504, 504]
    assert here.metrics.value("serve_waiting") == 1
    go_on.set()


def test_who_comes_when_too_many_wait_is_sent_away_with_when_to_come_again(served):
    here, go_on = served(max_waiting=1), threading.Event()
    here.store.before = lambda: go_on.wait(PATIENCE)
    first = threading.Thread(target=here.client.post, args=["/predict"], kwargs={"json": flights()})
    first.start()
    until(lambda: here.metrics.value("serve_waiting") == 1)
    done = here.client.post("/predict", json=flights())
    assert (done.status_code, done.headers["retry-after"]) == (503, "1")
    assert "1 requests are inside, at most 1 may be" in done.json()["error"]
    assert here.client.post(ROWS, json=rows()).status_code == 503
    go_on.set()
    first.join()
    assert here.client.post("/predict", json=flights()).status_code == 200


def test_a_stranger_finds_the_gate_full_while_known_callers_still_come_in(served):
    here, go_on = served(edge_key=KEY), threading.Event()
    here.store.before = lambda: go_on.wait(PATIENCE)
    known, stranger = ({"x-arm": arm, "x-edge-key": KEY} for arm in ("champion", "stranger"))
    asked = {"json": flights(), "headers": known}
    waiting = [
        threading.Thread(target=here.client.post, args=["/predict"], kwargs=asked)
        for _ in range(STRANGERS + 1)
    ]
    for one in waiting[:-1]:
        one.start()
    until(lambda: here.metrics.value("serve_waiting") == STRANGERS)
    for path, body in (("/predict", flights()), (ROWS, rows())):
        assert here.client.post(path, json=body, headers=stranger).status_code == 503
    waiting[-1].start()
    until(lambda: here.metrics.value("serve_waiting") == STRANGERS + 1)
    go_on.set()
    for one in waiting:
        one.join()
    assert here.client.post("/predict", json=flights(), headers=stranger).status_code == 200


def test_metrics_are_told_by_route_and_not_by_address(served):
    here = served()
    here.client.post(ROWS, json=rows())
    here.client.get("/v2/models/whatever")
    here.client.get("/a/b/c")
    told = here.client.get("/metrics").text
    assert 'route="/v2/models/{name}/infer"} 1.0' in told
    assert 'serve_requests_total{code="404",route="/v2/models/{name}"} 1.0' in told
    assert 'serve_requests_total{code="404",route="none"} 1.0' in told
    assert "whatever" not in told


def test_the_documentation_is_complete_and_loads_nothing(served):
    here = served()
    spec = here.client.get("/openapi.json").json()
    assert "/predict" in spec["paths"]
    assert spec["components"]["schemas"]["Flight"]["properties"]["distance"]["maximum"] == 6_000
    told = here.client.get("/docs").text
    assert "POST /predict" in told
    assert "src=" not in told
    assert "http" not in told.replace("http-equiv", "")


@pytest.mark.parametrize("where", ["parameters", "outputs", "id"])
def test_null_is_nothing_to_clients_of_other_languages(served, where):
    done = served().client.post(ROWS, json=rows(0.5) | {where: None})
    assert done.status_code == 200
    of_a_tensor = served().client.post(ROWS, json=rows(0.5, parameters=None))
    assert of_a_tensor.json()["outputs"] == done.json()["outputs"]


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/flight-delay/ready", "/docs"]
)
def test_who_asks_for_the_head_gets_what_get_gives_without_the_body(served, path):
    client = served().client
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert client.head("/predict").status_code == 405


def test_a_server_that_is_not_ready_says_so_to_a_head_too(served):
    assert served(reason="another runtime").client.head("/v2/health/ready").status_code == 503


RAW = json.dumps(flights()).encode()


def deflated(content):
    """Without the frame that RFC 9110 asks for, as some clients send it."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(content) + stream.flush()


PACKED = {
    "gzip": gzip.compress,
    "GZIP, identity": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": deflated,
}


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_body_is_unpacked(served, packing):
    here, headers = served(), {**JSON, "content-encoding": packing}
    done = here.client.post("/predict", content=PACKED[packing](RAW), headers=headers)
    assert done.status_code == 200
    plain = here.client.post("/predict", content=RAW, headers=JSON)
    assert done.json()["predictions"] == plain.json()["predictions"]


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "gzip, deflate", "nothing"])
def test_another_packing_is_refused_with_those_that_there_are(served, packing):
    for path in ("/predict", FLIGHTS):
        headers = {**JSON, "content-encoding": packing}
        done = served().client.post(path, content=gzip.compress(RAW), headers=headers)
        assert done.status_code == 415
        assert done.headers["accept-encoding"] == "gzip, deflate, identity"
        assert packing in done.json()["error"]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_body_that_unpacks_to_more_than_is_read_is_refused_before_it_is_there(served, pack):
    bomb = pack(b" " * 50_000_000)
    assert len(bomb) < 60_000
    packing = "gzip" if pack is gzip.compress else "deflate"
    here = served()
    tracemalloc.start()
    done = here.client.post("/predict", content=bomb, headers={"content-encoding": packing})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.status_code == 413
    assert "unpacks to more than 1000000 bytes" in done.json()["error"]
    assert most < 10_000_000


BROKEN = [
    ("gzip", gzip.compress(RAW)[:-9]),
    ("gzip", gzip.compress(RAW) + b"x"),
    ("gzip", gzip.compress(RAW) * 2),
    ("gzip", RAW),
    ("gzip", zlib.compress(RAW)),
    ("deflate", gzip.compress(RAW)),
    ("deflate", zlib.compress(RAW)[:-5]),
    ("gzip", b""),
]


@pytest.mark.parametrize(("packing", "body"), BROKEN)
def test_a_body_that_is_not_packed_as_it_says_is_refused(served, packing, body):
    headers = {**JSON, "content-encoding": packing}
    done = served().client.post("/predict", content=body, headers=headers)
    assert done.status_code == 400
    assert packing in done.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/predict", '{"flights": [], "flights": [F]}', "flights"),
        ("/predict", '{"flights": [F], "flights"\n : [F]}', "flights"),
        ("/predict", '{"flights": [{"carrier": "UA", "carrier": "AA"}]}', "carrier"),
        ("/predict", '{"flights": [F, {"a": 1, "\\u0061": 2}]}', "a"),
        (ROWS, '{"inputs": [1, {"name": "x", "name": "inputs"}]}', "name"),
    ],
)
def test_a_key_that_stands_twice_is_refused(served, path, body, key):
    """Two readers of one body could take two flights for it."""
    body = body.replace("F", json.dumps(FLIGHT))
    done = served().client.post(path, content=body, headers=JSON)
    assert done.status_code == 400
    assert f"the key '{key}' stands 2 times in one object" in done.json()["error"]


def test_a_text_that_looks_like_a_key_is_a_text(served):
    odd = rows(0.5) | {"id": 'a": "b": c'}
    done = served().client.post(ROWS, json=odd)
    assert (done.status_code, done.json()["id"]) == (200, odd["id"])


def test_a_body_that_is_nested_too_deeply_is_refused(served):
    for depth in (400, 990, 5_000):
        body = '{"a\\": b": 1, "flights": ' + "[" * depth + "]" * depth + "}"
        done = served().client.post("/predict", content=body, headers=JSON)
        assert done.status_code == 400


def test_many_keys_are_read_in_a_time_that_grows_with_their_number(monkeypatch):
    """By counting comparisons: who asks for each key how often it stands, asks squared."""
    counted = 0

    class Key(str):
        __slots__ = ()

        def __eq__(self, other):
            nonlocal counted
            counted += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    for keys in (1_000, 2_000):
        counted = 0
        pairs = [(Key(f"k{number}"), 1) for number in [*range(keys), keys - 1]]
        with pytest.raises(RequestRefused, match=f"'k{keys - 1}' stands 2 times"):
            open_inference._unique_keys(pairs)
        assert counted < 10 * keys


def test_a_second_header_of_the_packing_counts_too(served):
    packed = [("content-type", "application/json")]
    packed += [("content-encoding", "gzip"), ("content-encoding", "br")]
    done = served().client.post("/predict", content=b"{}", headers=packed)
    assert done.status_code == 415
    plain = {**JSON, "content-encoding": "identity, identity"}
    done = served().client.post("/predict", content=json.dumps(flights()), headers=plain)
    assert done.status_code == 200
