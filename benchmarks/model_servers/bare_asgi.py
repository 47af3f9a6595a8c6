"""The floor: uvicorn and ONNX Runtime without routes, checks, a log or metrics between them."""

from typing import Any

import orjson
import uvicorn
from risk_model import load, port

predict = load()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Any request's body as rows of features, and their risks."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = orjson.dumps({"risk": predict(orjson.loads(body)["inputs"])})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def main() -> None:
    """Serve until a signal."""
    uvicorn.run(answer, host="127.0.0.1", port=port(), access_log=False, log_level="warning")
