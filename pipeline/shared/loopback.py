"""What a server on this machine answers; no proxy is asked, whatever the environment names."""

import http.client
from collections.abc import Mapping

HOST = "127.0.0.1"


def request(
    port: int,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 2.0,
) -> tuple[http.client.HTTPResponse, bytes]:
    """What is answered, and its body: to a GET, or with a `body` to a POST.

    Raises:
        OSError: nobody listens, or nothing is answered in time.
        HTTPException: what is answered is no HTTP.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def get(port: int, path: str, timeout: float = 2.0) -> str | None:
    """The body of a GET, or None where nothing answers, or not with 200."""
    try:
        answer, body = request(port, path, timeout=timeout)
    except (OSError, http.client.HTTPException):
        return None
    return body.decode() if answer.status == 200 else None
