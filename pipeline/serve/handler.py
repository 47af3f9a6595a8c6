"""The request handler: limits, the online store's one thread, the request log and the metrics.

The event loop does what is brief. One thread owns the online store's connection and computes;
requests queue for it, limited in number and time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request

from pipeline.records.request_log import pack
from pipeline.records.request_log_writer import Log
from pipeline.serve.admission import AdmissionLimit
from pipeline.serve.compression import content_encoding, decompress
from pipeline.serve.inline import SMALL_BYTES, Inline
from pipeline.serve.metrics import Metrics
from pipeline.serve.open_inference import RequestRefused, Tensors, input_matrix, read_tensors
from pipeline.serve.predictor import InvalidRisk, PredictedRisks, SupportsPredict
from pipeline.serve.schema import RequestItem, name_of, request_rows
from pipeline.shared.callers import STRANGER, STRANGERS
from pipeline.shared.config.serve import ServeConfig


class Handler:
    """Passes requests to the predictor, and predictions to the log and the metrics."""

    def __init__(
        self,
        predictor: SupportsPredict,
        log: Log,
        config: ServeConfig,
        metrics: Metrics,
        gate: AdmissionLimit,
    ):
        """The thread that reads the store and computes starts with the first request."""
        self._predictor, self._log = predictor, log
        self._config, self._metrics, self._gate = config, metrics, gate
        self._worker, self.strangers = _thread(), 0
        self._inline = Inline(config.max_connections, config.queue_ms / 1000)
        self.version, self.release = predictor.release.number, predictor.release.release
        self.trained_until = predictor.release.trained_until
        self.horizon_minutes = predictor.release.features.horizon_minutes

    async def body(self, request: Request, *kinds: str) -> bytes:
        """A request's decompressed body, of a content type in `kinds` and an allowed size.

        A body without a content type is accepted: some clients never send one. With its body a
        request is complete and passes admission control.
        """
        headers = request.scope["state"]["headers"]
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (*kinds, ""):
            raise RequestRefused(
                415, f"the content type is {kind!r:.60}, wanted is {' or '.join(kinds)}"
            )
        packed = "content-encoding" in headers
        encoding = content_encoding(request.headers.getlist("content-encoding")) if packed else ""
        limit, content = self._config.max_body_bytes, bytearray()
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:18]) > limit:
            raise RequestRefused(413, f"the body has {length[:18]} bytes, at most {limit} are read")
        more = True
        while more:  # as Request.stream does, without a generator
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            content += message.get("body", b"")
            more = message.get("more_body", False)
            if len(content) > limit:
                raise RequestRefused(413, f"the body has more than {limit} bytes, the limit")
        self._enter(request)
        return decompress(bytes(content), encoding, limit)

    def _enter(self, request: Request) -> None:
        """Admit a complete request; the server may have filled up while its body arrived.

        A stranger is refused earlier, so that one who disconnects and retries at once, whose
        abandoned work is still inside, keeps no known caller out.
        """
        is_stranger = request.scope["state"]["arm"] == STRANGER
        if self._gate.full or (is_stranger and self._gate.inside >= STRANGERS):
            raise RequestRefused(503, self._gate.reason, **{"retry-after": "1"})
        self._gate.enter()
        request.scope["state"]["inside"] = True

    def _require_rows(self, rows: int) -> None:
        if not 0 < rows <= self._config.max_rows:
            raise RequestRefused(
                413 if rows else 400, f"{rows} rows; 1 to {self._config.max_rows} are answered"
            )

    async def from_store(
        self, items: Sequence[RequestItem], request: Request
    ) -> tuple[list[str], list[int], PredictedRisks]:
        """The name and T of each item, and their predictions, logged."""
        self._require_rows(len(items))
        rows = request_rows(items, self.horizon_minutes)
        predictions: PredictedRisks = await self._in_turn(
            lambda: self._predict(self._predictor.online, rows), request.scope["state"]
        )
        names, at = [name_of(item) for item in items], rows["predict_at"]
        self._log_items(request, names, at, predictions)
        return names, at, predictions

    async def from_features(
        self, body: bytes, header: str | None, kinds: dict[str, str], request: Request
    ) -> tuple[Tensors, np.ndarray]:
        """The tensors of a body with rows of FEATURES, and their risks, logged.

        Parsing many numbers takes milliseconds, so the thread does it too; a small body is
        answered in the event loop.
        """

        def work() -> tuple[Tensors, np.ndarray]:
            payload = read_tensors(body, header, kinds)
            rows = input_matrix(payload)
            self._require_rows(len(rows))
            return payload, self._predict(self._predictor.vectors, rows)

        state = request.scope["state"]
        if len(body) <= SMALL_BYTES and self._inline.is_open:
            payload, risk = self._at_once(work, state)
        else:
            payload, risk = await self._in_turn(work, state)
        self._log_rows(request, [(None, None, None, None, "{}", one) for one in risk.tolist()])
        self._metrics.risks(risk)
        return payload, risk

    def _log_items(
        self, request: Request, names: list[str], at: list[int], predictions: PredictedRisks
    ) -> None:
        columns = [
            names,
            at,
            pack(predictions.values, "<f4"),
            pack(predictions.known_at, "<i8"),
            [orjson.dumps(flags).decode() if flags else "{}" for flags in predictions.flags],
            predictions.risk.tolist(),
        ]
        self._log_rows(request, list(zip(*columns, strict=True)))
        self._metrics.features(at, predictions.known_at, predictions.flags)
        self._metrics.risks(predictions.risk)

    def _log_rows(self, request: Request, rows: list[tuple[Any, ...]]) -> None:
        """Log the rows of a response; a stranger's rows are only counted."""
        state = request.scope["state"]  # as a dict: attribute access takes longer than the rest
        if state["arm"] == STRANGER:
            self.strangers += len(rows)
            return
        model = state["arm"], self.version, self.release
        when = time.time(), time.perf_counter() - state["began"]
        self._log.add([(state["id"], row, *model, *one, *when) for row, one in enumerate(rows)])

    def _predict(self, predict: Callable[[Any], Any], rows: Any) -> Any:
        try:
            return predict(rows)
        except InvalidRisk as error:
            self._metrics.invalid()
            raise RequestRefused(
                500, f"version {self.version} gave no probability: {error}"
            ) from error

    def _at_once(self, work: Callable[[], Any], state: dict[str, Any]) -> Any:
        """Run brief work in the event loop, if its deadline is to come."""
        if self._seconds_left(state) <= 0:
            raise self._too_late()
        began = time.perf_counter()
        try:
            return self._work(work, state)
        finally:
            self._inline.record_work(time.perf_counter() - began)

    async def _in_turn(self, work: Callable[[], Any], state: dict[str, Any]) -> Any:
        """Run work in the one thread before its deadline, or cancel it."""
        future = self._worker.submit(self._work, work, state)
        state["inside"] = False  # the thread counts it out: it may outlive the request
        future.add_done_callback(lambda _: self._gate.leave())
        try:
            async with asyncio.timeout(self._seconds_left(state)):
                return await asyncio.wrap_future(future)
        except TimeoutError:  # work that has not started is cancelled
            raise self._too_late() from None

    def _work(self, work: Callable[[], Any], state: Mapping[str, Any]) -> Any:
        if getattr(state.get("cycle"), "disconnected", False):
            raise ClientDisconnect
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._gate.record_work(time.perf_counter() - began)

    def _seconds_left(self, state: Mapping[str, Any]) -> float:
        return float(self._config.timeout_ms / 1000 - (time.perf_counter() - state["began"]))

    def _too_late(self) -> RequestRefused:
        return RequestRefused(504, f"no answer within {self._config.timeout_ms} ms")

    def close(self) -> None:
        """Stop the store's thread; a further request would start another."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._worker = _thread()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="store")
