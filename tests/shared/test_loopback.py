"""What a server on this machine says is read from it, whatever proxy the environment names."""

import http.server
import threading

import pytest

from pipeline.shared import loopback

PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["content-length"])))

    def log_message(self, *_):
        """Nothing is said."""


@pytest.fixture
def port(monkeypatch):
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with http.server.ThreadingHTTPServer((loopback.HOST, 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_no_proxy_is_asked(port):
    assert loopback.get(port, "/ready") == "/ready"
    answer, body = loopback.request(port, "/", b"told", {"x-a": "b"})
    assert (answer.status, body) == (200, b"told")


def test_another_answer_than_200_and_none_at_all_are_none(port):
    assert loopback.get(port, "/busy") is None
    assert loopback.get(9, "/ready") is None
