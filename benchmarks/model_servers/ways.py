"""The ways to a risk: the same rows as each server wants them, and where answers have risks."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.closed_loop import once
from benchmarks.model_servers.launch import Running
from benchmarks.serving import asked, flights_of, request, vectors
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig

OURS = ("features", "store")
"""Our two paths, which one server answers: the features are in the request, or in its store."""
NAMES = (*OURS, "mlflow", "kserve", "bentoml", "litserve", "mlserver", "bare")
BATCH = 256
"""Rows in a request of many."""
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Way:
    """A server, requests of one row, a request of many, and where its answer has the risks."""

    server: str
    requests: list[bytes]
    batch: bytes
    risks: Callable[[Any], list[float]] | None


def _tensor(rows: list[list[float]]) -> Any:
    flat = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    return {"inputs": [{"name": "inputs", "datatype": "FP32", "shape": shape, "data": flat}]}


def _plain(rows: list[list[float]]) -> Any:
    return {"inputs": rows}


def _flights(told: list[dict[str, Any]]) -> Any:
    return {"flights": told}


def _tensor_of(found: Any) -> list[float]:
    return list(found["outputs"][0]["data"])


def _risk_of(found: Any) -> list[float]:
    return list(found["risk"])


def _probabilities_of(found: Any) -> list[float]:
    return [each[1] for each in found["predictions"]["probabilities"]]


def ways(names: list[str]) -> tuple[dict[str, Way], np.ndarray]:
    """Every way by name, and the rows of a batch as the runtime takes them."""
    schedule, table = asked()
    told, rows = flights_of(schedule), vectors(table)
    ours = f"/v2/models/{load(RegisterConfig).model_name}-features/infer"
    every: dict[str, Any] = {
        "features": ("ours", ours, _tensor, _tensor_of),
        "store": ("ours", "/predict", _flights, None),
        "mlflow": (
            "mlflow",
            "/invocations",
            lambda rows: {"inputs": _plain(rows)},
            _probabilities_of,
        ),
        "kserve": ("kserve", "/v2/models/risk/infer", _tensor, _tensor_of),
        "mlserver": ("mlserver", "/v2/models/risk/infer", _tensor, _tensor_of),
        **{name: (name, "/predict", _plain, _risk_of) for name in ("bentoml", "litserve", "bare")},
    }
    found = {}
    for name in names:
        server, url, body, risks = every[name]
        of = told if name == "store" else rows
        single = [request(url, body([one])) for one in of]
        found[name] = Way(server, single, request(url, body(of[:BATCH])), risks)
    return found, np.asarray(rows[:BATCH], dtype="float32")


def agree(of: dict[str, Way], servers: dict[str, Running]) -> None:
    """Whether all give the same risks for the same rows; a comparison of others is none.

    The store's features are not those of the rows, which lack nothing, so it is left out.
    """
    found = {
        name: way.risks(json.loads(once(servers[way.server].port, way.batch)))
        for name, way in of.items()
        if way.risks is not None
    }
    first, *others = found
    for name in others:
        apart = float(np.abs(np.subtract(found[name], found[first])).max())
        assert apart < TOLERANCE, f"{name} differs from {first} by {apart}"
