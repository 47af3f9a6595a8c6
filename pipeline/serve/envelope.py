"""What goes around every answer: who asked, which release answered, how long it took.

As ASGI itself, since what frameworks offer for this costs more than a prediction does.
"""

import os
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve.log import SHADOW
from pipeline.serve.metrics import Metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PERSONAL = re.compile(
    r"(\d{1,3}\.){3}\d{1,3}(:\d+)?"  # 203.0.113.7
    r"|(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+"  # 2001:db8::7
    r"|(?=(\D*\d){9})\d{2,4}([.-]\d{2,4}){2,4}"  # 212-555-0123
)
"""An address of the internet, or a number that calls somebody: no id, and not to be logged."""
_MIRRORED = "-shadow"
_ARM = re.compile(r"[a-z0-9-]{1,32}")


def new_id() -> str:
    """An id of a request: a UUID of version 7, which begins with the time (ms since 1970).

    So the log's unique index grows at its end. Ids of pure chance change a page of it each, and
    each of those pages is written: several times the work for a row.
    """
    chance = os.urandom(10).hex()
    return f"{time.time_ns() // 1_000_000:012x}7{chance[1:4]}8{chance[5:]}"


def refusal(code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that says why there is no answer."""
    content = orjson.dumps({"error": reason.encode(errors="replace").decode()})
    return Response(content, code, headers=headers, media_type="application/json")


def _is_id(told: str) -> bool:
    """Whether a caller's own id of a request may be logged: it names the request, nobody else."""
    return bool(_REQUEST_ID.fullmatch(told)) and not _PERSONAL.fullmatch(told)


class Envelope:
    """Around an app: reads who asks, adds what answered, counts what was asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics, about: Mapping[str, str], arm: str):
        """`about` goes with every response; `arm` is that of a request which names none."""
        self._app, self._metrics, self._arm = app, metrics, arm
        self._about = [(name.encode(), value.encode()) for name, value in about.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, code = time.perf_counter(), None
        if head := scope["method"] == "HEAD":  # as GET is answered, without the body
            scope = {**scope, "method": "GET"}
        headers = Headers(scope=scope)
        told = headers.get("x-request-id", "")
        request_id = told if _is_id(told) else new_id()
        added = [*self._about, (b"x-request-id", request_id.encode())]

        async def enveloped(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message.get("headers", []), *added]
            elif head:
                message["body"] = b""
            await send(message)

        state: dict[str, Any] = scope.setdefault("state", {})
        state |= {"id": request_id, "arm": self._arm_of(headers), "began": started}
        try:
            if reason := self._unfit(told, state["arm"]):
                await refusal(400, reason)(scope, receive, enveloped)
            else:
                await self._app(scope, receive, enveloped)
        except Exception as error:
            if code is None:
                reason = f"the server failed ({type(error).__name__}); its own output says how"
                await refusal(500, reason)(scope, receive, enveloped)
            raise
        finally:
            route = getattr(scope.get("route"), "path", "none")  # a bounded number of names
            self._metrics.request(route, code or 500, time.perf_counter() - started)

    def _arm_of(self, headers: Headers) -> str:
        """The arm that the proxy names; a copy, which it marks in the host, belongs to none."""
        host = headers.get("host", "").partition(":")[0]
        return SHADOW if host.endswith(_MIRRORED) else headers.get("x-arm", self._arm)

    def _unfit(self, request_id: str, arm: str) -> str:
        if request_id and not _is_id(request_id):
            return f"x-request-id is no id: at most 64 of {_REQUEST_ID.pattern[:15]}, no address"
        if not _ARM.fullmatch(arm):
            return f"x-arm is no arm: at most 32 of {_ARM.pattern[:9]}"
        return ""
