"""HTTP connections with the limits that uvicorn lacks, on httptools, its fastest parser.

A head that never ends, a body that never arrives and a silent caller each hold memory and a file
descriptor (slow-loris attacks). So a timer runs over each request, from its first byte to its last,
and the bytes of its head are limited.
"""

import asyncio
import random
import time
from itertools import chain
from typing import ClassVar

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.serve.admission import AdmissionLimit
from pipeline.serve.metrics import Metrics
from pipeline.serve.middleware import Middleware
from pipeline.shared.config.serve import ServeConfig

DRAIN_SECONDS = 10
"""How long running requests may take to end at shutdown."""
_LINGER_SECONDS = 1.0
"""Time to read on before closing: unread bytes reset a connection, and its reason is lost."""
_AGAIN_SECONDS = 0.05
_MAX_BODIES = 4
"""The longest request, in bodies of the largest size: each chunk has a frame of its own."""
_FULL = b"503 Service Unavailable\r\nretry-after: 1"
_CLOSED = b"content-length: 0\r\nconnection: close\r\n\r\n"


class JoinedWrites(asyncio.Transport):
    """A transport that sends the head of a response together with its body.

    Uvicorn writes them one after the other, and each write is a packet that wakes the caller.
    """

    def __init__(self, transport: asyncio.Transport):
        """The head that waits for its body is sent with it, or when the response ends without."""
        self._transport, self._head = transport, b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write a part of a response, or keep it if it is a head."""
        content = bytes(data)
        if not self._head and content[:9] == b"HTTP/1.1 " and content[9:12] != b"100":
            self._head = content
            return
        self._head, joined = b"", self._head + content
        self._transport.write(joined)

    def flush(self) -> None:
        """Write the head of a response without a body."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Close the connection after what was written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """A connection with limits, and admission control before the app; `of` binds it to a server."""

    limits: ClassVar[ServeConfig]
    gate: ClassVar[AdmissionLimit]
    metrics: ClassVar[Metrics]
    _joined: JoinedWrites
    _timer: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None
    _idle_since: float | None = None
    _head_bytes = _bytes = _unread = 0
    _is_head, _is_cut, _is_refused, _is_last, _is_whole = True, False, False, False, False

    @classmethod
    def of(cls, limits: ServeConfig, gate: AdmissionLimit, metrics: Metrics) -> type["Connection"]:
        """The class of one server's connections, since uvicorn takes a class."""
        attributes = {"limits": limits, "gate": gate, "metrics": metrics}
        return type("LimitedConnection", (cls,), attributes)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection unless there are too many, and start its first request's timer."""
        super().connection_made(transport)
        self._joined = JoinedWrites(transport)
        if len(self.connections) > self.limits.max_connections:
            self._cut(b"503 Service Unavailable")
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers with the connection."""
        self._end_timer()
        self._end_reader()
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read while neither head nor request is too long."""
        if self._is_cut:
            self._unread += len(data)
            if self._unread > self.limits.max_body_bytes:
                self.transport.abort()
            return
        self._head_bytes += len(data) if self._is_head else 0
        self._bytes += len(data)
        self._is_whole = False
        super().data_received(data)
        if self._timer is None and not self._is_whole:  # most requests arrive in one piece
            self._await_request()
        if self._is_head and self._head_bytes > self.limits.max_header_bytes:
            self._cut(b"431 Request Header Fields Too Large")
        elif self._bytes > _MAX_BODIES * self.limits.max_body_bytes and not self._is_answered:
            self.transport.abort()

    @property
    def _is_answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers after a body are dropped."""
        if self._is_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the response, unless the head is too long or admission control refuses."""
        self._is_head, self._head_bytes = False, 0
        size = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
        size += len(b": \r\n") * len(self.headers)
        if self._is_refused:  # a second request, before the first has its answer
            self._is_last = True
            return
        if self._is_cut or size > self.limits.max_header_bytes:
            self._cut(b"431 Request Header Fields Too Large")
            return
        before = self.cycle
        is_next = before is None or self._is_answered
        if is_next and self.gate.refuses(self.parser.get_method()):
            self._refuse()
            return
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = self._joined
            self.scope["state"] |= {"cycle": self.cycle, "began": time.perf_counter()}

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._is_cut and not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the timer of a complete request."""
        self._is_head, self._is_whole, self._bytes = True, True, 0
        self._end_timer()
        if not self._is_cut and not self._is_refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """After the response, close a closing connection even if its caller does not read."""
        self._joined.flush()
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:  # the same, without a new timer
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._await_next()
        if self.transport.is_closing():
            self._await_reader()

    def pause_writing(self) -> None:
        """Limit the time in which a caller that does not read may hold the connection."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Stop that timer once the caller reads."""
        self._end_reader()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is idle for too long, even with a response that was never read.

        One timer lasts for many requests: another for each costs more than reading its head.
        """
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left = self._idle_since + self.limits.idle_seconds - self.loop.time()
        if left > 0:
            self._await_next(self._idle_since, left)
        else:
            self.transport.abort()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _await_next(self, since: float | None = None, wait: float | None = None) -> None:
        self._idle_since = self.loop.time() if since is None else since
        if self.timeout_keep_alive_task is None:
            wait = self.limits.idle_seconds if wait is None else wait
            handler = self.timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(wait, handler)

    def _await_request(self) -> None:
        self._timer = self.loop.call_later(self.limits.request_ms / 1000, self._too_slow)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_reader(self) -> None:
        self._end_reader()
        wait = self.limits.request_ms / 1000
        self._reader = self.loop.call_later(wait, self.transport.abort)

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _too_slow(self) -> None:
        """Answer 408 to an incomplete request, unless its response has started."""
        self._timer = None
        if self._is_head and not self._head_bytes:
            self.transport.abort()  # no byte ever arrived
            return
        if self._is_refused:
            self._cut(_FULL)
            return
        answering = not self._is_head and self.cycle is not None
        if answering and self.cycle.response_started:
            self.transport.abort()
            return
        if answering:
            self.cycle.scope["state"]["late"] = True
        self._cut(b"408 Request Timeout")

    def _refuse(self) -> None:
        """Answer 503 without the app, after a random delay.

        Immediate retries would take time from other requests; simultaneous retries would find the
        server full again, and leave it idle afterwards (thundering herd).
        """
        self._is_refused, self._is_last = True, not self.parser.should_keep_alive()
        wait = random.uniform(0, self.limits.refusal_ms / 1000)
        self.metrics.request("none", 503, wait)
        self.loop.call_later(wait, self._say_refused)

    def _say_refused(self) -> None:
        if self._is_cut or self.transport.is_closing():
            return
        if self.expect_100_continue:  # the body is only sent on request
            self._is_last = True
        elif not self._is_head:  # the body is still arriving: the timer limits this
            self.loop.call_later(_AGAIN_SECONDS, self._say_refused)
            return
        self._is_refused = False
        if self._is_last:
            self._cut(_FULL)
            return
        body = orjson.dumps({"error": self.gate.reason})
        head = b"HTTP/1.1 " + _FULL + b"\r\ncontent-type: application/json\r\n"
        self.transport.write(head + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        self._await_next()

    def _cut(self, status: bytes) -> None:
        """Answer without the app, and read no more requests."""
        if not self._is_cut and not self.transport.is_closing():
            self._is_cut = True
            self._end_timer()
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + _CLOSED)
            self.transport.write_eof()
            self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def settings(app: Middleware, config: ServeConfig) -> uvicorn.Config:
    """Uvicorn's settings: these limits, and no log line for each bad request."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection.of(config, app.gate, app.metrics),
        ws="none",
        access_log=False,
        log_level="error",  # a warning for each bad request would let callers fill the disk
        server_header=False,
        proxy_headers=False,  # else a caller's own X-Forwarded-For is taken for its address
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=config.idle_seconds,
    )
