"""A connection: what uvicorn's own has no limit for, with httptools, which is its fastest parser.

A head that never ends, a body that never comes and a caller that never speaks each hold memory and
a descriptor. So a request has a timer, from its first byte to its last, and a head is counted.
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.shared.config import ServeConfig

_LINGER_SECONDS = 1.0
"""Closed with unread bytes a connection is reset, and its caller never reads the reason."""
_CLOSED = b"content-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection with limits; `of` gives those of a config."""

    limits: ClassVar[ServeConfig]
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_head, _is_cut = True, False

    @classmethod
    def of(cls, limits: ServeConfig) -> type["Connection"]:
        """The same with these limits, as uvicorn wants it: a class."""
        return type("LimitedConnection", (cls,), {"limits": limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many; its first request has to come."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._cut(b"503 Service Unavailable")
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer with the connection."""
        self._end_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as the head is not too long."""
        if self._is_cut:
            return
        if self._timer is None:  # a further request on this connection
            self._await_request()
        self._head_bytes += len(data) if self._is_head else 0
        super().data_received(data)
        if self._is_head and self._head_bytes > self.limits.max_header_bytes:
            self._cut(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Begin the answer, unless the head was too long, though it came at once."""
        self._is_head, self._head_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._is_cut or size > self.limits.max_header_bytes:
            self._cut(b"431 Request Header Fields Too Large")
            return
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.scope["state"]["cycle"] = self.cycle

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._is_cut:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: its timer ends."""
        self._is_head = True
        self._end_timer()
        if not self._is_cut:
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more came: let go of it, also of an answer that was never read."""
        if not self.transport.is_closing():
            self.transport.abort()

    def _await_request(self) -> None:
        self._timer = self.loop.call_later(self.limits.request_ms / 1000, self._too_slow)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        """The request is not whole in time: say so, if nothing was said yet."""
        self._timer = None
        if self._is_head and not self._head_bytes:
            self.transport.abort()  # it never began to speak
            return
        answering = not self._is_head and self.cycle is not None
        if answering and self.cycle.response_started:
            self.transport.abort()
            return
        if answering:
            self.cycle.scope["state"]["late"] = True
        self._cut(b"408 Request Timeout")

    def _cut(self, status: bytes) -> None:
        """Answer without an app, and hear no more."""
        if not self._is_cut and not self.transport.is_closing():
            self._is_cut = True
            self._end_timer()
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + _CLOSED)
            self.transport.write_eof()
            self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def limited(config: ServeConfig) -> dict[str, Any]:
    """What uvicorn is to be configured with for these limits."""
    return {
        "http": Connection.of(config),
        "timeout_keep_alive": config.idle_seconds,
        "proxy_headers": False,  # else a caller's own X-Forwarded-For is taken for its address
    }
