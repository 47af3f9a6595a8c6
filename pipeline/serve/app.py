"""The HTTP application: the Open Inference Protocol for machines, `/predict` for people.

Bad requests get a 4xx with a reason; no input causes a 5xx.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.features.definitions import NAME
from pipeline.records.request_log_writer import Log
from pipeline.serve import open_inference, openapi
from pipeline.serve.admission import AdmissionLimit
from pipeline.serve.handler import Handler
from pipeline.serve.metrics import Metrics
from pipeline.serve.middleware import (
    CLIENT_CLOSED,
    HotRoute,
    Middleware,
    Respond,
    failure,
    refusal_response,
)
from pipeline.serve.open_inference import FROM_STORE, INPUT_TENSOR, Inference, RequestRefused
from pipeline.serve.predictor import SupportsPredict
from pipeline.serve.schema import RequestBody, instant_of, items_of
from pipeline.shared.callers import Trust
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.prometheus import CONTENT_TYPE
from pipeline.usecase.chosen import USECASE

MODEL_NAME = USECASE.features.service.replace("_", "-")
_JSON, _BYTES = "application/json", "application/octet-stream"
_MODEL = "/v2/models/{name}"
_VERSION = f"{_MODEL}/versions/{{version}}"


def create_app(
    predictor: SupportsPredict,
    log: Log,
    config: ServeConfig,
    metrics: Metrics,
    ready: Callable[[], str],
    model_name: str = MODEL_NAME,
    trust: Trust | None = None,
    own_port: int | None = None,
) -> Middleware:
    """The app over a predictor; `ready` returns why the model is not ready, "" if it is.

    `trust` decides whose headers are believed; without it, no header is. With `own_port`, metrics
    are answered at that port only: another one is shared with servers that count apart.

    Predictions are answered by the middleware itself: FastAPI's own way to a route takes as long as
    a small one does. FastAPI has the same routes, with the same functions, for its document and for
    other spellings.
    """
    gate = AdmissionLimit(config.max_waiting, config.queue_ms / 1000)
    handler = Handler(predictor, log, config, metrics, gate)
    _add_gauges(metrics, handler, log, gate)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        handler.close()

    app = FastAPI(
        title=USECASE.words.title,
        version=handler.version,
        docs_url=None,
        redoc_url=None,
        responses=openapi.REFUSALS,
        lifespan=lifespan,
        redirect_slashes=False,  # the address of a redirect would be made of the caller's Host
    )
    app.add_exception_handler(RequestRefused, _refusal)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_closed)
    app.add_exception_handler(Exception, _failure)
    predict = _add_people_routes(app, handler, metrics, own_port)
    kinds = {model_name: FROM_STORE, f"{model_name}-features": {INPUT_TENSOR: "FP32"}}
    protocol = _Protocol(handler, ready, kinds)
    _add_protocol_routes(app, protocol, list(kinds), handler.version)
    openapi.add_bodies(app)
    hot = {"/predict": HotRoute("/predict", {}, predict)} | protocol.hot_routes()
    about = {"x-version": handler.version, "x-release": handler.release[:12]}
    return Middleware(app, hot, metrics, about, trust or Trust(), gate)


def _add_gauges(metrics: Metrics, handler: Handler, log: Log, gate: AdmissionLimit) -> None:
    metrics.model(version=handler.version, release=handler.release[:12])
    about = "The end of the model's training window, in seconds since 1970 on the replay's clock"
    metrics.add_gauge("serve_model_trained_until_seconds", about, handler.trained_until.timestamp)
    metrics.add_gauge("serve_waiting", "Requests that wait for their answer", lambda: gate.inside)
    metrics.add_gauge("serve_log_waiting", "Answers that wait to be logged", lambda: log.waiting)
    metrics.add_gauge("serve_log_written", "Answers in the log", lambda: log.written)
    metrics.add_gauge("serve_log_known", "Answers that were in the log", lambda: log.duplicates)
    metrics.add_gauge("serve_log_dropped", "Answers that were not logged", lambda: log.dropped)
    about = "Answers to strangers, which are counted and not logged"
    metrics.add_gauge("serve_log_strangers", about, lambda: handler.strangers)
    metrics.add_gauge("serve_log_failed", "Attempts to log that failed", lambda: log.failed)


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return refusal_response(error.code, error.reason, error.headers)


async def _client_closed(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)  # counted; the connection has ended


async def _failure(_: Request, error: Exception) -> Response:
    return failure(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = f"{error.detail}: {request.method} {request.url.path[:100]}; see /docs"
    return refusal_response(error.status_code, reason, dict(error.headers or {}))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type=_JSON)


def _add_people_routes(
    app: FastAPI, handler: Handler, metrics: Metrics, own_port: int | None
) -> Respond:
    """Add `/predict`, the documentation and the metrics; returns the function of the first."""

    @app.post(
        "/predict", openapi_extra=openapi.body(RequestBody), response_model=openapi.Predictions
    )
    async def predict(request: Request) -> Response:
        """The risks of items, in their order."""
        body = await handler.body(request, _JSON)
        try:
            payload = RequestBody.model_validate(open_inference.parse_body(body))
        except ValidationError as error:
            raise RequestRefused(400, open_inference.explain_error(error)) from None
        names, instants, risks = await handler.from_store(items_of(payload), request)
        rows = zip(names, instants, risks.risk.tolist(), risks.flags, strict=True)
        predictions = [
            {NAME: name, "predict_at": instant_of(at), "risk": risk, "flags": flags}
            for name, at, risk, flags in rows
        ]
        model = {"version": handler.version, "release": handler.release}
        request_id = request.scope["state"]["id"]
        return _json({"request_id": request_id, **model, "predictions": predictions})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """The API reference, a page without external resources."""
        return Response(openapi.api_reference(app.openapi()), media_type="text/html")

    @app.get("/metrics", include_in_schema=False)
    async def metrics_text(request: Request) -> Response:
        """The metrics in Prometheus' text format."""
        if own_port is not None and request.scope["server"][1] != own_port:
            reason = "several workers share this port, each has its own metrics: this one's are at"
            raise RequestRefused(421, f"{reason} port {own_port}")
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    return predict


class _Protocol:
    """The Open Inference Protocol for the models in `kinds`, each with its tensors' datatypes."""

    def __init__(
        self, handler: Handler, ready: Callable[[], str], kinds: dict[str, dict[str, str]]
    ):
        self._handler, self._ready, self._kinds = handler, ready, kinds

    def hot_routes(self) -> dict[str, HotRoute]:
        """The paths at which the models are asked, with and without the version."""
        routes = {}
        for name in self._kinds:
            for version in ({}, {"version": self._handler.version}):
                base, params = _VERSION if version else _MODEL, {"name": name, **version}
                path = f"{base}/infer"
                routes[path.format(**params)] = HotRoute(path, params, self.infer)
        return routes

    async def infer(self, request: Request) -> Response:
        """The risks of rows, as tensors."""
        name = self._model_name(request)
        header = request.scope["state"]["headers"].get(open_inference.HEADER)
        kinds = self._kinds[name]
        body = await self._handler.body(request, *([_BYTES, _JSON] if header else [_JSON]))
        if INPUT_TENSOR in kinds:
            payload, risk = await self._handler.from_features(body, header, kinds, request)
        else:
            payload = open_inference.read_tensors(body, header, kinds)
            items = open_inference.items(payload)
            risk = (await self._handler.from_store(items, request))[-1].risk
        request_id = payload.id if payload.id is not None else request.scope["state"]["id"]
        content, headers = open_inference.encode_response(
            name, self._handler.version, request_id, risk, payload.binary
        )
        return Response(content, headers=headers)

    async def ready(self) -> Response:
        """Whether the warm-up prediction equals the recorded one; if not, why."""
        return self._readiness({})

    async def model_ready(self, request: Request) -> Response:
        """Whether a model is ready."""
        return self._readiness({"name": self._model_name(request)})

    async def model(self, request: Request) -> Response:
        """A model's inputs and outputs."""
        name = self._model_name(request)
        return _json(open_inference.metadata(name, self._handler.version, self._kinds[name]))

    async def live(self) -> Response:
        """Liveness: the process responds."""
        return _json({"live": True})

    async def server(self) -> Response:
        """The server's name, version and protocol extensions."""
        server = {"name": f"{next(iter(self._kinds))}-server", "version": self._handler.version}
        return _json({**server, "extensions": open_inference.EXTENSIONS})

    def _model_name(self, request: Request) -> str:
        """The model in a request's path, if that model and version are served."""
        name, version = request.path_params["name"], request.path_params.get("version")
        if name not in self._kinds or version not in (None, self._handler.version):
            wanted = f"{name}/versions/{version}" if version else name
            served = f"{', '.join(self._kinds)}, version {self._handler.version}"
            raise RequestRefused(404, f"there is no model {wanted[:80]!r}; served are {served}")
        return str(name)

    def _readiness(self, about: dict[str, Any]) -> Response:
        if reason := self._ready():
            raise RequestRefused(503, f"not ready: {reason}")
        return _json({**about, "ready": True})


def _add_protocol_routes(app: FastAPI, to: _Protocol, kinds: list[str], version: str) -> None:
    """Add the routes of the protocol, with and without a version."""
    app.get("/v2", response_model=openapi.Server)(to.server)
    app.get("/v2/health/live", response_model=openapi.Live)(to.live)
    app.get("/v2/health/ready", response_model=openapi.Ready)(to.ready)
    named, versioned = openapi.in_path(name=kinds), openapi.in_path(name=kinds, version=[version])
    for base, extra in ((_MODEL, named), (_VERSION, versioned)):
        app.get(base, openapi_extra=extra, response_model=openapi.Metadata)(to.model)
        app.get(f"{base}/ready", openapi_extra=extra, response_model=openapi.Ready)(to.model_ready)
        app.post(
            f"{base}/infer",
            openapi_extra=extra | openapi.body(Inference),
            response_model=openapi.InferenceResponse,
            responses=openapi.BYTES,
        )(to.infer)
