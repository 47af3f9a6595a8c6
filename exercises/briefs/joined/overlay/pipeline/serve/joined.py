"""The champion over a table of airports, replaced by another version without a stop.

The placed version is a digest in a file, which one command writes and the server reads again. A
release is verified, and predicts its recorded rows, before a request meets it.
"""

import argparse
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import orjson
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.__main__ import run_command
from pipeline.flights.published import AIRPORT_COLUMNS, AIRPORTS_FILE, parse_table
from pipeline.registry.release_loader import (
    LoadedRelease,
    export,
    load_release,
    warm_up_failure,
)
from pipeline.shared import source
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import PipelineError, ReleaseRefused
from pipeline.shared.files import write_text
from pipeline.shared.loopback import HOST

PLACED = Path("state/serve/placed.txt")
Airports = dict[str, tuple[float, float]]


class Flight(BaseModel):
    """One flight as its caller knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    carrier: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(pattern=r"^[A-Z0-9]{3}$")]
    departure: datetime


class Flights(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flights: Annotated[list[Flight], Field(min_length=1, max_length=1000)]


class Serving:
    """The release that serves; another one takes its place between two requests."""

    def __init__(self) -> None:
        """Begin with the placed release, the champion where none was placed."""
        self.release = verified(_placed() or export("champion"))

    def watch(self) -> None:
        """Read again which release is placed; one that cannot serve is reported and left."""
        refused = ""
        while True:
            time.sleep(0.1)
            digest = _placed()
            if digest in ("", refused, self.release.release):
                continue
            try:
                self.release = verified(digest)
            except PipelineError as error:
                refused = digest
                sys.stderr.write(f"joined: {type(error).__name__}: {error}\n")


def _placed() -> str:
    return PLACED.read_text(encoding="utf-8").strip() if PLACED.is_file() else ""


def verified(digest: str) -> LoadedRelease:
    """A release that gives its recorded predictions."""
    release = load_release(digest)
    if reason := warm_up_failure(release):
        raise ReleaseRefused(reason)
    return release


def airports() -> Airports:
    """Latitude and longitude of each airport, in degrees, from the verified table."""
    config, name = load(IngestConfig), AIRPORTS_FILE
    content = source.read_pinned(source.locate(config.source), name, config.files[name])
    table = parse_table(name, content, AIRPORT_COLUMNS)
    return {row.faa: (float(row.lat), float(row.lon)) for row in table.itertuples()}


def miles(known: Airports, origin: str, dest: str) -> float:
    """The great circle between two airports."""
    (a, b), (c, d) = np.radians(known[origin]), np.radians(known[dest])
    half = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return float(2 * 6371.0 * np.arcsin(np.sqrt(half)) / 1.609344)


def inputs(flight: Flight, distance: float, features: list[str]) -> list[float]:
    """The model's inputs for a flight; NaN where neither caller nor table knows."""
    at, named = flight.departure, {"origin": flight.origin, "carrier": flight.carrier}
    known: dict[str, float] = {"sched_minute": at.hour * 60 + at.minute, "distance": distance}
    known["day_of_week"] = at.weekday()
    for name in features:
        column, _, value = name.partition("_is_")
        if column in named:
            known[name] = float(named[column] == value)
    return [known.get(name, float("nan")) for name in features]


def create_app(serving: Serving, known: Airports) -> Starlette:
    """The app over the release that serves at the moment."""

    async def health(_: Request) -> Response:
        return _json({"ready": True})

    async def predict(request: Request) -> Response:
        try:
            flights = Flights.model_validate_json(await request.body()).flights
        except ValidationError as error:
            return _json(
                {"reason": error.errors(include_url=False, include_input=False)[0]["msg"]}, 422
            )
        if unknown := [one.dest for one in flights if one.dest not in known]:
            return _json({"reason": f"no airport {unknown[0]} in a table of {len(known):,}"}, 422)
        far, release = [miles(known, one.origin, one.dest) for one in flights], serving.release
        names = release.model.features
        rows = [inputs(one, way, names) for one, way in zip(flights, far, strict=True)]
        risk = release.model.predict_matrix(np.array(rows, dtype="float32"))
        return _json({"late": risk.tolist(), "miles": far, "version": release.number})

    return Starlette(
        routes=[Route("/health", health), Route("/predict", predict, methods=["POST"])]
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def main() -> None:
    """Serve until a signal, or place another version."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.serve.joined")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--place", default="")
    given = parser.parse_args()
    if given.place:
        return write_text(PLACED, f"{verified(export(given.place)).release}\n")
    serving = Serving()
    threading.Thread(target=serving.watch, daemon=True).start()
    app = create_app(serving, airports())
    return uvicorn.run(app, host=HOST, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    sys.exit(run_command(main))
