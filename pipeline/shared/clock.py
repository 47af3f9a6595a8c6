"""The replay's clock: what has arrived and what is known is asked of the data, never of now()."""

import pandas as pd

LABELS_COMPLETE = pd.Timedelta(hours=34)
"""A day's labels are complete at 10:00 UTC of the next day (the latest is known 13.9 h after T)."""


def months(first: str, last: str) -> list[str]:
    """The months from `first` to `last`, both included, as "YYYY-MM"."""
    return [str(month) for month in pd.period_range(first, last, freq="M")]


def arrived_at(month: str) -> pd.Timestamp:
    """The instant at which a month's snapshot is complete: 10:00 UTC after its last day."""
    last_day = pd.Period(month, freq="M").end_time.normalize()
    return last_day.tz_localize("UTC") + LABELS_COMPLETE
