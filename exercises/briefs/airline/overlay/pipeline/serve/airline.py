"""The champion by the airline's contract: the features come with the request, nothing is joined.

What the contract has no field for, such as the weather, is missing, as on a day without a feed.
"""

import argparse
import sys
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
from pipeline.registry.release_loader import (
    LoadedRelease,
    export,
    load_release,
    warm_up_failure,
)
from pipeline.shared.errors import ReleaseRefused
from pipeline.shared.loopback import HOST


class Flight(BaseModel):
    """One flight as the schedule has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    carrier: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    month: Annotated[int, Field(ge=1, le=12)]
    day_of_week: Annotated[int, Field(ge=0, le=6)]
    minute: Annotated[int, Field(ge=0, le=1439)]
    distance: Annotated[int, Field(ge=10, le=6000)]
    block_minutes: Annotated[int, Field(ge=10, le=1440)]


class Flights(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    flights: Annotated[list[Flight], Field(min_length=1, max_length=1000)]


def inputs(flight: Flight, features: list[str]) -> list[float]:
    """The model's inputs for a flight; NaN where the contract has no field."""
    known: dict[str, float] = {"sched_minute": flight.minute, "day_of_week": flight.day_of_week}
    known |= {"distance": flight.distance, "block_minutes": flight.block_minutes}
    named = {"origin": flight.origin, "carrier": flight.carrier}
    for name in features:
        column, _, value = name.partition("_is_")
        if column in named:
            known[name] = float(named[column] == value)
    return [known.get(name, float("nan")) for name in features]


def create_app(release: LoadedRelease) -> Starlette:
    """The app over a verified release."""

    async def health(_: Request) -> Response:
        return _json({"ready": True})

    async def predict(request: Request) -> Response:
        try:
            asked = Flights.model_validate_json(await request.body())
        except ValidationError as error:
            return _json({"reason": _explain(error)}, 422)
        rows = [inputs(flight, release.model.features) for flight in asked.flights]
        risk = release.model.predict_matrix(np.array(rows, dtype="float32"))
        return _json({"late": risk.tolist()})

    return Starlette(
        routes=[Route("/health", health), Route("/predict", predict, methods=["POST"])]
    )


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def main() -> None:
    """Serve the champion until a signal."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.serve.airline")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    release = load_release(export("champion"))
    if reason := warm_up_failure(release):
        raise ReleaseRefused(reason)
    app = create_app(release)
    uvicorn.run(app, host=HOST, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    sys.exit(run_command(main))
