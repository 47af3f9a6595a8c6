"""The raw events behind a flight's features, for an explanation: its aircraft's last ones."""

import datetime

import numpy as np
import pandas as pd

from pipeline.flights.names import flight_name
from pipeline.shared.domain import Occurrence
from pipeline.shared.minutes import NEVER, minutes


def name_of_row(row: pd.Series) -> str:
    """The name of a row's flight."""
    day = datetime.date(row["year"], row["month"], row["day"])
    return flight_name(day, row["carrier"], row["flight"], row["origin"])


def aircraft_history(flown: pd.DataFrame, at: int) -> list[Occurrence]:
    """The departures and landings of an aircraft that were known at a minute, the newest first."""
    found = []
    for what, column, delay in (
        ("left", "dep_utc", "dep_delay"),
        ("landed", "arr_utc", "arr_delay"),
    ):
        known = minutes(flown[column])
        for place in np.flatnonzero((known != NEVER) & (known < at)).tolist():
            row = flown.iloc[place]
            values = {delay: float(row[delay])}
            found.append(Occurrence(f"{name_of_row(row)} {what}", values, int(known[place])))
    return sorted(found, key=lambda one: one.known, reverse=True)


def landing(flights: pd.DataFrame) -> pd.Series:
    """The instants at which flights are to land, by their schedule."""
    block = pd.to_timedelta(flights["block_minutes"].astype("float64"), unit="m")
    return pd.Series(flights["sched_dep_utc"] + block)
