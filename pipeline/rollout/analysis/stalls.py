"""Bad requests grouped into events: a stall hits all requests that wait for one server.

A paused process, a lost connection or a full queue slows every request that waits for it. The hash
that assigns users to arms is a fair coin per user; a stall of one server is a fair coin per
stall. So an event holds all bad requests that begin within `seconds` of its first one, or before
the first one has ended, and counts for the arm that has more of them.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Events:
    """Events in order: whether each is the challenger's, and the row at which it was over.

    `over` is the first request (of either arm, bad or not) that started after the event; an event
    without one is not counted yet, since its majority may still change.
    """

    is_challenger: np.ndarray
    over: np.ndarray

    def counts(self) -> tuple[int, int]:
        """The number of the challenger's events, and of the baseline's."""
        ours = int(np.count_nonzero(self.is_challenger))
        return ours, len(self.is_challenger) - ours


def bad_events(
    bad: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    is_challenger: np.ndarray,
    seconds: float,
    max_ratio: float = 1.0,
) -> Events:
    """Group the bad requests into events.

    `start` (ascending) and `end` are each request's instants in seconds, `bad` and `is_challenger`
    booleans, all of one length. Events without a majority are dropped. Where the challenger's rate
    may be `max_ratio` times the baseline's, other than 1, a majority is no coin of a known side:
    there the first bad request of an event decides.
    """
    rows = np.flatnonzero(bad)
    begun, sign = start[rows], np.where(is_challenger[rows], 1, -1)
    ours, over, place = [], [], 0
    while place < len(rows):
        limit = max(begun[place] + seconds, end[rows[place]])
        after = max(place + 1, int(np.searchsorted(begun, limit, "left")))
        found = sign[place] if max_ratio != 1 else int(np.sign(sign[place:after].sum()))
        if found:
            ours.append(found > 0)
            over.append(max(int(np.searchsorted(start, limit, "left")), int(rows[after - 1]) + 1))
        place = after
    counted = np.array(over, dtype="int64") < len(start)
    return Events(np.array(ours, dtype=bool)[counted], np.array(over, dtype="int64")[counted])


@dataclass(frozen=True)
class Arms:
    """The requests of both arms for which a rate is known, in the order of their start."""

    bad: np.ndarray
    start: np.ndarray
    is_challenger: np.ndarray


def longest_run(requests: Arms, seconds: float, baseline_bad: float) -> int:
    """The longest run of the challenger's requests that are all bad and last `seconds` or longer.

    A run counts only if the baseline had at least half as many requests meanwhile, at most a share
    `baseline_bad` of them bad: a shared outage is not the challenger's. 0 without such a run.
    """
    ours, theirs = (np.flatnonzero(requests.is_challenger == side) for side in (True, False))
    began = requests.start[theirs]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], requests.bad[ours].astype(int), [0]])))
    longest = 0
    for first, after in edges.reshape(-1, 2):
        start, end = requests.start[ours[first]], requests.start[ours[after - 1]]
        low, high = np.searchsorted(began, start, "left"), np.searchsorted(began, end, "right")
        beside, many = requests.bad[theirs[low:high]], int(after - first)
        compared = 2 * len(beside) >= many and beside.sum() <= baseline_bad * len(beside)
        if end - start >= seconds and compared:
            longest = max(longest, many)
    return longest
