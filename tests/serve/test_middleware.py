"""The two doors of a prediction: the middleware's hot routes, and FastAPI's own, answer alike."""

import gzip
import re

import orjson
import pytest

from tests.patience import until
from tests.serve.live import BODY, HEAD, Live, live
from tests.serve.test_app import FLIGHTS, KEY, ROWS, WRONG, _binary, flights, rows, tensors

pytestmark = pytest.mark.answer("model-server")

VERSIONED = ROWS.replace("/infer", "/versions/7/infer")
PROXIED = {"x-edge-key": KEY, "x-arm": "champion", "x-request-id": "a-1"}
RAW = orjson.dumps(flights())
GOOD = {
    "flights": ("/predict", flights({}, {"origin": "JFK"}), {}),
    "flights as tensors": (FLIGHTS, tensors() | {"id": "42"}, {}),
    "rows": (ROWS, rows(0.5, None), {}),
    "rows of a version": (VERSIONED, rows(0.5), {}),
    "through the proxy": ("/predict", flights(), PROXIED),
    "rows through the proxy": (ROWS, rows(0.5), PROXIED),
    "a stranger": ("/predict", flights(), {**PROXIED, "x-arm": "stranger"}),
    "a mirrored copy": ("/predict", flights(), {**PROXIED, "x-arm": "shadow"}),
    "a caller's own id": (ROWS, rows(0.5), {"x-request-id": "mine"}),
    "tensors in bytes": (FLIGHTS, *_binary(tensors())),
    "packed": ("/predict", gzip.compress(RAW), {"content-encoding": "gzip"}),
    "a body that waits to be asked for": (ROWS, rows(0.5), {"expect": "100-continue"}),
    "a query": ("/predict?a=b", flights(), {}),
    "an escaped path": ("/pr%65dict", flights(), {}),
    "a path that only FastAPI takes": ("/predict%0a", flights(), {}),
}
BAD = {
    **{name: (path, body, {}) for name, (path, body, *_) in WRONG.items()},
    "another content type": ("/predict", RAW, {"content-type": "text/plain"}),
    "another packing": (ROWS, RAW, {"content-encoding": "br"}),
    "not packed": (ROWS, RAW, {"content-encoding": "gzip"}),
    "an id that is an address": ("/predict", flights(), {"x-request-id": "203.0.113.7"}),
    "no arm": (ROWS, rows(0.5), {"x-edge-key": KEY}),
    "another version": (ROWS.replace("/infer", "/versions/8/infer"), rows(0.5), {}),
    "another model": (ROWS.replace("features", "x"), rows(0.5), {}),
    "a slash too many": ("/predict/", flights(), {}),
    "a header's length": (ROWS, rows(0.5), {"inference-header-content-length": "x"}),
}
CASES = GOOD | BAD


@pytest.fixture(scope="module")
def doors():
    """Two servers; the second has no hot route, so FastAPI answers everything."""
    limits = {"max_rows": 10, "max_body_bytes": 60_000, "edge_key": KEY}
    with live(**limits) as hot, live(**limits) as cold:
        assert {"/predict", FLIGHTS, ROWS, VERSIONED} <= set(cold.app.hot)
        cold.app.hot = {}
        yield hot, cold


def _request(path: str, body: object, headers: dict[str, str]) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    content = content if isinstance(content, bytes) else orjson.dumps(content)
    lines = {"host": "x", "connection": "close", "content-length": str(len(content))}
    lines |= {"content-type": "application/json"} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def _masked(text: bytes) -> bytes:
    """A response without its second, and without what a server draws at random for ids."""
    for pattern in (rb"[0-9a-f]{12}7[0-9a-f]{19}", rb"(?<=\.)[0-9a-f]{12}\b", rb"(?<=date: ).+"):
        text = re.sub(pattern, b"masked", text)
    return text


def _logged(server: Live) -> list[tuple[object, ...]]:
    """The rows, and the number of a stranger's; without ids, and without times, which differ."""
    strangers = server.metrics.value("serve_log_strangers")
    return [(_masked(str(i).encode()), *row[:-2]) for i, *row in server.log.rows] + [(strangers,)]


def _counted(server: Live) -> list[str]:
    """The metrics' lines but for durations."""
    told = server.metrics.text().decode().split("\n")
    return [line for line in told if not line.startswith(("serve_seconds_", "# "))]


@pytest.mark.parametrize("case", CASES)
def test_both_doors_give_the_same_answer_metrics_and_log(doors, case):
    content = _request(*CASES[case])
    hot, cold = (_masked(server.ask(content)) for server in doors)
    assert hot == cold
    assert (b"HTTP/1.1 200 " in hot) == (case in GOOD)
    assert _logged(doors[0]) == _logged(doors[1])
    until(lambda: _counted(doors[0]) == _counted(doors[1]))


def test_both_doors_answer_alike_on_a_connection_that_is_kept(doors):
    kept = {"connection": "keep-alive"}
    asked = [(ROWS, rows(0.5), kept), ("/predict", b"{", kept), (FLIGHTS, tensors(), {})]
    content = b"".join(_request(*one) for one in asked)
    hot, cold = (_masked(server.ask(content)) for server in doors)
    assert hot == cold
    assert re.findall(rb"HTTP/1.1 (\d+) ", hot) == [b"200", b"400", b"200"]
    assert hot.count(b"connection: close") == 1


def test_both_doors_tell_of_a_bug_alike_and_count_it(doors, capfd):
    for server in doors:
        server.store.before = lambda: 1 / 0
    try:
        hot, cold = (_masked(server.ask(_request("/predict", flights(), {}))) for server in doors)
    finally:
        for server in doors:
            server.store.before = lambda: None
    assert hot == cold
    assert b"500" in hot
    assert b"the server failed (ZeroDivisionError)" in hot
    for server in doors:
        until(lambda server=server: server.counted(500) == 1)
    capfd.readouterr()


def test_a_caller_that_hangs_up_is_counted_as_such_at_either_door(doors):
    for server in doors:
        before = server.counted(499)
        with server.open() as connection:
            connection.sendall(HEAD + b"\r\n" + BODY[:9])
            until(lambda server=server: server.server.server_state.tasks)
        until(lambda server=server, before=before: server.counted(499) == before + 1)
        assert server.counted(500) <= 1
