"""The client of the peers: every answer is counted once, each as what it was."""

import http.server
import threading

import pytest

from benchmarks import closed_loop
from benchmarks.serving import request

ASK = request("/predict", {"inputs": [[1.0]]})


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers as it was told, and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        size = int(self.headers["content-length"])
        with self.server.lock:
            self.server.bodies.append(self.rfile.read(size))
            self.server.callers.add(self.client_address)
            code = self.server.codes.pop(0) if self.server.codes else 200
        if code < 0:  # hangs up instead of an answer
            self.close_connection = True
            return
        self.send_response(code)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as found:
        found.codes, found.bodies, found.callers = [], [], set()
        found.lock, found.daemon_threads = threading.Lock(), True
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("callers", [1, 8])
def test_every_caller_has_a_connection_of_its_own_and_keeps_it(server, callers):
    found = closed_loop.ask(server.server_port, [ASK], callers, 0.3)
    assert found.errors == 0
    assert 0 < len(found.answered) <= len(server.bodies)
    assert 0 < len(server.callers) <= callers  # on a busy machine one may come too late
    assert set(server.bodies) == {ASK.partition(b"\r\n\r\n")[2]}
    assert found.client_busy > 0


def test_what_is_not_answered_with_200_is_an_error(server):
    server.codes = [503, 500, 422]
    found = closed_loop.ask(server.server_port, [ASK], 1, 0.3)
    assert found.errors == 3
    assert len(server.callers) == 1


def test_a_connection_that_breaks_is_an_error_and_the_caller_comes_again(server):
    server.codes = [200, -1, -1]
    found = closed_loop.ask(server.server_port, [ASK], 1, 0.3)
    assert found.errors == 2
    assert len(server.callers) == 3
    assert found.answered


def test_one_answer_is_its_body(server):
    assert closed_loop.once(server.server_port, ASK) == b"{}"
    server.codes = [503]
    with pytest.raises(ConnectionError, match="answered with 503"):
        closed_loop.once(server.server_port, ASK)
