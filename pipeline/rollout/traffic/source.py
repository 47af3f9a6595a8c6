"""Live traffic as a rollout sees it: the flights that are asked for, and who sends the requests.

A rollout sends nothing itself. Here the users of the simulated year ask; in production a source
would follow the proxy's own users.
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
    """What a user got: code 0 is no answer at all."""

    code: int
    seconds: float
    request_id: str
    version: str

    @property
    def failed(self) -> bool:
        """Whether it holds no prediction."""
        return self.code != 200


class Traffic(Protocol):
    """Some days of flights, in the order in which they are asked for.

    `flights` has a row per flight: its features as the offline join gives them, its label and its
    `name`; `at` is each flight's T in minutes since EPOCH.
    """

    @property
    def flights(self) -> pd.DataFrame:
        """The flights."""

    @property
    def at(self) -> np.ndarray:
        """Their minutes."""

    def since(self, place: int) -> Self:
        """What is left after so many flights."""

    def send(
        self, port: int, key: str, store: Store, grid: int
    ) -> Generator[tuple[int, list[Reply], int], None, None]:
        """Let users ask for it at the proxy's port for known callers, as time passes.

        Yields after each few requests the minute, the replies and how many flights they were for.
        """


class Source(Protocol):
    """A source of live traffic."""

    def traffic(self, first: pd.Timestamp, days: int) -> Traffic:
        """The flights of so many days from an instant on, a midnight in New York.

        Raises:
            DayUnknown: the source ends before.
        """
