"""The cost of commands and of serving: processor seconds, bytes, dollars at an assumed price; pure.

Unit costs are sums over what was paid for, divided by what users got. What nobody measured is left
out on both sides and counted, never taken for free.
"""

from pathlib import Path
from typing import TypedDict

import pandas as pd

from pipeline.records.command_runs import RUNS, CommandRun


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
    raise NotImplementedError("not written yet")


def serving(runs: list[CommandRun], predictions: pd.DataFrame, price: float) -> ServingCost:
    """The cost of a million predictions; `predictions` as `request_log.read_predictions` gives.

    Raises:
        UsageError: the price is not a positive finite number; names it.
    """
    raise NotImplementedError("not written yet")


def storage(predictions: pd.DataFrame) -> StorageCost:
    """The bytes that the request log holds; `predictions` as `request_log.read_predictions`."""
    raise NotImplementedError("not written yet")


def report(log_url: str, price: float, runs_path: Path = RUNS) -> Report:
    """The whole report from the recorded runs and the request log; either may not be there yet.

    Raises:
        UsageError: the price is not a positive finite number; names it.
    """
    raise NotImplementedError("not written yet")
