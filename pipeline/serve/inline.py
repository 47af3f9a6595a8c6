"""Work that the event loop does itself, because it is brief.

A thread costs a request two wake-ups and a struggle for the interpreter, which takes longer than a
small prediction. So a small body is parsed and computed at once, while such work is brief. What is
large or has become slow goes to a thread, and the loop stays free (a circuit breaker); what reads a
store is never done here.
"""

import time

SMALL_BYTES = 8_192
"""The largest body of small work: several rows."""
_WEIGHT = 0.05
"""Weight of the newest work in the moving average, which covers some twenty requests."""
_OUTLIER = 10
"""Work counts as so many times the limit at most: one interruption by another process is no sign
that the work has become slow, and a few in a row are."""
_REST = 100
"""Slow work is tried again after so many times its own time: a hundredth of the loop's."""


class Inline:
    """The mean time of small work in the event loop, and whether the next is done there."""

    def __init__(self, connections: int, queue_seconds: float):
        """Brief work: if every connection asks at once, the last waits `queue_seconds` at most."""
        self._most, self._mean = queue_seconds / connections, 0.0
        self._ended = self._rest = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the event loop does the next small work: it is brief, or due to be tried."""
        return self._mean <= self._most or time.perf_counter() - self._ended >= self._rest

    def record_work(self, seconds: float) -> None:
        """Add the time that work in the event loop took to the moving average."""
        counted = min(seconds, _OUTLIER * self._most)
        self._mean += (counted - self._mean) * _WEIGHT
        self._ended, self._rest = time.perf_counter(), _REST * seconds
