"""A server that answers over real connections; model and store give what a test says."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import uvicorn

from pipeline.serve.app import create_app
from pipeline.serve.connection import settings
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.serve.server import _allow_files, listener
from pipeline.shared.callers import Trust
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.patience import PATIENCE, until
from tests.serve.fakes import FLIGHT, Store, loaded

BODY = orjson.dumps({"flights": [FLIGHT]})
HEAD = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n".encode()
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = LIVE.replace(b"host: x", b"host: x\r\nconnection: close")
CALM = {
    "timeout_ms": 1_000 * PATIENCE,
    "queue_ms": 1_000 * PATIENCE,
    "refusal_ms": 0,
    "request_ms": 60_000,
}
"""Limits that no slow machine comes near to; a test changes the one that it is about."""


class Nowhere:
    """A log that keeps its answers in memory."""

    waiting = duplicates = dropped = failed = 0

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    @property
    def written(self) -> int:
        return len(self.rows)

    def add(self, answers: list[tuple[Any, ...]]) -> None:
        self.rows += answers


class Live:
    """A server that runs: where it listens, what it has counted and kept."""

    def __init__(self, store: Any = None, edge_key: str = "", **changes: Any):
        self.config = load(ServeConfig).model_copy(update=CALM | changes)
        self.log, self.metrics, self.store = Nowhere(), Metrics(), store or Store()
        predictor = Predictor(loaded(), self.store)
        trust, ready = Trust(edge_key), str
        self.app = create_app(
            predictor,
            self.log,
            self.config,
            self.metrics,
            ready,
            trust=trust,  # type: ignore[arg-type]
        )
        self.server = uvicorn.Server(settings(self.app, self.config))
        self.port = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.server.server_state.connections)

    def open(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, content: bytes = LAST) -> bytes:
        """What is answered to some bytes, to the end of the connection."""
        with self.open() as connection:
            connection.sendall(content)
            return heard(connection)

    def counted(self, code: int, route: str = "/predict") -> float:
        """How many requests of a route were counted under a code."""
        found = self.metrics.value("serve_requests_total", route=route, code=str(code))
        return float(found or 0)


@contextlib.contextmanager
def live(store: Any = None, **changes: Any) -> Iterator[Live]:
    """A server, until the block ends; `changes` are of its config."""
    here = Live(store, **changes)
    _allow_files(2 * here.config.max_connections + 128)  # of both ends
    with listener(0) as opened:
        here.port = opened.getsockname()[1]
        thread = threading.Thread(target=here.server.run, kwargs={"sockets": [opened]})
        thread.start()
        until(lambda: here.server.started)
        try:
            yield here
        finally:
            here.server.should_exit = True
            thread.join(PATIENCE)


def heard(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            found += part
    return found
