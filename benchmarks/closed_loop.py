"""Callers that each ask again as soon as they are answered: many connections, one thread.

A thread for each caller, as benchmarks/serving.py has, spends more at a hundred callers on handing
the interpreter from one to the next than the fastest server spends on an answer. The client's own
processor time goes with every round: near 1, the client was the limit and not the server.
"""

import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

WARM = 0.1
"""Seconds at the beginning of a round that are left out: all callers ask at once then."""
PATIENCE = 30.0
"""Seconds without any answer after which a server hangs."""
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Round(NamedTuple):
    """The seconds of each request that was answered with 200, the others, and the client's load."""

    answered: list[float]
    errors: int
    client_busy: float


@dataclass
class _Caller:
    """A connection, what has come of its answer, and when it asked."""

    requests: list[bytes]
    place: int
    connection: socket.socket
    sent: float = 0.0
    came: bytearray = field(default_factory=bytearray)

    def ask(self) -> None:
        """Send the next request."""
        self.came.clear()
        self.sent = time.perf_counter()
        self.connection.sendall(self.requests[self.place % len(self.requests)])
        self.place += 1

    def code(self) -> int:
        """The status of the answer, 0 while it is not whole; -1 where the connection broke."""
        try:
            part = self.connection.recv(262_144)
        except ConnectionError:
            return -1
        self.came += part
        if (end := self.came.find(_END)) < 0:
            return 0 if part else -1
        head = bytes(self.came[:end]).lower()
        size = int(head.split(_LENGTH)[1].split(b"\r\n")[0]) if _LENGTH in head else -1
        if size < 0:
            return -1  # without a length nobody knows where it ends
        whole = len(self.came) >= end + len(_END) + size
        return int(head[9:12]) if whole else 0 if part else -1


def connect(port: int) -> socket.socket:
    """A connection to a server of this machine."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(port: int, requests: list[bytes], callers: int, seconds: float) -> Round:
    """A round of so many callers, each on a connection of its own that stays open.

    Raises:
        TimeoutError: no caller was answered for PATIENCE seconds.
    """
    with selectors.DefaultSelector() as ready:
        try:
            for number in range(callers):
                caller = _Caller(requests, number * 37, connect(port))
                ready.register(caller.connection, selectors.EVENT_READ, caller)
            return _ask(ready, port, seconds)
        finally:
            for key in list(ready.get_map().values()):
                key.data.connection.close()


def _ask(ready: selectors.BaseSelector, port: int, seconds: float) -> Round:
    callers = [key.data for key in ready.get_map().values()]
    began, spent = time.perf_counter() + WARM, time.thread_time()
    answered: list[float] = []
    errors = 0
    for caller in callers:
        caller.ask()
    while (now := time.perf_counter()) < began + seconds:
        if not (events := ready.select(PATIENCE)):
            raise TimeoutError(f"127.0.0.1:{port} gave no answer for {PATIENCE:g} s")
        for key, _ in events:
            caller = key.data
            if not (code := caller.code()):
                continue
            now = time.perf_counter()
            if code == 200 and now >= began:
                answered.append(now - caller.sent)
            errors += code != 200
            if code < 0:
                _again(ready, caller, port)
            caller.ask()
    return Round(answered, errors, (time.thread_time() - spent) / (WARM + seconds))


def _again(ready: selectors.BaseSelector, caller: _Caller, port: int) -> None:
    """Open a connection for a caller that lost its own."""
    ready.unregister(caller.connection)
    caller.connection.close()
    caller.connection = connect(port)
    ready.register(caller.connection, selectors.EVENT_READ, caller)


def once(port: int, request: bytes) -> bytes:
    """The body of one answer.

    Raises:
        ConnectionError: the server is not there yet, or answers with anything but 200.
    """
    caller: Any = _Caller([request], 0, connect(port))
    with caller.connection:
        caller.ask()
        while not (code := caller.code()):
            pass
        if code != 200:
            raise ConnectionError(f"127.0.0.1:{port} answered with {code}: {caller.came[:300]!r}")
        return bytes(caller.came[caller.came.find(_END) + len(_END) :])
