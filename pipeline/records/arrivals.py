"""Flights and weather as they stand at an instant: accepted snapshots, then what came after them.

Snapshots are monthly; the published files fill in the days from the last snapshot to the requested
instant. In production these would be two tables of one warehouse.
"""

import pandas as pd

from pipeline.features.build import read_accepted
from pipeline.features.windows import ZONE
from pipeline.shared import clock
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import DayUnknown
from pipeline.usecase.chosen import USECASE

YEAR_ENDS = pd.Timestamp("2014-01-01", tz=ZONE).tz_convert("UTC")


def read_until(last: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read flights and weather up to an instant: accepted snapshots, then raw published rows.

    Raises:
        DayUnknown: the published year ends earlier.
    """
    config = load(IngestConfig)
    last_arrived = int(clock.last_day(config.as_of).replace("-", ""))
    flights, weather = read_accepted()
    tables = USECASE.read_source(config)
    parts = []
    for known, published, column in (
        (flights, tables["flights"], "sched_dep_utc"),
        (weather, tables["weather"], "observed_utc"),
    ):
        day = published["year"] * 10_000 + published["month"] * 100 + published["day"]
        later = published[(day > last_arrived) & (published[column] < last)]
        parts.append(pd.concat([known, later], ignore_index=True))
    require_published(tables["flights"], last)
    return parts[0], parts[1]


def require_published(flights: pd.DataFrame, last: pd.Timestamp) -> None:
    """Refuse an instant beyond the last published flight.

    Raises:
        DayUnknown: the flights end a day or more earlier.
    """
    if (ends := flights["sched_dep_utc"].max()) < last - pd.Timedelta(days=1):
        raise DayUnknown(
            f"the published flights end on {ends:%Y-%m-%d}, traffic is wanted until "
            f"{last:%Y-%m-%d}; start the year again: `mv state state-before`, then "
            "`make evaluate register`"
        )
