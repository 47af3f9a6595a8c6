"""The simulated year, a source of live traffic for rollouts and for the closed loop."""

from dataclasses import dataclass

import pandas as pd

from pipeline.features import windows
from pipeline.records.arrivals import read_until, require_published
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.usecase.chosen import USECASE
from simulation.traffic import ORDER, ReplayedTraffic, between, traffic_of


@dataclass(frozen=True)
class Year:
    """The simulated year as a source of traffic.

    `frame` holds the year's events with their features as the offline join gives them, `views` the
    rows of each view until the year's end: prepared once by a caller with many calls. Without them
    each call reads the published files.
    """

    frame: pd.DataFrame | None = None
    views: dict[str, pd.DataFrame] | None = None

    def traffic(self, first: pd.Timestamp, days: int) -> ReplayedTraffic:
        """The events of so many days from an instant, a midnight of the use case's zone.

        Raises:
            DayUnknown: the published year ends earlier.
        """
        local = first.tz_convert(windows.ZONE) + pd.DateOffset(days=days)
        last = pd.Timestamp(local).tz_convert("UTC")
        if self.frame is None or self.views is None:
            return between(*read_until(last), first, last)
        require_published(self.frame, first)
        chosen = self.frame[USECASE.events.instant].between(first, last, inclusive="left")
        frame = self.frame[chosen].sort_values(ORDER, ignore_index=True)
        return traffic_of(frame, self.views, load(FeaturesConfig))
