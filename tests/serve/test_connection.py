"""Connections of a real server: what holds one, and how long it may."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable

import orjson
import pytest

from pipeline.serve.connection import JoinedWrites
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.patience import PATIENCE, until
from tests.serve.fakes import FLIGHT, Store
from tests.serve.live import BODY, HEAD, LAST, LIVE, heard, live

pytestmark = pytest.mark.answer("model-server")
CONFIG = load(ServeConfig)


@pytest.fixture
def serve():
    """Starts servers over a store; all are ended with the test."""
    with contextlib.ExitStack() as until_over:
        yield lambda store=None, **changes: until_over.enter_context(live(store, **changes))


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"POST /pre", HEAD, HEAD + b"a: b", HEAD + b"\r\n", HEAD + b"\r\n" + BODY[:9]],
    ids=["nothing", "a line", "a path", "half a head", "a header", "no body", "half a body"],
)
def test_a_request_that_does_not_end_is_cut_off(serve, begun):
    here = serve(request_ms=200)
    with here.open() as connection:
        connection.sendall(begun)
        told = heard(connection)
    assert told.startswith(b"HTTP/1.1 408 ") or not begun
    assert here.ask().startswith(b"HTTP/1.1 200 ")
    until(lambda: not here.connections)


def test_a_body_that_never_comes_is_counted_as_what_it_is(serve):
    here = serve(request_ms=200)
    with here.open() as connection:
        connection.sendall(HEAD + b"\r\n" + BODY[:9])
        heard(connection)
    until(lambda: here.counted(408) == 1)
    assert here.counted(500) == here.counted(499) == 0


def test_a_caller_that_sends_a_byte_now_and_then_gets_no_more_time(serve):
    here = serve(request_ms=300)
    with here.open() as connection:
        connection.sendall(HEAD + b"\r\n")
        connection.settimeout(0.02)
        told = b""
        for _ in range(50 * PATIENCE):
            try:
                connection.sendall(b" ")
                told += connection.recv(1_000)
            except TimeoutError:
                continue
            except OSError:
                break
            if b"408" in told:
                break
    assert b"HTTP/1.1 408 " in told


def test_an_answered_request_whose_body_never_ends_keeps_no_connection(serve):
    here = serve(request_ms=300)
    with here.open() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n{")
        assert heard(connection).startswith(b"HTTP/1.1 404 ")  # to its end


def test_a_connection_without_a_request_is_closed(serve):
    here = serve(idle_seconds=1)
    with here.open() as connection:
        connection.sendall(LIVE)
        assert heard(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunk", [100, 60_000], ids=["slowly", "at once"])
@pytest.mark.parametrize("kind", ["one header", "many headers", "a path"])
def test_a_head_that_is_too_long_is_refused_and_not_kept(
    serve, chunk, kind, record_property: Callable[[str, object], None]
):
    here, size = serve(), 50_000
    long = {
        "one header": HEAD + b"x: " + b"a" * size,
        "many headers": HEAD + b"x: aaaaaaa\r\n" * (size // 12),
        "a path": b"GET /" + b"a" * size,
    }[kind]
    sent, told = 0, b""
    with here.open() as connection:
        try:
            for at in range(0, size, chunk):
                connection.sendall(long[at : at + chunk])
                sent += chunk
            if chunk > size:
                connection.sendall(b"\r\n\r\n")
        except ConnectionError:
            pass
        told = heard(connection)
    assert told.startswith(b"HTTP/1.1 431 ") or told == b""
    assert here.ask().startswith(b"HTTP/1.1 200 ")
    record_property(f"bytes of a head that are read, {kind}", CONFIG.max_header_bytes)


def test_a_head_of_a_browsers_size_is_read(serve):
    here = serve()
    long = LAST[:-2] + b"x: " + b"a" * 8_000 + b"\r\n\r\n"
    assert here.ask(long).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_is_no_head(serve):
    here, flights = serve(), [FLIGHT] * 500
    body = orjson.dumps({"flights": flights})
    assert len(body) > 4 * CONFIG.max_header_bytes
    head = HEAD.replace(str(len(BODY)).encode(), str(len(body)).encode())
    assert here.ask(head + b"connection: close\r\n\r\n" + body).startswith(b"HTTP/1.1 200 ")
    assert here.log.written == 500


CHUNKED = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"


def test_what_follows_a_body_is_no_header(serve):
    here = serve()
    body = b"%x\r\n%s\r\n0\r\nx-request-id: trailer\r\n\r\n" % (len(BODY), BODY)
    told = here.ask(CHUNKED + b"connection: close\r\n\r\n" + body)
    assert told.startswith(b"HTTP/1.1 200 ")
    assert b"trailer" not in told
    ((name, *_),) = here.log.rows
    assert "trailer" not in name


def test_what_follows_a_body_without_an_end_is_not_kept(serve):
    here = serve(max_body_bytes=100_000)
    with here.open() as connection:
        connection.sendall(CHUNKED + b"\r\n0\r\nx: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                connection.sendall(b"a" * 10_000)
        heard(connection)
    until(lambda: not here.connections)
    assert here.ask().startswith(b"HTTP/1.1 200 ")


def test_more_connections_than_there_may_be_are_refused(serve):
    here = serve(max_connections=5)
    open_ones = [here.open() for _ in range(5)]
    until(lambda: here.connections == 5)
    with here.open() as one_more:
        assert heard(one_more).startswith(b"HTTP/1.1 503 ")
    open_ones[0].sendall(LIVE)
    assert open_ones[0].recv(20).startswith(b"HTTP/1.1 200 ")
    for one in open_ones:
        one.close()
    until(lambda: here.ask().startswith(b"HTTP/1.1 200 "))


def test_a_caller_that_hangs_up_is_counted_as_such_and_nothing_is_said(serve, caplog):
    here = serve()
    caplog.set_level(logging.DEBUG)
    for content in (
        HEAD + b"\r\n",
        HEAD + b"\r\n" + BODY[:9],
        HEAD + b"expect: 100-continue\r\n\r\n",
    ):
        before = here.counted(499)
        with here.open() as connection:
            connection.sendall(content)
            until(lambda: here.server.server_state.tasks)
        until(lambda before=before: here.counted(499) == before + 1)
    assert here.counted(500) == 0
    assert "Traceback" not in caplog.text
    assert "exception" not in caplog.text.lower()


@pytest.fixture
def full(serve):
    """A server whose store stands still with one request, which is as many as may be inside."""
    go_on, store = threading.Event(), Store()
    store.before = lambda: go_on.wait(PATIENCE)
    here = serve(store, max_waiting=1, request_ms=1_000)
    first = here.open()
    first.sendall(HEAD + b"\r\n" + BODY)
    until(lambda: here.metrics.value("serve_waiting") == 1)
    yield here
    go_on.set()
    assert first.recv(20).startswith(b"HTTP/1.1 200 ")
    first.close()
    with here.open() as again:
        again.sendall(HEAD + b"connection: close\r\n\r\n" + BODY)
        assert heard(again).startswith(b"HTTP/1.1 200 ")


def answer(connection):
    """One answer on a connection that stays: its head, and its body."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1)
    size = int(found.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return found, body


def test_past_its_capacity_a_request_is_sent_away_before_it_is_read(full):
    with full.open() as connection:
        for number in range(1, 4):  # on one connection, which is kept
            connection.sendall(HEAD + b"\r\n")
            connection.sendall(b"x" * len(BODY))  # nobody looks whether it is JSON
            head, body = answer(connection)
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n")
            assert orjson.loads(body)["error"].startswith("1 requests are inside, at most 1 may")
            assert full.counted(503, "none") == number
        connection.sendall(LIVE)
        assert answer(connection)[0].startswith(b"HTTP/1.1 200 ")


def test_features_in_the_request_wait_their_turn_too(full):
    path = "/v2/models/flight-delay-features/infer"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n".encode()
    with full.open() as connection:
        connection.sendall(head + b"{}")
        assert answer(connection)[0].startswith(b"HTTP/1.1 503 ")


def test_who_waits_to_be_asked_for_the_body_is_sent_away_without_it(serve):
    go_on, store = threading.Event(), Store()
    store.before = lambda: go_on.wait(PATIENCE)
    here = serve(store, max_waiting=1, request_ms=10_000 * PATIENCE)
    with here.open() as first, here.open() as second:
        first.sendall(HEAD + b"\r\n" + BODY)
        until(lambda: here.metrics.value("serve_waiting") == 1)
        second.sendall(HEAD + b"expect: 100-continue\r\n\r\n")
        told = heard(second)
        go_on.set()
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in told


def test_a_caller_that_never_reads_keeps_no_connection(serve):
    here = serve(request_ms=300)
    docs = b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n"
    assert len(here.ask(docs.replace(b"host: x", b"host: x\r\nconnection: close"))) > 10_000
    with here.open() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(docs * 1_500)  # all whole, and their answers are more than any buffer
        until(lambda: here.counted(200, "/docs") > 1)
        until(lambda: not here.connections)
    assert here.ask().startswith(b"HTTP/1.1 200 ")


class Written(asyncio.Transport):
    """A transport that remembers each write."""

    def __init__(self):
        self.writes, self.closed = [], False

    def write(self, data):
        self.writes.append(bytes(data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "writes"),
    [
        ([OK, b"body"], [OK + b"body"]),
        ([OK, bytearray(b"bo"), b"dy"], [OK + b"bo", b"dy"]),
        ([OK, b"body", OK, b"next"], [OK + b"body", OK + b"next"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], [b"HTTP/1.1 100 Continue\r\n\r\n"]),
        ([OK], [OK]),
        ([], []),
    ],
    ids=["a body", "a body in parts", "two responses", "a request for the body", "a head", "none"],
)
@pytest.mark.parametrize("end", ["flush", "close"])
def test_the_head_of_a_response_is_sent_with_its_body(parts, writes, end):
    transport = Written()
    joined = JoinedWrites(transport)
    for part in parts:
        joined.write(part)
    getattr(joined, end)()
    assert transport.writes == writes
    assert joined.is_closing() == transport.closed == (end == "close")


def test_a_response_without_a_body_is_sent_and_the_next_one_too(serve):
    told = serve().ask(LIVE.replace(b"GET", b"HEAD") * 2 + LAST)
    assert told.count(b"HTTP/1.1 200 ") == 3
    assert told.endswith(b'{"live":true}')
    assert told.count(b'{"live":true}') == 1


def test_who_asks_for_no_prediction_is_not_sent_away(full):
    with full.open() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer(connection)[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"connection: close\r\n\r\n" + BODY,
        (HEAD + b"\r\n" + BODY) * 3,
        HEAD + b"\r\n" + BODY[:5],
    ],
    ids=["the last one", "several at once", "half a body"],
)
def test_a_connection_on_which_more_would_follow_unread_is_closed_with_the_refusal(full, content):
    with full.open() as connection:
        connection.sendall(content)
        told = heard(connection)
    assert told.startswith(b"HTTP/1.1 503 ")
    assert told.count(b"HTTP/1.1") == 1
    assert b"connection: close" in told


def test_what_nobody_waits_for_any_more_is_not_computed(serve):
    go_on, store = threading.Event(), Store()
    store.before = lambda: go_on.wait(PATIENCE)
    here = serve(store)
    first, second = here.open(), here.open()
    first.sendall(HEAD + b"\r\n" + BODY)
    until(lambda: here.metrics.value("serve_waiting") == 1)
    second.sendall(HEAD + b"\r\n" + BODY)
    until(lambda: here.metrics.value("serve_waiting") == 2)
    second.close()
    until(lambda: here.connections == 1)
    go_on.set()
    assert first.recv(20).startswith(b"HTTP/1.1 200 ")
    first.close()
    until(lambda: here.counted(499) == 1)
    assert len(store.asked) == 1
    assert here.log.written == 1


def test_many_requests_in_one_packet_are_each_answered(serve):
    told = serve().ask(LIVE * 19 + LAST)
    assert told.count(b"HTTP/1.1 200 ") == 20


@pytest.mark.parametrize(
    "content",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
        HEAD + b"content-length: 3\r\n\r\nabc",
        HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + LIVE * 3,
        b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_makes_no_error_of_the_server_and_is_not_written_down(
    serve, content, caplog, capfd
):
    here = serve(request_ms=300, idle_seconds=1)
    with here.open() as connection:
        connection.sendall(content)
        told = heard(connection)
    assert b"HTTP/1.1 5" not in told
    assert here.ask().startswith(b"HTTP/1.1 200 ")
    assert caplog.text == ""
    assert capfd.readouterr().err == ""
