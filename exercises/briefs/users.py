"""Users who each ask again as soon as they are answered, on connections that stay open."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.shared import loopback

PATIENCE_SECONDS = 10.0
"""After so long without an answer a user counts an error and connects again."""


@dataclass
class Load:
    """What users saw: seconds of each answer, errors in words, and answers' bodies."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bodies: list[list[bytes]] = field(default_factory=list)
    """By user, in the order of their answers."""

    def percentile(self, share: float) -> float:
        """The seconds within which this share of requests was answered; infinite without any."""
        ordered = sorted(self.seconds)
        place = min(int(share * len(ordered)), len(ordered) - 1)
        return ordered[place] if ordered else float("inf")


def request(body: Any, path: str = "/predict") -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


async def ask(port: int, requests: list[bytes], users: int, goes_on: Callable[[], bool]) -> Load:
    """Let so many users ask while it goes on; everything that is not a 200 is an error."""
    found = Load(bodies=[[] for _ in range(users)])
    await asyncio.gather(*(_user(n, port, requests, goes_on, found) for n in range(users)))
    return found


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds are not over yet, from now on."""
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() < until


async def _user(
    number: int, port: int, requests: list[bytes], goes_on: Callable[[], bool], found: Load
) -> None:
    sent = number  # users begin at different requests
    while goes_on():
        writer = None
        try:
            reader, writer = await asyncio.open_connection(loopback.HOST, port)
            while goes_on():
                began = time.perf_counter()
                writer.write(requests[sent % len(requests)])
                sent += 1
                status, body = await asyncio.wait_for(_answer(reader), PATIENCE_SECONDS)
                found.seconds.append(time.perf_counter() - began)
                if status != 200:
                    found.errors.append(f"status {status}")
                else:
                    found.bodies[number].append(body)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            found.errors.append(type(error).__name__)
            await asyncio.sleep(0.05)
        finally:
            if writer is not None:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(size)
