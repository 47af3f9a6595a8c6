"""A feature's history, backfilled as it was known: event rows -> values at past predictions.

A backfill is filled day by day into a version of its own, and published once a sample of it equals
what was served. Instants are whole minutes since EPOCH, at least 0; NEVER where there is none.
"""

from pathlib import Path
from typing import TypedDict

import pandas as pd


class Comparison(TypedDict):
    """A sample of served values against a backfill, flight by flight.

    `rows` counts the served rows, `missing` those whose flight the backfill has not, `differ` those
    whose value differs in a single bit; NaN equals NaN. `first` is the first flight of the sample
    that is missing or differs, "" without one.
    """

    rows: int
    missing: int
    differ: int
    first: str


def as_known(
    events: pd.DataFrame, requests: pd.DataFrame, window: int, shrink: float, prior: float
) -> pd.DataFrame:
    """The share of an entity's flights that were late, as it was known at each request.

    `events`, in any order, has a row for each time that something became known of a flight:
    `flight` and `entity` (texts), `happened_at`, `known_at` (minutes), `late` (0.0 or 1.0). A
    flight with several rows was corrected: once a row is known, it replaces those of the same
    flight that were known before it; of two of one minute, the lower in the table replaces the
    other. A row whose `late` is NaN withdraws its flight. A flight's entity does not change.

    `requests`, in any order and with any index, has `entity` and `predict_at` (minutes). At T, the
    rows with T - `window` <= `known_at` < T count that are not replaced by one known before T.

    Returns `value`, float32, (total + shrink * prior) / (count + shrink) over the rows that count,
    and `known_at`, int64, the newest of the entity's rows known before T, withdrawn ones too, or
    NEVER where no row counts; with the requests' index, in their order.

    200,000 requests over 100,000 rows take seconds, not minutes.
    """
    raise NotImplementedError("not written yet")


def compare(filled: pd.DataFrame, served: pd.DataFrame) -> Comparison:
    """A sample of served values against a backfill; both have `flight`, once each, and `value`."""
    raise NotImplementedError("not written yet")


def fill_day(folder: Path, version: str, day: str, rows: pd.DataFrame) -> None:
    """Write a day's rows (`flight`, `predict_at`, `value`, `known_at`) into a version.

    Filling a day again replaces its rows. The file is written whole or not at all.

    Raises:
        LeakFound: a value was known at or after its prediction; says of how many rows.
        FeatureRejected: the version is published: what is read does not change any more.
    """
    raise NotImplementedError("not written yet")


def publish(folder: Path, version: str, days: list[str], served: pd.DataFrame) -> Comparison:
    """Make a version the one that is read, if all its days are filled and its values were served.

    What was published before is read until then, and if this refuses.

    Raises:
        TooLittleData: a day is not filled, or `served` has no row; names the first such day.
        LeakFound: `compare` with `served` finds a row that is missing or differs; says how many.
    """
    raise NotImplementedError("not written yet")


def read(folder: Path) -> pd.DataFrame:
    """The rows of the published version: its days in the order of `publish`, each as filled.

    The index counts from 0. A day that was filled and not published is not read.

    Raises:
        ArtifactMissing: nothing is published yet.
    """
    raise NotImplementedError("not written yet")
