"""Responses in one step: the head and the body of a complete response are written at once.

Uvicorn takes a response in two steps, each through several coroutines, and searches every header
for characters that would end it. A response of the hot routes is complete, and its headers are
constants, lengths and checked ids, so that this costs a tenth of a small prediction for nothing.
"""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


def write_whole(
    cycle: RequestResponseCycle, code: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Write a complete response as uvicorn would, or return False if that has to wait or decide."""
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
