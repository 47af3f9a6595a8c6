"""The gate: how many requests are inside at once, and which are sent away before they are read.

Past its capacity a server that reads, parses and then refuses spends its time on refusals. So a
request is refused by one comparison, as soon as its head is there, when those inside would keep it
waiting for longer than an answer may wait for its turn.
"""

import threading

_WEIGHT = 0.05
"""Of the newest request in the mean time: some twenty requests are remembered."""


_FEWEST = 16
"""Work takes longer while others have the processor: by its time alone, nobody would be let in."""


class Gate:
    """Counts requests for predictions: from the end of the body until the work for it is done."""

    def __init__(self, most: int, queue_seconds: float):
        """`most` requests at a time, and no more than are answered within `queue_seconds`."""
        self._most, self._queue_seconds = most, queue_seconds
        self.inside, self._mean, self._lock = 0, 0.0, threading.Lock()

    def refuses(self, method: bytes) -> bool:
        """Whether a request is to be sent away: all that is posted is for a prediction."""
        return method == b"POST" and self.full

    @property
    def full(self) -> bool:
        """Whether one more would wait too long; a few always may, or nothing would be done."""
        if self.inside < min(_FEWEST, self._most):
            return False
        return self.inside >= self._most or self.inside * self._mean > self._queue_seconds

    @property
    def reason(self) -> str:
        """Why a request is sent away."""
        wait, most = 1000 * self.inside * self._mean, 1000 * self._queue_seconds
        return (
            f"{self.inside} requests are inside, at most {self._most} may be; an answer would wait "
            f"{wait:.0f} ms, at most {most:.0f} ms are allowed; come again"
        )

    def enter(self) -> None:
        """Let a request in."""
        with self._lock:
            self.inside += 1

    def leave(self) -> None:
        """The work for a request is done, whether or not somebody still waits for it."""
        with self._lock:
            self.inside -= 1

    def worked(self, seconds: float) -> None:
        """Learn how long the work for one request took, without its wait."""
        self._mean += (seconds - self._mean) * (_WEIGHT if self._mean else 1.0)
