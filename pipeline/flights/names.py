"""Flight names, such as "2013-04-18/UA/1545/EWR", with New York's date.

Request log, label ledger, rollout traffic and `make explain` join on this name, so it is built here
alone.
"""

from datetime import date

import pandas as pd

from pipeline.flights.events import ZONE

PATTERN = r"\d{4}-\d\d-\d\d/[A-Z0-9]{2}/\d{1,4}/[A-Z]{3}"


def flight_name(day: date | str, carrier: str, number: int, origin: str) -> str:
    """The name of a flight; `day` is the date of its scheduled departure in New York."""
    return f"{day}/{carrier}/{number}/{origin}"


def flight_names(rows: pd.DataFrame) -> pd.Series:
    """The names of flights, from their scheduled departures and the columns of their schedule."""
    day = rows["sched_dep_utc"].dt.tz_convert(ZONE).dt.normalize()
    dates = day.map({at: f"{at:%Y-%m-%d}" for at in day.unique()})
    columns = [dates, *(rows[name] for name in ("carrier", "flight", "origin"))]
    names = [flight_name(*values) for values in zip(*columns, strict=True)]
    return pd.Series(names, index=rows.index, dtype="object")


def carriers(flights: pd.Series) -> pd.Series:
    """The carrier in each flight's name."""
    return flights.str[11:13]


def from_names(flights: pd.Series) -> dict[str, pd.Series]:
    """The origin and the carrier in each flight's name."""
    return {"origin": flights.str[-3:], "carrier": carriers(flights)}
