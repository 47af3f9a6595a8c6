"""Events and their context as of an instant: accepted snapshots, then what came after them.

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


def read_until(last: pd.Timestamp | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read events and their context up to an instant: accepted snapshots, then raw published rows.

    Without an instant, all that were published.

    Raises:
        DayUnknown: the published year ends earlier.
    """
    config = load(IngestConfig)
    last_arrived = int(clock.last_day(config.as_of).replace("-", ""))
    events, context = read_accepted()
    tables = USECASE.read_source(config)
    parts = []
    for known, table in zip((events, context), USECASE.tables.values(), strict=False):
        published, column = tables[table.name], table.instant
        day = published["year"] * 10_000 + published["month"] * 100 + published["day"]
        later = published[day > last_arrived]
        if last is not None:
            later = later[later[column] < last]
        parts.append(pd.concat([known, later], ignore_index=True))
    if last is not None:
        require_published(tables[USECASE.events.name], last)
    return parts[0], parts[1] if USECASE.context else context


def require_published(events: pd.DataFrame, last: pd.Timestamp) -> None:
    """Refuse an instant beyond the last published event.

    Raises:
        DayUnknown: they end a day or more earlier.
    """
    if (ends := events[USECASE.events.instant].max()) < last - pd.Timedelta(days=1):
        raise DayUnknown(
            f"the published {USECASE.noun} end on {ends:%Y-%m-%d}, traffic is wanted until "
            f"{last:%Y-%m-%d}; {_earlier(ends)}: `mv state state-before`, then "
            "`make evaluate register`"
        )


def _earlier(ends: pd.Timestamp) -> str:
    """The change after which later events are left for traffic."""
    as_of = clock.last_day(load(IngestConfig).as_of)
    if f"{ends.tz_convert(ZONE):%Y-%m-%d}" > as_of:
        return "start the year again"
    return (
        "all of them had arrived by `as_of`, so none is left to send: set an earlier one in "
        "configs/ingest.yaml, `window` in configs/train.yaml, configs/evaluate.yaml and "
        "configs/monitor.yaml to days before it, and start again"
    )
