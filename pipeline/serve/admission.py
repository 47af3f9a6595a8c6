"""Admission control (load shedding): surplus requests are refused before they are read.

An overloaded server that reads and parses before it refuses spends its time on refusals. So one
comparison refuses a request as soon as its head has arrived, if the requests inside would keep it
waiting for longer than the configured queueing time.
"""

import threading

_WEIGHT = 0.05
"""Weight of the newest request in the moving average, which covers some twenty requests."""
_MIN_INSIDE = 16
"""Always admitted: on a busy processor the average alone could refuse every request."""


class AdmissionLimit:
    """Counts prediction requests from the end of their body until their work is done."""

    def __init__(self, most: int, queue_seconds: float):
        """Admit at most `most` requests, and no more than can be answered in `queue_seconds`."""
        self._most, self._queue_seconds = most, queue_seconds
        self.inside, self._mean, self._lock = 0, 0.0, threading.Lock()

    def refuses(self, method: bytes) -> bool:
        """Whether to refuse a request; every POST asks for a prediction."""
        return method == b"POST" and self.full

    @property
    def full(self) -> bool:
        """Whether one more request would wait too long; a few are always admitted."""
        if self.inside < min(_MIN_INSIDE, self._most):
            return False
        return self.inside >= self._most or self.inside * self._mean > self._queue_seconds

    @property
    def reason(self) -> str:
        """The refusal's message, with both pairs of numbers."""
        wait, most = 1000 * self.inside * self._mean, 1000 * self._queue_seconds
        return (
            f"{self.inside} requests are inside, at most {self._most} may be; an answer would wait "
            f"{wait:.0f} ms, at most {most:.0f} ms are allowed; retry later"
        )

    def enter(self) -> None:
        """Count a request in."""
        with self._lock:
            self.inside += 1

    def leave(self) -> None:
        """Count a request out once its work is done, even if its caller has gone."""
        with self._lock:
            self.inside -= 1

    def record_work(self, seconds: float) -> None:
        """Add the time that one request's work took, without its wait, to the moving average."""
        self._mean += (seconds - self._mean) * (_WEIGHT if self._mean else 1.0)
