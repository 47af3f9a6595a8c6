"""The interface of live traffic: flights in request order, and a source that sends the requests.

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
    """Some days of flights, in request order.

    `flights` has a row per flight: its features as the offline join gives them, its label and its
    `name`; `at` is each flight's T in minutes since EPOCH.
    """

    @property
    def flights(self) -> pd.DataFrame:
        """The flights, one a row."""

    @property
    def at(self) -> np.ndarray:
        """The minute of each flight's T."""

    def since(self, place: int) -> Self:
        """The traffic after so many flights."""

    def send(
        self, port: int, key: str, store: Store, grid: int
    ) -> Generator[tuple[int, list[Reply], int], None, None]:
        """Send users' requests to the proxy's port for known callers, as simulated time passes.

        Yields after each batch its minute, its replies and its number of flights.
        """


class Source(Protocol):
    """A source of live traffic."""

    def traffic(self, first: pd.Timestamp, days: int) -> Traffic:
        """The flights of so many days from an instant, a midnight in New York.

        Raises:
            DayUnknown: the source ends earlier.
        """
