"""The simulated clock: the data decide what has arrived and is known, never now()."""

import pandas as pd

LABELS_COMPLETE = pd.Timedelta(hours=34)
"""A day's data are complete at 10:00 UTC of the next day, and so are the labels of a use case that
states no later instant (the latest of a flight is known 13.9 h after T)."""
_FILE_ARRIVES = pd.Timedelta(hours=10)


def months(first: str, last: str) -> list[str]:
    """The months from `first` to `last`, both included, as "YYYY-MM".

    Where `last` is a day within its month, the last one is that month's beginning: "2013-05-12".
    """
    months = [str(month) for month in pd.period_range(first, last[:7], freq="M")]
    return months if last_day(last) == last_day(months[-1]) else [*months[:-1], last]


def last_day(arrived: str) -> str:
    """The last day of a month ("2013-05"), or of its beginning ("2013-05-12"), as a date."""
    return str(pd.Period(arrived, freq="M" if len(arrived) == 7 else "D").end_time.date())


def arrived_at(arrived: str) -> pd.Timestamp:
    """The instant at which a month, or its beginning, is complete: 10:00 UTC after its last day."""
    return pd.Timestamp(last_day(arrived), tz="UTC") + LABELS_COMPLETE


def next_arrival(known: pd.Series) -> pd.Series:
    """The first 10:00 UTC at or after each instant: the daily file's arrival."""
    return (known - _FILE_ARRIVES).dt.ceil("D") + _FILE_ARRIVES


def labels_due(latest: pd.Timedelta) -> pd.Timedelta:
    """A day's first arrival with all its labels, which are known `latest` after its midnight."""
    return max(LABELS_COMPLETE, (latest - _FILE_ARRIVES).ceil("D") + _FILE_ARRIVES)
