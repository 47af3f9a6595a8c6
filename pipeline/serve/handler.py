"""Between a request and its answer: limits, the store's one thread, the log and the metrics.

The event loop does what takes little. One thread owns the online store's connection, and computes:
requests wait for it in turn, only so many and only so long.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request

from pipeline.records.request_log import Log, pack
from pipeline.serve.admission import Gate
from pipeline.serve.compression import packing_of, unpacked
from pipeline.serve.metrics import Metrics
from pipeline.serve.open_inference import Refused, Tensors, matrix, tensors
from pipeline.serve.predictor import Answers, InvalidRisk, Predicts
from pipeline.serve.schema import Flight, flight_id, requests
from pipeline.shared.callers import STRANGER, STRANGERS
from pipeline.shared.config.serve import ServeConfig


class Desk:
    """Takes what was asked to the predictor, and what was answered to the log and the metrics."""

    def __init__(
        self, predictor: Predicts, log: Log, config: ServeConfig, metrics: Metrics, gate: Gate
    ):
        """One thread reads the store and computes; it begins with the first request."""
        self._predictor, self._log = predictor, log
        self._config, self._metrics, self._gate = config, metrics, gate
        self._worker, self.strangers = _thread(), 0
        self.version, self.release = predictor.loaded.number, predictor.loaded.release
        self.trained_until = predictor.loaded.trained_until
        self.horizon_minutes = predictor.loaded.features.horizon_minutes

    async def body(self, request: Request, *kinds: str) -> bytes:
        """The body of a request, unpacked, if it is of one of these kinds and not too large.

        A body whose kind is not named is taken for one of them: some clients never name theirs.
        With its body a request is whole, and passes the gate.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (*kinds, ""):
            raise Refused(415, f"the content type is {kind!r:.60}, wanted is {' or '.join(kinds)}")
        packing = packing_of(request.headers.getlist("content-encoding"))
        limit, found = self._config.max_body_bytes, bytearray()
        told = request.headers.get("content-length", "0")
        if told.isascii() and told.isdigit() and int(told[:18]) > limit:
            raise Refused(413, f"the body has {told[:18]} bytes, at most {limit} are read")
        async for chunk in request.stream():
            found += chunk
            if len(found) > limit:
                raise Refused(413, f"the body has more than {limit} bytes, which are read at most")
        self._enter(request)
        return unpacked(bytes(found), packing, limit)

    def _enter(self, request: Request) -> None:
        """Let a whole request in; one whose body took long may find the gate full by now.

        A stranger finds it full earlier: also one that hangs up and comes again at once, so that
        what it left behind is still inside, keeps no known caller out.
        """
        is_stranger = request.scope["state"]["arm"] == STRANGER
        if self._gate.full or (is_stranger and self._gate.inside >= STRANGERS):
            raise Refused(503, self._gate.reason, **{"retry-after": "1"})
        self._gate.enter()
        request.scope["state"]["inside"] = True

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
        found: Answers = await self._in_turn(
            lambda: self._sound(self._predictor.online, asked), request.scope["state"]
        )
        self._note_flights(request, flights, asked["predict_at"], found)
        return asked["predict_at"], found

    async def from_features(
        self, body: bytes, header: str | None, kinds: dict[str, str], request: Request
    ) -> tuple[Tensors, np.ndarray]:
        """The tensors of a body with rows of FEATURES, and their risks, logged.

        So many numbers take milliseconds to parse: that is done in turn too.
        """

        def work() -> tuple[Tensors, np.ndarray]:
            asked = tensors(body, header, kinds)
            rows = matrix(asked)
            self._limited(len(rows))
            return asked, self._sound(self._predictor.vectors, rows)

        asked, risk = await self._in_turn(work, request.scope["state"])
        self._note_rows(request, risk)
        return asked, risk

    def _note_flights(
        self, request: Request, flights: Sequence[Flight], at: list[int], found: Answers
    ) -> None:
        columns = [
            [flight_id(flight) for flight in flights],
            at,
            pack(found.values, "<f4"),
            pack(found.known_at, "<i8"),
            [orjson.dumps(flags).decode() if flags else "{}" for flags in found.flags],
            found.risk.tolist(),
        ]
        self._note(request, list(zip(*columns, strict=True)))
        self._metrics.features(at, found.known_at, found.flags)
        self._metrics.risks(found.risk)

    def _note_rows(self, request: Request, risk: np.ndarray) -> None:
        self._note(request, [(None, None, None, None, "{}", one) for one in risk.tolist()])
        self._metrics.risks(risk)

    def _note(self, request: Request, rows: list[tuple[Any, ...]]) -> None:
        """Log the rows of an answer, but of a stranger's only how many they were."""
        told = request.scope["state"]  # as a dict: its attributes take longer than all of this
        if told["arm"] == STRANGER:
            self.strangers += len(rows)
            return
        who = told["arm"], self.version, self.release
        when = time.time(), time.perf_counter() - told["began"]
        self._log.add([(told["id"], row, *who, *one, *when) for row, one in enumerate(rows)])

    def _sound(self, predict: Callable[[Any], Any], asked: Any) -> Any:
        try:
            return predict(asked)
        except InvalidRisk as error:
            self._metrics.invalid()
            raise Refused(500, f"version {self.version} gave no probability: {error}") from error

    async def _in_turn(self, work: Callable[[], Any], state: dict[str, Any]) -> Any:
        """Work done by the one thread before its deadline, or not at all."""
        future = self._worker.submit(self._work, work, state)
        state["inside"] = False  # only the thread knows when: it goes on for those that gave up
        future.add_done_callback(lambda _: self._gate.leave())
        left = self._config.timeout_ms / 1000 - (time.perf_counter() - state["began"])
        try:
            async with asyncio.timeout(left):
                return await asyncio.wrap_future(future)
        except TimeoutError:  # what has not begun is taken back
            raise self._late() from None

    def _work(self, work: Callable[[], Any], state: Mapping[str, Any]) -> Any:
        if getattr(state.get("cycle"), "disconnected", False):
            raise ClientDisconnect  # nobody waits for it any more
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._gate.worked(time.perf_counter() - began)

    def _late(self) -> Refused:
        return Refused(504, f"no answer within {self._config.timeout_ms} ms")

    def close(self) -> None:
        """Let the store's thread end; the next request would begin another."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._worker = _thread()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="store")
