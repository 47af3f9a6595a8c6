"""The Open Inference Protocol, version 2: tensors in JSON, or in bytes after a JSON header.

KServe, Triton and Seldon speak it, so their clients work against this server, and a proxy need not
know which of them it talks to.
"""

import json
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import numpy as np
import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.features.definitions import FEATURES
from pipeline.serve.schema import RequestItem, datatypes
from pipeline.usecase.chosen import USECASE

HEADER = "inference-header-content-length"
EXTENSIONS = ["binary_tensor_data"]
FROM_STORE, _REQUIRED = datatypes(RequestItem)
"""The tensors of a request for items of the use case, one value per item."""
INPUT_TENSOR, RISK_TENSOR = "inputs", "risk"
_WIRE = {"FP32": "<f4", "INT64": "<i8", "BOOL": "?"}
_JSON_TYPES: dict[str, set[type]] = {
    "FP32": {int, float, type(None)},
    "INT64": {int},
    "BYTES": {str},
    "BOOL": {bool},
}
"""The JSON types of each datatype; null stands for a missing number."""
_ITEMS = TypeAdapter(list[RequestItem])
_KEY = re.compile(rb'"\s*:')


class RequestRefused(Exception):
    """A refused request: its HTTP status, and the reason in its response."""

    def __init__(self, code: int, reason: str, **headers: str):
        """`headers` are added to the response."""
        super().__init__(reason)
        self.code, self.reason, self.headers = code, reason, headers


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _null_as_empty(kind: type) -> BeforeValidator:
    """Accept null for an absent value, as clients in other languages write it."""
    return BeforeValidator(lambda value: kind() if value is None else value)


Parameters = Annotated[dict[str, Any], _null_as_empty(dict), Field(default_factory=dict)]


class TensorOut(_Part):
    """A requested output."""

    name: str
    parameters: Parameters


class TensorIn(_Part):
    """An input: its values in JSON, or the size of its part of the bytes after the JSON."""

    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2)]
    parameters: Parameters
    data: list[Any] | None = None


class Inference(_Part):
    """The body of an inference request; KServe's client repeats model and version in it."""

    inputs: Annotated[list[TensorIn], Field(min_length=1)]
    outputs: Annotated[list[TensorOut], _null_as_empty(list), Field(default_factory=list)]
    parameters: Parameters
    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True)
class Tensors:
    """The tensors of a request: each a flat list or array, with its shape."""

    id: str | None
    values: dict[str, Any]
    shapes: dict[str, list[int]]
    binary: bool
    """Whether the response shall be in bytes."""


def parse_body(body: bytes) -> Any:
    """Parse a JSON body; NaN, Infinity and repeated keys are refused.

    Parsers differ in which of two equal keys they keep, so a proxy could read another item than
    the server predicts.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefused(400, f"the body is not JSON: {error}") from None
    if len(_KEY.findall(body)) != _keys(value):  # a repeated key, or a text that looks like a key
        try:
            json.loads(body, object_pairs_hook=_unique_keys)
        except RecursionError:
            raise RequestRefused(400, "the body is nested too deeply") from None
    return value


def _keys(value: Any) -> int:
    """The number of keys where every list holds one type; else a lower bound of it."""
    keys, stack = 0, [value]
    while stack:
        one = stack.pop()
        if type(one) is dict:
            keys += len(one)
            stack += one.values()
        elif type(one) is list and one and type(one[0]) in (dict, list):
            stack += one
    return keys


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        ((key, times),) = Counter(name for name, _ in pairs).most_common(1)
        raise RequestRefused(400, f"the key {key!r:.60} stands {times} times in one object")
    return mapping


def explain_error(error: ValidationError) -> str:
    """The first fault of a body, as a reason."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    return f"{where}: {first['msg']}, got {first['input']!r:.60}"


def read_tensors(body: bytes, header: str | None, kinds: dict[str, str]) -> Tensors:
    """Read a request's tensors; their names and datatypes must be among `kinds`."""
    size = _header_size(header, len(body))
    try:
        inference = Inference.model_validate(parse_body(body[:size]))
    except ValidationError as error:
        raise RequestRefused(400, explain_error(error)) from None
    if wrong := sorted({out.name for out in inference.outputs} - {RISK_TENSOR}):
        raise RequestRefused(400, f"there is no output {wrong[0]!r:.60}, only {RISK_TENSOR!r}")
    values, rest = {}, memoryview(body)[size:]
    for tensor in inference.inputs:
        if kinds.get(tensor.name) != tensor.datatype or tensor.name in values:
            raise RequestRefused(400, f"wanted is one each of {kinds}; got {tensor.name!r:.60}, "
                               f"{tensor.datatype!r:.20}")  # fmt: skip
        values[tensor.name], rest = _values(tensor, rest)
        if len(values[tensor.name]) != (wanted := math.prod(tensor.shape)):
            raise RequestRefused(
                400, f"{tensor.name} has {len(values[tensor.name])} values, its shape says {wanted}"
            )
    if len(rest):
        raise RequestRefused(400, f"{len(rest)} bytes belong to no tensor")
    shapes = {tensor.name: tensor.shape for tensor in inference.inputs}
    return Tensors(inference.id, values, shapes, _wants_bytes(inference))


def _header_size(header: str | None, whole: int) -> int:
    if header is None:
        return whole
    if not (header.isascii() and header.isdigit() and len(header) < 10 and int(header) <= whole):
        raise RequestRefused(400, f"{HEADER} is {header!r:.20}, the body has {whole} bytes")
    return int(header)


def _wants_bytes(inference: Inference) -> bool:
    own = inference.outputs[0].parameters.get("binary_data") if inference.outputs else None
    return bool(inference.parameters.get("binary_data_output") if own is None else own)


def _values(tensor: TensorIn, rest: memoryview) -> tuple[Any, memoryview]:
    """A tensor's values, flat, and the remaining bytes."""
    size = tensor.parameters.get("binary_data_size")
    if tensor.data is not None and size is None:
        return _flat(tensor), rest
    if tensor.data is not None or type(size) is not int or not 0 <= size <= len(rest):
        raise RequestRefused(
            400, f"{tensor.name} needs data, or a binary_data_size within the body"
        )
    content = rest[:size]
    if tensor.datatype == "BYTES":
        return _texts(tensor.name, content), rest[size:]
    wire = np.dtype(_WIRE[tensor.datatype])
    if size % wire.itemsize:
        raise RequestRefused(400, f"{tensor.name} has {size} bytes, {wire.itemsize} make a value")
    values = np.frombuffer(content, wire)
    return values if tensor.datatype == "FP32" else values.tolist(), rest[size:]


def _flat(tensor: TensorIn) -> list[Any]:
    data = tensor.data or []
    if data and all(type(row) is list for row in data):
        data = list(chain.from_iterable(data))
    if wrong := set(map(type, data)) - _JSON_TYPES[tensor.datatype]:
        raise RequestRefused(
            400, f"{tensor.name} holds {wrong.pop().__name__}, not {tensor.datatype}"
        )
    return data


def _texts(name: str, content: memoryview) -> list[str]:
    """Decode texts, each preceded by its length in four bytes."""
    texts, at = [], 0
    try:
        while at < len(content):
            (length,) = struct.unpack_from("<I", content, at)
            at += 4 + length
            if at > len(content):
                raise ValueError("its last text is cut off")
            texts.append(str(content[at - length : at], "utf-8"))
    except (struct.error, ValueError) as error:
        raise RequestRefused(400, f"{name} is no list of texts: {error}") from None
    return texts


def items(tensors: Tensors) -> list[RequestItem]:
    """The items in a request's tensors."""
    lengths = {len(values) for values in tensors.values.values()}
    if missing := [name for name in _REQUIRED if name not in tensors.values]:
        raise RequestRefused(400, f"{len(missing)} tensor(s) are missing: {', '.join(missing)}")
    if len(lengths) != 1:
        per = USECASE.words.event
        raise RequestRefused(400, f"the tensors have {sorted(lengths)} values; one each per {per}")
    columns = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in tensors.values.items()}
    rows = [{name: values[row] for name, values in columns.items()} for row in range(lengths.pop())]
    try:
        return _ITEMS.validate_python(rows)
    except ValidationError as error:
        raise RequestRefused(400, explain_error(error)) from None


def input_matrix(tensors: Tensors) -> np.ndarray:
    """The rows of FEATURES in a request's one tensor (float32), NaN where a value is missing."""
    values, shape = tensors.values[INPUT_TENSOR], tensors.shapes[INPUT_TENSOR]
    if len(shape) != 2 or shape[1] != len(FEATURES):
        raise RequestRefused(
            400, f"{INPUT_TENSOR} has the shape {shape}, wanted is [n, {len(FEATURES)}]"
        )
    try:
        with np.errstate(over="raise"):  # a number of JSON is finite, but may be too large
            rows = np.array(values, dtype="float32").reshape(shape)
        is_infinite = isinstance(values, np.ndarray) and bool(np.isinf(values).any())
    except FloatingPointError:
        is_infinite = True
    if is_infinite:
        raise RequestRefused(400, f"{INPUT_TENSOR} holds a number that is infinite as FP32")
    return rows


def encode_response(
    model: str, version: str, request_id: str, risk: np.ndarray, binary: bool
) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers."""
    content = risk.astype("<f4").tobytes() if binary else b""
    output: dict[str, Any] = {"name": RISK_TENSOR, "datatype": "FP32", "shape": [len(risk)]}
    if binary:
        output["parameters"] = {"binary_data_size": len(content)}
    else:
        output["data"] = risk.tolist()
    body = {"model_name": model, "model_version": version, "id": request_id, "outputs": [output]}
    head = orjson.dumps(body)
    if not binary:
        return head, {"content-type": "application/json"}
    return head + content, {
        "content-type": "application/octet-stream",
        HEADER: str(len(head)),
    }


def metadata(model: str, version: str, kinds: dict[str, str]) -> dict[str, Any]:
    """A model's inputs and outputs; -1 stands for any number of rows."""
    width = {INPUT_TENSOR: [-1, len(FEATURES)]}
    return {
        "name": model,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": name, "datatype": kind, "shape": width.get(name, [-1])}
            for name, kind in kinds.items()
        ],
        "outputs": [{"name": RISK_TENSOR, "datatype": "FP32", "shape": [-1]}],
    }
