"""The middleware around every request: the caller's identity, release headers, duration.

Plain ASGI, since frameworks' middleware costs more than a prediction does.
"""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve.admission import Gate
from pipeline.serve.metrics import Metrics
from pipeline.shared.callers import REQUEST_ID, InvalidHeader, Trust, new_id

CLIENT_CLOSED, TOO_SLOW = 499, 408
"""Status codes without a response: the caller disconnected, or was cut off for slowness."""


def refusal(code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response with the reason of a refusal."""
    content = orjson.dumps({"error": reason.encode(errors="replace").decode()})
    return Response(content, code, headers=headers, media_type="application/json")


class Middleware:
    """Identifies the caller, adds the release's headers, and counts the request."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, about: Mapping[str, str], trust: Trust, gate: Gate
    ):
        """`about` is added to the headers of every response."""
        self._app, self._metrics, self._trust, self._gate = app, metrics, trust, gate
        self._about = [(name.encode(), value.encode()) for name, value in about.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        sent = _Response(send, self._about, head=scope["method"] == "HEAD")
        state: dict[str, Any] = scope.setdefault("state", {})
        state |= {"began": started, "inside": False}
        if sent.head:  # as GET is answered, without the body
            scope = {**scope, "method": "GET"}
        try:
            await self._answer(scope, receive, sent)
        except ClientDisconnect:
            sent.code = sent.code or CLIENT_CLOSED
        except Exception as error:
            if sent.code is None:
                reason = f"the server failed ({type(error).__name__}); its own output says how"
                await refusal(500, reason)(scope, receive, sent)
            raise
        finally:
            if state["inside"]:
                self._gate.leave()
            route = getattr(scope.get("route"), "path", "none")  # a bounded number of names
            self._metrics.request(route, _code(sent, state), time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, sent: "_Response") -> None:
        try:
            caller = self._trust.identify(Headers(scope=scope))
        except InvalidHeader as error:
            sent.add_header(REQUEST_ID, new_id())
            await refusal(400, str(error))(scope, receive, sent)
            return
        sent.add_header(REQUEST_ID, caller.request_id)
        scope["state"] |= {"id": caller.request_id, "arm": caller.arm}
        await self._app(scope, receive, sent)


class _Response:
    """The response on its way out: adds headers and remembers the status code."""

    def __init__(self, send: Send, about: list[tuple[bytes, bytes]], head: bool):
        self._send, self._added, self.head = send, list(about), head
        self.code: int | None = None

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the response."""
        self._added.append((name.encode(), value.encode()))

    async def __call__(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            message["headers"] = [*message.get("headers", []), *self._added]
        elif self.head:
            message["body"] = b""
        await self._send(message)


def _code(sent: _Response, state: Mapping[str, Any]) -> int:
    """The status to count: the one sent, unless the connection ended before it."""
    if getattr(state.get("cycle"), "disconnected", False):
        return TOO_SLOW if state.get("late") else CLIENT_CLOSED
    return sent.code or 500
