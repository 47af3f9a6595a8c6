"""HTTP requests to servers on this machine, never through a proxy of the environment."""

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
    """The response and its body, to a GET, or with a `body` to a POST.

    Raises:
        OSError: nothing listens, or there is no response in time.
        HTTPException: the response is not HTTP.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def get(port: int, path: str, timeout: float = 2.0) -> str | None:
    """The body of a GET; None without a response, or with another status than 200."""
    try:
        response, body = request(port, path, timeout=timeout)
    except (OSError, http.client.HTTPException):
        return None
    return body.decode() if response.status == 200 else None
