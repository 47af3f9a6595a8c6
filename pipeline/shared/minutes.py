"""Instants as whole minutes (UTC) since EPOCH: how views, stores and logs keep them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

EPOCH = pd.Timestamp("2012-12-01", tz="UTC")
NEVER = np.iinfo("int64").min
_EPOCH = int(EPOCH.timestamp()) * 1_000_000
Minutes = np.ndarray
"""int64 minutes since EPOCH, negative before it; NEVER where there is none."""


def minutes(instants: pd.Series) -> Minutes:
    """Instants as whole minutes since EPOCH, NEVER where missing."""
    since = (instants - EPOCH).dt.total_seconds().to_numpy() / 60
    return np.where(np.isnan(since), NEVER, np.nan_to_num(since)).astype("int64")


def instants(since: Minutes) -> pd.Series:
    """The inverse of `minutes`."""
    since = np.asarray(since).astype("int64")  # a column that once held a missing value has floats
    moments = np.where(since == NEVER, NEVER, _EPOCH + since * 60_000_000)  # NEVER is NumPy's NaT
    return pd.Series(moments.view("M8[us]")).dt.tz_localize("UTC")


def durations(minutes: pd.Series) -> pd.Series:
    """Minutes (float) as durations, NaT where NaN.

    pandas computes with memory that it never wrote where a NaN stands, and warns of an overflow by
    chance: a number stands there meanwhile.
    """
    spans = pd.to_timedelta(minutes.fillna(0.0), unit="min").astype("timedelta64[us]")
    return spans.where(minutes.notna())


def instant(minute: int) -> pd.Timestamp:
    """A minute since EPOCH as an instant in UTC."""
    return EPOCH + pd.Timedelta(minutes=minute)


def fill_missing(minutes: Sequence[int | None]) -> Minutes:
    """Minutes as a store returns them, None where there is none."""
    return np.array([NEVER if at is None else at for at in minutes], dtype="int64")
