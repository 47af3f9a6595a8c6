"""The HTTP server's app: the Open Inference Protocol for machines, `/predict` for people.

Every refusal says why, and nothing that is asked makes an error of the server.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from pipeline.records.request_log import Log
from pipeline.serve import open_inference, openapi
from pipeline.serve.admission import Gate
from pipeline.serve.handler import Desk
from pipeline.serve.metrics import Metrics
from pipeline.serve.middleware import Envelope, refusal
from pipeline.serve.open_inference import FROM_STORE, INPUTS, Inference, Refused
from pipeline.serve.predictor import Predicts
from pipeline.serve.schema import Asked, flight_id, instant_of
from pipeline.shared.callers import Trust
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.prometheus import CONTENT_TYPE

JSON, BYTES = "application/json", "application/octet-stream"
_MODEL = "/v2/models/{name}"


def create_app(
    predictor: Predicts,
    log: Log,
    config: ServeConfig,
    metrics: Metrics,
    ready: Callable[[], str],
    model_name: str = "flight-delay",
    trust: Trust | None = None,
) -> FastAPI:
    """The app over a predictor; `ready` says why it is not, or nothing.

    `trust` says whose headers are believed; without one, nobody's.
    """
    gate = Gate(config.max_waiting, config.queue_ms / 1000)
    desk = Desk(predictor, log, config, metrics, gate)
    _shown(metrics, desk, log, gate)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="Flight delay",
        version=desk.version,
        docs_url=None,
        redoc_url=None,
        responses=openapi.REFUSALS,
        lifespan=lifespan,
        redirect_slashes=False,  # the address of a redirect would be made of the caller's Host
    )
    about = {"x-version": desk.version, "x-release": desk.release[:12]}
    app.add_middleware(Envelope, metrics=metrics, about=about, trust=trust or Trust(), gate=gate)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    _for_people(app, desk, metrics)
    kinds = {model_name: FROM_STORE, f"{model_name}-features": {INPUTS: "FP32"}}
    _for_machines(app, _Machines(desk, ready, kinds), list(kinds), desk.version)
    openapi.add_bodies(app)
    app.state.gate, app.state.metrics = gate, metrics  # for the connections
    return app


def _shown(metrics: Metrics, desk: Desk, log: Log, gate: Gate) -> None:
    metrics.model(version=desk.version, release=desk.release[:12])
    about = "The end of the model's training window, in seconds since 1970 on the replay's clock"
    metrics.shown("flight_model_trained_until_seconds", about, desk.trained_until.timestamp)
    metrics.shown("flight_waiting", "Requests that wait for their answer", lambda: gate.inside)
    metrics.shown("flight_log_waiting", "Answers that wait to be logged", lambda: log.waiting)
    metrics.shown("flight_log_written", "Answers in the log", lambda: log.written)
    metrics.shown("flight_log_known", "Answers that were in the log", lambda: log.duplicates)
    metrics.shown("flight_log_dropped", "Answers that were not logged", lambda: log.dropped)
    about = "Answers to strangers, which are counted and not logged"
    metrics.shown("flight_log_strangers", about, lambda: desk.strangers)
    metrics.shown("flight_log_failed", "Attempts to log that failed", lambda: log.failed)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error.code, error.reason, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = f"{error.detail}: {request.method} {request.url.path[:100]}; see /docs"
    return refusal(error.status_code, told, dict(error.headers or {}))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type=JSON)


def _for_people(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    """`/predict`, the documentation, and the metrics."""

    @app.post("/predict", openapi_extra=openapi.body(Asked), response_model=openapi.Predictions)
    async def predict(request: Request) -> Response:
        """The risk that flights arrive 15 or more minutes late, or not at all."""
        body = await desk.body(request, JSON)
        try:
            asked = Asked.model_validate(open_inference.parsed(body))
        except ValidationError as error:
            raise Refused(400, open_inference.explained(error)) from None
        instants, found = await desk.from_store(asked.flights, request)
        rows = zip(asked.flights, instants, found.risk.tolist(), found.flags, strict=True)
        predictions = [
            {"flight": flight_id(f), "predict_at": instant_of(at), "risk": risk, "flags": flags}
            for f, at, risk, flags in rows
        ]
        told = {"request_id": request.state.id, "version": desk.version, "release": desk.release}
        return _json({**told, "predictions": predictions})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """The documentation as a page that loads nothing from elsewhere."""
        return Response(openapi.api_reference(app.openapi()), media_type="text/html")

    @app.get("/metrics", include_in_schema=False)
    async def counted() -> Response:
        """What Prometheus reads."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})


class _Machines:
    """The Open Inference Protocol for the models in `kinds`, each with its tensors."""

    def __init__(self, desk: Desk, ready: Callable[[], str], kinds: dict[str, dict[str, str]]):
        self._desk, self._ready, self._kinds = desk, ready, kinds

    async def infer(self, request: Request) -> Response:
        """The risks of rows, as tensors."""
        name, header = self._named(request), request.headers.get(open_inference.HEADER)
        kinds = self._kinds[name]
        body = await self._desk.body(request, *([BYTES, JSON] if header else [JSON]))
        if INPUTS in kinds:
            asked, risk = await self._desk.from_features(body, header, kinds, request)
        else:
            asked = open_inference.tensors(body, header, kinds)
            risk = (await self._desk.from_store(open_inference.flights(asked), request))[1].risk
        told = asked.id if asked.id is not None else request.state.id
        content, headers = open_inference.inferred(
            name, self._desk.version, told, risk, asked.binary
        )
        return Response(content, headers=headers)

    async def ready(self) -> Response:
        """Whether a warm-up prediction was the recorded one; if not, why."""
        return self._readiness({})

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        return self._readiness({"name": self._named(request)})

    async def model(self, request: Request) -> Response:
        """What a model takes and gives."""
        name = self._named(request)
        return _json(open_inference.metadata(name, self._desk.version, self._kinds[name]))

    async def live(self) -> Response:
        """Whether the process answers at all."""
        return _json({"live": True})

    async def server(self) -> Response:
        """What answers here."""
        told = {"name": "flight-delay-server", "version": self._desk.version}
        return _json({**told, "extensions": open_inference.EXTENSIONS})

    def _named(self, request: Request) -> str:
        """The model that a path names, if it is served in the version that the path names."""
        name, version = request.path_params["name"], request.path_params.get("version")
        if name not in self._kinds or version not in (None, self._desk.version):
            told = f"{name}/versions/{version}" if version else name
            served = f"{', '.join(self._kinds)}, version {self._desk.version}"
            raise Refused(404, f"there is no model {told[:80]!r}; served are {served}")
        return str(name)

    def _readiness(self, about: dict[str, Any]) -> Response:
        if reason := self._ready():
            raise Refused(503, f"not ready: {reason}")
        return _json({**about, "ready": True})


class _Named(Route):
    """A route of Starlette's that says which it is, for the metrics, as FastAPI's do."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def _for_machines(app: FastAPI, to: _Machines, kinds: list[str], version: str) -> None:
    """The routes of the protocol, with and without a version."""
    app.get("/v2", response_model=openapi.Server)(to.server)
    app.get("/v2/health/live", response_model=openapi.Live)(to.live)
    app.get("/v2/health/ready", response_model=openapi.Ready)(to.ready)
    # FastAPI's routes are for the document: they take as long as a prediction does.
    app.router.routes.insert(0, _Named(f"{_MODEL}/infer", to.infer, methods=["POST"]))
    named, versioned = openapi.in_path(name=kinds), openapi.in_path(name=kinds, version=[version])
    for base, extra in ((_MODEL, named), (f"{_MODEL}/versions/{{version}}", versioned)):
        app.get(base, openapi_extra=extra, response_model=openapi.Metadata)(to.model)
        app.get(f"{base}/ready", openapi_extra=extra, response_model=openapi.Ready)(to.model_ready)
        app.post(
            f"{base}/infer",
            openapi_extra=extra | openapi.body(Inference),
            response_model=openapi.Inferred,
            responses=openapi.BYTES,
        )(to.infer)
