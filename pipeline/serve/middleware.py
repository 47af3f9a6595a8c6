"""The middleware around every request: the caller's identity, release headers, duration.

Plain ASGI, since frameworks' middleware costs more than a prediction does. For the same reason it
answers the hot routes itself: what FastAPI does on the way to a route is not needed there.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from pipeline.serve.admission import AdmissionLimit
from pipeline.serve.metrics import Metrics
from pipeline.serve.open_inference import RequestRefused
from pipeline.shared.callers import REQUEST_ID, InvalidHeader, Trust, new_id

CLIENT_CLOSED, TOO_SLOW = 499, 408
"""Status codes without a response: the caller disconnected, or was cut off for slowness."""
Respond = Callable[[Request], Awaitable[Response]]


class HotRoute(NamedTuple):
    """A route that is answered before FastAPI: its name, its parameters and its function."""

    path: str
    params: Mapping[str, str]
    respond: Respond


def refusal_response(code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response with the reason of a refusal."""
    content = orjson.dumps({"error": reason.encode(errors="replace").decode()})
    return Response(content, code, headers=headers, media_type="application/json")


def failure(error: Exception) -> Response:
    """The response to a request that met a bug: its kind, without its words."""
    return refusal_response(
        500, f"the server failed ({type(error).__name__}); its own output says how"
    )


class Middleware:
    """Identifies the caller, adds the release's headers, and counts the request."""

    def __init__(
        self,
        app: ASGIApp,
        hot: Mapping[str, HotRoute],
        metrics: Metrics,
        about: Mapping[str, str],
        trust: Trust,
        gate: AdmissionLimit,
    ):
        """POSTs to a path in `hot` pass `app` by; `about` is in the headers of every response."""
        self.app, self.hot, self.metrics, self.gate = app, hot, metrics, gate
        self._trust = trust
        self._about = [(name.encode(), value.encode()) for name, value in about.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = _Response(send, self._about, head=scope["method"] == "HEAD")
        state: dict[str, Any] = scope.setdefault("state", {})
        started = state.setdefault("began", time.perf_counter())  # a connection knows it earlier
        state["inside"] = False
        if sent.head:  # as GET is answered, without the body
            scope = {**scope, "method": "GET"}
        try:
            await self._answer(scope, receive, sent)
        except ClientDisconnect:
            sent.code = sent.code or CLIENT_CLOSED
        except Exception as error:
            if sent.code is None:
                await failure(error)(scope, receive, sent)
            raise
        finally:
            if state["inside"]:
                self.gate.leave()
            route = getattr(scope.get("route"), "path", "none")  # a bounded number of names
            self.metrics.request(route, _code(sent, state), time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, sent: "_Response") -> None:
        state = scope["state"]
        state["headers"] = headers = _first_values(scope["headers"])
        try:
            caller = self._trust.identify(headers)
        except InvalidHeader as error:
            sent.add_header(REQUEST_ID, new_id())
            await refusal_response(400, str(error))(scope, receive, sent)
            return
        sent.add_header(REQUEST_ID, caller.request_id)
        state["id"], state["arm"] = caller
        hot = self.hot.get(scope["path"]) if scope["method"] == "POST" else None
        if hot is None:
            await self.app(scope, receive, sent)
        else:
            await _respond(hot, scope, receive, sent)


async def _respond(hot: HotRoute, scope: Scope, receive: Receive, sent: "_Response") -> None:
    """Answer a hot route, as FastAPI would."""
    scope["route"], scope["path_params"] = hot, hot.params
    try:
        response = await hot.respond(Request(scope, receive))
    except RequestRefused as error:
        response = refusal_response(error.code, error.reason, error.headers)
    if not sent.write_whole(response, scope["state"].get("cycle")):
        await response(scope, receive, sent)


def _first_values(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name, decoded once; of a repeated one the first, as Starlette reads it."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}


class _Response:
    """The response on its way out: adds headers and remembers the status code."""

    def __init__(self, send: Send, about: list[tuple[bytes, bytes]], head: bool):
        self._send, self._added, self.head = send, list(about), head
        self.code: int | None = None

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the response."""
        self._added.append((name.encode(), value.encode()))

    def write_whole(self, response: Response, cycle: RequestResponseCycle | None) -> bool:
        """Write a complete response in one step, if there is a connection that can."""
        self.code, headers = response.status_code, [*response.raw_headers, *self._added]
        return cycle is not None and write_whole(cycle, self.code, headers, bytes(response.body))

    async def __call__(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            message["headers"] = [*message.get("headers", []), *self._added]
        elif self.head:
            message["body"] = b""
        await self._send(message)


def write_whole(
    cycle: RequestResponseCycle, code: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Write head and body at once as uvicorn would, or return False if that has to wait or decide.

    Uvicorn takes a response in two steps, each through several coroutines, and searches every
    header for characters that would end it. A response of the hot routes is complete, and its
    headers are constants, lengths and checked ids, so that this costs a tenth of a small prediction
    for nothing.
    """
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
        return False
    content = [STATUS_LINE[code]]
    for name, value in (*cycle.default_headers, *headers):
        content += (name, b": ", value, b"\r\n")
    content += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
    cycle.response_started, cycle.waiting_for_100_continue = True, False
    cycle.transport.write(b"".join(content))
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _code(sent: _Response, state: Mapping[str, Any]) -> int:
    """The status to count: the one sent, unless the connection ended before it."""
    if getattr(state.get("cycle"), "disconnected", False):
        return TOO_SLOW if state.get("late") else CLIENT_CLOSED
    return sent.code or 500
