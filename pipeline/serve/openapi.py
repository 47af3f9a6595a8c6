"""The parts of the OpenAPI document that FastAPI cannot derive, and an API reference page.

Bodies are read as bytes, for speed, and models get their names when the server starts, so the
schemas of requests are added here, from the very models that validate them. FastAPI's own page
loads a script from elsewhere; this one is text.
"""

import json
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.json_schema import models_json_schema

from pipeline.serve.open_inference import HEADER, Inference
from pipeline.serve.schema import RequestBody
from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE

_SCHEMAS = "#/components/schemas/{model}"


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refusal(_Response):
    """The reason of a refusal."""

    error: str


Prediction = create_model(
    "Prediction",
    __base__=_Response,
    __doc__=f"The risk of one {USECASE.words.event} at T, and the views whose values were missing "
    "or stale.",
    **{USECASE.words.name_key: (str, ...)},  # type: ignore[call-overload]
    predict_at=(str, ...),
    risk=(float, ...),
    flags=(dict[str, str], ...),
)


class Predictions(_Response):
    """Predictions, in the order of the items."""

    request_id: str
    version: str
    release: str
    predictions: list[Prediction]  # type: ignore[valid-type]


class Server(_Response):
    """The server's name, version and protocol extensions."""

    name: str
    version: str
    extensions: list[str]


class Live(_Response):
    """Liveness."""

    live: bool


class Ready(_Response):
    """Readiness: the warm-up prediction equals the recorded one."""

    name: str | None = None
    ready: bool


class Tensor(_Response):
    """A tensor's name, datatype and shape."""

    name: str
    datatype: str
    shape: list[int]


class Metadata(_Response):
    """A model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Output(Tensor):
    """A tensor with its values."""

    data: list[float]


class InferenceResponse(_Response):
    """The risks, one a row."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Output]


REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal, "description": reason}
    for code, reason in {
        400: "The body is not what is wanted",
        404: "There is no such model or version",
        413: "The body or its rows are too many",
        415: "Another content type",
        500: "The model gave no probability",
        503: "Not ready, or too many wait",
        504: "Not answered in time",
    }.items()
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
BYTES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": _BINARY}}}
"""A response's tensors after JSON, which OpenAPI cannot describe further."""


def body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads bytes; `add_bodies` adds its schema."""
    schema = {"$ref": _SCHEMAS.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def in_path(**allowed: list[str]) -> dict[str, Any]:
    """A route's path parameters, each with the values that this server accepts."""
    schemas = {key: {"type": "string", "enum": values} for key, values in allowed.items()}
    about = [{"name": k, "in": "path", "required": True, "schema": s} for k, s in schemas.items()]
    return {"parameters": about}


def add_bodies(app: FastAPI) -> None:
    """Add the schemas of request bodies to the document of an app with all its routes."""
    _, schemas = models_json_schema(
        [(RequestBody, "validation"), (Inference, "validation")], ref_template=_SCHEMAS
    )
    app.openapi()["components"]["schemas"] |= schemas["$defs"]


def api_reference(spec: dict[str, Any]) -> str:
    """The document as a page without external resources."""
    return render("serve/api_reference.html", spec=spec, header=HEADER, dumps=json.dumps)
