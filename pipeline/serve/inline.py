"""Work that the event loop does itself, because it is brief.

A thread costs a request two wake-ups and a struggle for the interpreter, which takes longer than a
small prediction. So a small body is parsed and computed at once, while such work is brief; what is
large, has become slow, or reads a store keeps its thread, and the loop stays free.
"""

SMALL_BYTES = 8_192
"""The largest body of small work: several rows."""
_WEIGHT = 0.05
"""Weight of the newest work in the moving average, which covers some twenty requests."""


class Inline:
    """The mean time of small work, and so whether it is brief enough for the event loop."""

    def __init__(self, connections: int, queue_seconds: float):
        """Brief work: if every connection asks at once, the last waits `queue_seconds` at most."""
        self._most, self._mean = queue_seconds / connections, 0.0

    @property
    def is_brief(self) -> bool:
        """Whether the event loop may do small work; before any is known it may not."""
        return 0 < self._mean <= self._most

    def record_work(self, seconds: float) -> None:
        """Add the time that small work took to the moving average."""
        self._mean += (seconds - self._mean) * (_WEIGHT if self._mean else 1.0)
