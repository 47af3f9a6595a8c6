"""The interface of live traffic: events in request order, and a source that sends the requests.

A rollout sends nothing itself. Here users of the simulated year send requests; in production a
source would follow the proxy's own users.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd

from pipeline.features.online_store import Store

CLIENTS = 6
"""Requests that are in flight at once."""


@dataclass(frozen=True)
class Reply:
    """A user's response: code 0 is no response at all."""

    code: int
    seconds: float
    request_id: str
    version: str

    @property
    def failed(self) -> bool:
        """Whether it has no prediction."""
        return self.code != 200


class Traffic(Protocol):
    """Some days of events, in request order.

    `events` has a row per event: its features as the offline join gives them, its label and its
    `name`; `at` is each event's T in minutes since EPOCH.
    """

    @property
    def events(self) -> pd.DataFrame:
        """The events, one a row."""

    @property
    def at(self) -> np.ndarray:
        """The minute of each event's T."""

    def since(self, place: int) -> Self:
        """The traffic after so many events."""

    def send(
        self, port: int, key: str, store: Store, grid: int
    ) -> Generator[tuple[int, list[Reply], int], None, None]:
        """Send users' requests to the proxy's port for known callers, as simulated time passes.

        Yields after each batch its minute, its replies and its number of events.
        """


class Source(Protocol):
    """A source of live traffic."""

    def traffic(self, first: pd.Timestamp, days: int) -> Traffic:
        """The events of so many days from an instant, a local midnight.

        Raises:
            DayUnknown: the source ends earlier.
        """
