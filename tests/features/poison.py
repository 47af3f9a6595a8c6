"""Poison: raw tables in which whatever becomes known at or after an instant is absurd."""

from datetime import timedelta

import pandas as pd

DAY = timedelta(days=1)
SEES = 29 * DAY
"""No feature looks back further, so the rows `around` an instant tell what all rows would."""


def poisoned(flights, weather, at):
    """Raw tables in which every outcome known at or after `at` is absurd, and known no earlier.

    A flight that is late by then stays so: that much was known.
    """
    flights, weather = flights.copy(), weather.copy()
    for leg in ("dep", "arr"):
        open_ = ~(flights[f"{leg}_utc"] < at)
        overdue = flights[f"sched_{leg}_utc"] + timedelta(minutes=15) < at
        flights.loc[open_, f"{leg}_utc"] = at
        flights.loc[open_ & overdue, f"{leg}_delay"] = 9999.0
        flights.loc[open_ & ~overdue, f"{leg}_delay"] = -9999.0
    late = weather["observed_utc"] + timedelta(hours=1) >= at
    observed = weather.select_dtypes("float").columns
    absurd = [1e6 * (place + 1) * (-1) ** place for place in range(len(observed))]
    weather.loc[late, observed] = absurd
    return flights, weather


def around(published, at):
    """The raw rows of 30 days before an instant and half a day after it."""
    columns = {"flights": "sched_dep_utc", "weather": "observed_utc"}
    return [
        published[table][published[table][column].between(at - 30 * DAY, at + DAY / 2)]
        for table, column in columns.items()
    ]


def instants_of(frame, size):
    """Prediction instants of February and March at random, and one on the night of the DST."""
    later = frame.loc[frame["month"] > 1, "predict_at"].drop_duplicates()
    night = later[later > pd.Timestamp("2013-03-10 07:00Z")].min()
    return [*later.sample(size - 1, random_state=2013), night]
