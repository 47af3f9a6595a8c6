"""Between a request and its answer: limits, the store's one thread, the log and the metrics.

The event loop does what takes microseconds. The online store is read by one thread, which owns its
connection: requests wait for it in turn, only so many and only so long.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request

from pipeline.serve.log import Log, packed
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Answers, InvalidRisk, Predicts
from pipeline.serve.protocol import Refused
from pipeline.serve.request import Flight, flight_id, requests
from pipeline.shared.config import ServeConfig


class Desk:
    """Takes what was asked to the predictor, and what was answered to the log and the metrics."""

    def __init__(self, predictor: Predicts, log: Log, config: ServeConfig, metrics: Metrics):
        """One thread reads the store; it begins with the first request."""
        self._predictor, self._log = predictor, log
        self._config, self._metrics = config, metrics
        self._worker = _thread()
        self._lock, self.waiting = threading.Lock(), 0
        self.version, self.release = predictor.loaded.number, predictor.loaded.release
        self.trained_until = predictor.loaded.trained_until
        self.horizon_minutes = predictor.loaded.features.horizon_minutes

    async def body(self, request: Request, *kinds: str) -> bytes:
        """The body of a request, if it is of one of these kinds and not too large."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in kinds:
            raise Refused(415, f"the content type is {kind!r:.60}, wanted is {' or '.join(kinds)}")
        packed_as = ", ".join(request.headers.getlist("content-encoding")).lower()
        if {word.strip() for word in packed_as.split(",")} - {"", "identity"}:
            raise Refused(
                415,
                f"the body is packed as {packed_as!r:.60}; send it as it is",
                **{"accept-encoding": "identity"},
            )
        limit, found = self._config.max_body_bytes, bytearray()
        told = request.headers.get("content-length", "0")
        if told.isascii() and told.isdigit() and int(told[:18]) > limit:
            raise Refused(413, f"the body has {told[:18]} bytes, at most {limit} are read")
        async for chunk in request.stream():
            found += chunk
            if len(found) > limit:
                raise Refused(413, f"the body has more than {limit} bytes, which are read at most")
        return bytes(found)

    def _limited(self, rows: int) -> None:
        if not 0 < rows <= self._config.max_rows:
            raise Refused(
                413 if rows else 400, f"{rows} rows; 1 to {self._config.max_rows} are answered"
            )

    async def from_store(
        self, flights: Sequence[Flight], request: Request
    ) -> tuple[list[int], Answers]:
        """T of each flight and its risk, logged."""
        self._limited(len(flights))
        asked = requests(flights, self.horizon_minutes)
        found: Answers = await self._in_turn(lambda: self._sound(self._predictor.online, asked))
        self._note_flights(request, flights, asked["predict_at"], found)
        return asked["predict_at"], found

    def from_features(self, matrix: np.ndarray, request: Request) -> np.ndarray:
        """The risks of rows of FEATURES, logged."""
        self._limited(len(matrix))
        started = time.perf_counter()
        risk: np.ndarray = self._sound(self._predictor.vectors, matrix)
        if time.perf_counter() - started > self._config.timeout_ms / 1000:
            raise self._late()
        self._note_rows(request, risk)
        return risk

    def _note_flights(
        self, request: Request, flights: Sequence[Flight], at: list[int], found: Answers
    ) -> None:
        columns = [
            [flight_id(flight) for flight in flights],
            at,
            packed(found.values, "<f4"),
            packed(found.known_at, "<i8"),
            [orjson.dumps(flags).decode() if flags else "{}" for flags in found.flags],
            found.risk.tolist(),
        ]
        (asked, *who), when = self._who(request), self._when(request)
        rows = enumerate(zip(*columns, strict=True))
        self._log.add([(asked, row, *who, *one, *when) for row, one in rows])
        self._metrics.features(at, found.known_at, found.flags)
        self._metrics.risks(found.risk)

    def _note_rows(self, request: Request, risk: np.ndarray) -> None:
        (asked, *who), when = self._who(request), self._when(request)
        who += [None, None, None, None, "{}"]
        rows = enumerate(risk.tolist())
        self._log.add([(asked, row, *who, one, *when) for row, one in rows])
        self._metrics.risks(risk)

    def _who(self, request: Request) -> tuple[str | None, ...]:
        told = request.scope["state"]  # as a dict: its attributes take longer than all of this
        return told["id"], told["arm"], self.version, self.release

    def _when(self, request: Request) -> tuple[float, ...]:
        return time.time(), time.perf_counter() - request.scope["state"]["began"]

    def _sound(self, predict: Callable[[Any], Any], asked: Any) -> Any:
        try:
            return predict(asked)
        except InvalidRisk as error:
            self._metrics.invalid()
            raise Refused(500, f"version {self.version} gave no probability: {error}") from error

    async def _in_turn(self, work: Callable[[], Any]) -> Any:
        """Work done by the store's thread, unless too many wait for it, or it takes too long."""
        with self._lock:
            if self.waiting >= self._config.max_waiting:
                raise Refused(
                    503,
                    f"{self.waiting} requests wait for the store already",
                    **{"retry-after": "1"},
                )
            future = self._worker.submit(work)
            self.waiting += 1
        future.add_done_callback(self._left)
        try:
            async with asyncio.timeout(self._config.timeout_ms / 1000):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._late() from None

    def _left(self, _: "Future[Any]") -> None:
        with self._lock:  # only now: who has given up still keeps the thread busy
            self.waiting -= 1

    def _late(self) -> Refused:
        return Refused(504, f"no answer within {self._config.timeout_ms} ms")

    def close(self) -> None:
        """Let the store's thread end; the next request would begin another."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._worker = _thread()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="store")
