"""The cost of commands and of serving: processor seconds, bytes, dollars at an assumed price; pure.

Unit costs are sums over what was paid for, divided by what users got. What nobody measured is left
out on both sides and counted, never taken for free.
"""

import math
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from pipeline.records.command_runs import RUNS, CommandRun, read_runs
from pipeline.records.request_log import read_predictions
from pipeline.shared.callers import UNPROVEN
from pipeline.shared.errors import UsageError

SERVE = "serve"
MILLION = 1_000_000
_TEXTS = ("request_id", "arm", "version", "release", "flight", "flags")
_BLOBS = ("features", "known_at")
_NUMBERS = ("id", "row", "predict_at", "risk", "answered_at", "seconds")
_NUMBER_BYTES = 8


class CommandCost(TypedDict):
    """The cost of a command's runs, whether done or refused.

    `runs` counts all of them, `unmeasured` those whose `processor_seconds` is None;
    `processor_seconds` is the sum over the others, `dollars` the same in money.
    """

    runs: int
    unmeasured: int
    processor_seconds: float
    dollars: float


class ServingCost(TypedDict):
    """The cost of answering online, of the measured runs of the command "serve".

    A run lasts from `ended_at - seconds` to `ended_at`, both included. `processor_seconds` is the
    sum over measured runs. `predictions` counts the rows of the log that were answered
    (`answered_at`) within a measured run, each row once, though two servers may run at a time; a
    row by an arm of UNPROVEN (pipeline/shared/callers.py) reached no user and does not count.

    `busy_share` is `processor_seconds` over the `seconds` of the same runs. A quotient whose
    denominator is 0 is None.
    """

    processor_seconds: float
    predictions: int
    processor_seconds_a_million: float | None
    dollars_a_million: float | None
    busy_share: float | None


class StorageCost(TypedDict):
    """The size of the request log, whoever asked and whenever.

    `bytes` sums over all rows: texts (request_id, arm, version, release, flight, flags) in UTF-8,
    blobs (features, known_at) as they are, and 8 for each number (id, row, predict_at, risk,
    answered_at, seconds); None takes nothing. `predictions` counts the rows by an arm that is not
    in UNPROVEN, `bytes_a_million` is of so many of those; None without any.
    """

    bytes: int
    predictions: int
    bytes_a_million: float | None


class Report(TypedDict):
    """The three parts of a cost report; `commands` by the command's name."""

    commands: dict[str, CommandCost]
    serving: ServingCost
    storage: StorageCost


def by_command(runs: list[CommandRun], price: float) -> dict[str, CommandCost]:
    """The cost of each command that was run, at `price` dollars a processor and hour.

    Raises:
        UsageError: the price is not a positive finite number; names it.
    """
    a_second = _dollars_a_second(price)
    found = {}
    for command in dict.fromkeys(run.command for run in runs):
        own = [run for run in runs if run.command == command]
        seconds = _processor_seconds(own)
        found[command] = CommandCost(
            runs=len(own),
            unmeasured=len(own) - len(_measured(own)),
            processor_seconds=seconds,
            dollars=a_second * seconds,
        )
    return found


def serving(runs: list[CommandRun], predictions: pd.DataFrame, price: float) -> ServingCost:
    """The cost of a million predictions; `predictions` as `request_log.read_predictions` gives.

    Raises:
        UsageError: the price is not a positive finite number; names it.
    """
    a_second = _dollars_a_second(price)
    served = _measured([run for run in runs if run.command == SERVE])
    seconds = _processor_seconds(served)
    answered = _of_users(predictions)["answered_at"].to_numpy(dtype="float64")
    within = np.zeros(len(answered), dtype=bool)
    for run in served:
        within |= (answered >= run.ended_at - run.seconds) & (answered <= run.ended_at)
    count = int(within.sum())
    a_million = _quotient(seconds * MILLION, count)
    return ServingCost(
        processor_seconds=seconds,
        predictions=count,
        processor_seconds_a_million=a_million,
        dollars_a_million=None if a_million is None else a_second * a_million,
        busy_share=_quotient(seconds, sum(run.seconds for run in served)),
    )


def storage(predictions: pd.DataFrame) -> StorageCost:
    """The bytes that the request log holds; `predictions` as `request_log.read_predictions`."""
    total = sum(len(text.encode()) for name in _TEXTS for text in predictions[name].dropna())
    total += sum(len(blob) for name in _BLOBS for blob in predictions[name].dropna())
    total += sum(_NUMBER_BYTES * int(predictions[name].notna().sum()) for name in _NUMBERS)
    count = len(_of_users(predictions))
    return StorageCost(
        bytes=total, predictions=count, bytes_a_million=_quotient(total * MILLION, count)
    )


def report(log_url: str, price: float, runs_path: Path = RUNS) -> Report:
    """The whole report from the recorded runs and the request log; either may not be there yet.

    Raises:
        UsageError: the price is not a positive finite number; names it.
    """
    _dollars_a_second(price)  # before a long log is read
    runs, predictions = read_runs(runs_path), read_predictions(log_url)
    return Report(
        commands=by_command(runs, price),
        serving=serving(runs, predictions, price),
        storage=storage(predictions),
    )


def _dollars_a_second(price: float) -> float:
    if not (math.isfinite(price) and price > 0):
        raise UsageError(f"a processor's price is {price} dollars an hour, it must be above 0")
    return price / 3600


def _measured(runs: list[CommandRun]) -> list[CommandRun]:
    return [run for run in runs if run.processor_seconds is not None]


def _processor_seconds(runs: list[CommandRun]) -> float:
    return float(sum(run.processor_seconds or 0.0 for run in runs))


def _of_users(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[~predictions["arm"].isin(UNPROVEN)]


def _quotient(above: float, below: float) -> float | None:
    return above / below if below else None
