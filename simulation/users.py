"""The users of the simulated year: a few at a time, each with a persistent connection."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Self

import orjson
import xxhash

from pipeline.records.rollout_ledger import WHOLE
from pipeline.rollout.traffic.live_traffic import CLIENTS, Reply
from pipeline.rollout.traffic.routes import NAME_HEADER
from pipeline.shared.callers import CALLER_KEY
from pipeline.usecase.chosen import USECASE

BATCH, BATCH_SHARE = 4, 0.25
"""The size of a batch, and the share of groups that are sent as one request: a server that mixes up
the rows of a batch is right about every single request."""
_BATCH_SALT = "batch"


def batch_requests(names: list[str], bodies: list[bytes]) -> tuple[list[str], list[bytes]]:
    """The requests for simultaneous events: one each, or one for a few under the first's name."""
    asked: list[tuple[str, bytes]] = []
    key = USECASE.request.key
    for first in range(0, len(names), BATCH):
        few = slice(first, first + BATCH)
        bucket = xxhash.xxh64_intdigest(f"{_BATCH_SALT}/{names[first]}".encode()) % WHOLE
        if bucket < BATCH_SHARE * WHOLE:
            items = [one for body in bodies[few] for one in orjson.loads(body)[key]]
            asked.append((names[first], orjson.dumps({key: items})))
        else:
            asked += zip(names[few], bodies[few], strict=True)
    return [name for name, _ in asked], [body for _, body in asked]


class Users:
    """Users of the proxy, a few at a time, each with a persistent connection."""

    def __init__(self, port: int, key: str, clients: int = CLIENTS):
        """`port` is the proxy's for known callers, `key` their key; sends nothing yet."""
        self._port, self._key, self._held = port, key, local()
        self._pool, self._open = ThreadPoolExecutor(clients), set[http.client.HTTPConnection]()

    def __enter__(self) -> Self:
        """The users."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def ask(self, names: list[str], bodies: list[bytes]) -> list[Reply]:
        """Send requests, as many at a time as there are users; returns the replies in order."""
        return list(self._pool.map(self._one, names, bodies))

    def close(self) -> None:
        """Cancel waiting requests and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def _one(self, name: str, body: bytes) -> Reply:
        headers = {"content-type": "application/json", NAME_HEADER: name, CALLER_KEY: self._key}
        started, connection = time.perf_counter(), self._connection()
        try:
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it anew
            return Reply(0, time.perf_counter() - started, "", "")
        seconds, header = time.perf_counter() - started, answer.headers.get
        return Reply(answer.status, seconds, header("x-request-id", ""), header("x-version", ""))

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._held, "connection", None) is None:
            self._held.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            self._open.add(self._held.connection)
        connection: http.client.HTTPConnection = self._held.connection
        return connection
