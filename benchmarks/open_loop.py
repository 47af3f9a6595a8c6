"""Callers that ask at a given rate, whether or not the answers come in time.

A caller that waits for its answer before it asks again hides a slow server: it asks less. Here each
request has an instant at which it is due, and its seconds count from there (no coordinated
omission). A request that no caller is free to send within GIVE_UP is given up: callers that are
refused wait, and what they put off would be asked in one heap later.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STALL = 1.0
"""Seconds without a turn of the callers' own loop: then all of the machine stood still."""
PATIENCE, GIVE_UP = 30.0, 0.25
UNSENT = -1.0
_BEAT = 0.1
COLUMNS = ("due", "seconds", "code", "version", "retry_after")


@dataclass(frozen=True)
class Plan:
    """Which requests, to which port, at which rate, from and until when (`time.monotonic`).

    A rate of 0 is no rate: each caller asks as soon as it is answered.
    """

    port: int
    requests: list[bytes]
    rate: float
    began: float
    until: float
    callers: int


@dataclass(frozen=True)
class Answers:
    """A row for each request, in `COLUMNS`, and the stalls, each with its begin and its end.

    A code of 0 is no answer, one of UNSENT no request; `due` is an instant of `time.monotonic`.
    """

    rows: np.ndarray
    stalls: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """One column."""
        return np.asarray(self.rows[:, COLUMNS.index(name)])

    def but_stalled(self) -> "Answers":
        """The same without the requests that met a stall."""
        due, end = self.column("due"), self.column("due") + self.column("seconds")
        met = np.zeros(len(due), dtype=bool)
        for began, ended in self.stalls:
            met |= (due <= ended) & (end >= began)
        return Answers(self.rows[~met], self.stalls)


class _Caller:
    """A connection that is opened anew once it is lost."""

    def __init__(self, port: int):
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, int, int]:
        """The code, the version that answered and Retry-After in seconds; zeros without one."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(request)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0, 0, 0

    async def _ask(self, request: bytes) -> tuple[int, int, int]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        await self._reader.readexactly(_number(head, b"content-length"))
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), _number(head, b"x-version"), _number(head, b"retry-after")

    def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _number(head: bytes, name: bytes) -> int:
    """The number in a header; 0 without it."""
    found = head.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()
    return int(found) if found.isdigit() else 0


async def _run(plan: Plan) -> Answers:
    rows: list[tuple[float, ...]] = []
    stalls: list[tuple[float, float]] = []
    numbers = itertools.count()

    async def caller() -> None:
        mine = _Caller(plan.port)
        for number in numbers:
            due = plan.began + number / plan.rate if plan.rate else time.monotonic()
            if due >= plan.until:
                break
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            elif -wait > GIVE_UP:
                rows.append((due, 0.0, UNSENT, 0, 0))
                continue
            answer = await mine.ask(plan.requests[number % len(plan.requests)])
            rows.append((due, time.monotonic() - due, *answer))
        mine.close()

    async def beat() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_BEAT)
            if (now := time.monotonic()) - last > STALL:
                stalls.append((last, now))
            last = now

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(caller() for _ in range(plan.callers)))
    beating.cancel()
    return Answers(np.array(rows).reshape(-1, len(COLUMNS)), np.array(stalls).reshape(-1, 2))


def ask(plan: Plan) -> Answers:
    """What a plan's callers are answered, in this process."""
    return asyncio.run(_run(plan))


def _keep(plan: Plan, path: str) -> None:
    found = ask(plan)
    np.savez(path, rows=found.rows, stalls=found.stalls)


@contextlib.contextmanager
def asking(plan: Plan, path: Path) -> Iterator[None]:
    """Callers in a process of their own, until the block or the plan ends; `read` has them then."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_keep, args=(plan, str(path)))
    process.start()
    try:
        yield
        process.join()
    finally:
        process.terminate()
        process.join()


def read(path: Path) -> Answers:
    """What `asking` kept."""
    with np.load(path) as found:
        return Answers(found["rows"], found["stalls"])
