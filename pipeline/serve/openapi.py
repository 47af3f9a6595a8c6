"""What the server says of itself: its OpenAPI document, and a page of it for people.

FastAPI's own page loads its script from elsewhere; this one is text. The bodies are read as bytes,
for speed, so what they hold is said here, with the very models that check them.
"""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from pipeline.serve.open_inference import HEADER, Inference
from pipeline.serve.schema import Asked
from pipeline.shared.pages import render

_REASONS = {
    400: "The body is not what is wanted",
    404: "There is no such model or version",
    413: "The body or its rows are too many",
    415: "Another content type",
    500: "The model gave no probability",
    503: "Not ready, or too many wait",
    504: "Not answered in time",
}


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refusal(_Told):
    """Why there is no answer."""

    error: str


class Prediction(_Told):
    """The risk of a flight at T, and the views whose values were missing or stale."""

    flight: str
    predict_at: str
    risk: float
    flags: dict[str, str]


class Predictions(_Told):
    """Answers, in the order of the flights."""

    request_id: str
    version: str
    release: str
    predictions: list[Prediction]


class Server(_Told):
    """What answers here."""

    name: str
    version: str
    extensions: list[str]


class Live(_Told):
    """Whether the process answers."""

    live: bool


class Ready(_Told):
    """Whether a model answers as it did when it was trained."""

    name: str | None = None
    ready: bool


class Tensor(_Told):
    """A tensor by its shape."""

    name: str
    datatype: str
    shape: list[int]


class Metadata(_Told):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Output(Tensor):
    """A tensor with its values."""

    data: list[float]


class Inferred(_Told):
    """The risks, one a row."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Output]


_IN = (Asked, Inference)
_OUT = (Refusal, Predictions, Server, Live, Ready, Metadata, Inferred)


def _content(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}


_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
BODIES: dict[str, dict[str, Any]] = {
    "predict": {"requestBody": {"required": True, "content": _content("Asked")}},
    "infer": {"requestBody": {"required": True, "content": _content("Inference")}},
}
"""What a request holds; `infer` also takes bytes behind JSON, which OpenAPI cannot describe."""


def answers(model: str) -> dict[int | str, dict[str, Any]]:
    """What a route may answer: 200 with this model, or a refusal."""
    refused: dict[int | str, dict[str, Any]] = {
        code: {"description": reason, "content": _content("Refusal")}
        for code, reason in _REASONS.items()
    }
    binary = _BYTES if model == "Inferred" else {}
    said = {"description": "The answer", "content": {**_content(model), **binary}}
    return {200: said, **refused}


def described(app: FastAPI, models: list[str]) -> None:
    """Let an app's OpenAPI document say what its bodies and its paths hold."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            spec = get_openapi(title=app.title, version=app.version, routes=app.routes)
            wanted: list[Any] = [(m, "validation") for m in _IN] + [
                (m, "serialization") for m in _OUT
            ]
            _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
            spec.setdefault("components", {})["schemas"] = found["$defs"]
            named = {"name": {"enum": models}, "version": {"enum": [app.version]}}
            for path, methods in spec["paths"].items():
                for about in methods.values():
                    about["parameters"] = [
                        {"name": key, "in": "path", "required": True,
                         "schema": {"type": "string", **schema}}
                        for key, schema in named.items()
                        if f"{{{key}}}" in path
                    ]  # fmt: skip
            app.openapi_schema = spec
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def api_reference(spec: dict[str, Any]) -> str:
    """The document as a page that loads nothing."""
    return render("serve/templates/api_reference.html", spec=spec, header=HEADER, dumps=json.dumps)
