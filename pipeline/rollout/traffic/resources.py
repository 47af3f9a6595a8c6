"""Resource use of each server: read by the supervisor, joined to requests, held to limits.

A leak shows in no response: the process grows until the machine kills it. The challenger is
compared with the baseline, which has as many requests at the same time, so common needs cancel.
"""

import contextlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from pipeline.rollout.analysis.decision import Breaker
from pipeline.shared.config.rollout import Resources
from pipeline.shared.processes import Patience

READINGS = "resources.jsonl"
_SECONDS = 0.25
"""Between two readings of a server: one costs well under a millisecond."""
LEVELS, PROCESSOR = {"memory", "files", "threads"}, "processor"
LABELS = {
    "memory": "MB of memory",
    "files": "open files",
    "threads": "threads",
    PROCESSOR: "ms of processor a request",
    "log": "kB of log",
}
RESOURCE_COLUMNS = list(LABELS)
MAX_AGE_SECONDS = 5.0
"""The largest age of a reading at a request's end: beyond it the supervisor has stopped."""
_FEW = 5
"""Readings whose median is a level: a single one during a request is higher."""


@dataclass
class Readings:
    """The supervisor's file of readings, one line per server and time."""

    path: Path
    _processes: dict[int, Any] = field(default_factory=dict)
    _pause: Patience = field(default_factory=lambda: Patience(0))

    def take(self, servers: dict[str, int]) -> None:
        """Append a reading of each live server, if one is due; `servers` are their pids."""
        if not self._pause.over():
            return
        self._pause = Patience(_SECONDS)
        lines = [
            orjson.dumps({"at": time.time(), "arm": arm, **usage})
            for arm, pid in servers.items()
            if pid and (usage := self._of(pid, self.path.with_name(f"{arm}.log")))
        ]
        with contextlib.suppress(OSError), self.path.open("ab") as stream:  # a disk that is full
            stream.write(b"".join(line + b"\n" for line in lines))

    def _of(self, pid: int, log: Path) -> dict[str, float]:
        """The resources of a process; empty for one that has just ended."""
        import psutil

        try:
            process = self._processes.setdefault(pid, psutil.Process(pid))
            with process.oneshot():
                times = process.cpu_times()
                return {
                    "memory": process.memory_info().rss / 1e6,
                    "files": process.num_fds(),
                    "threads": process.num_threads(),
                    PROCESSOR: times.user + times.system,
                    "log": log.stat().st_size / 1e3 if log.is_file() else 0.0,
                }
        except (psutil.Error, OSError):
            return {}


def parse_readings(content: bytes) -> pd.DataFrame:
    """Parse readings into a table in time order; unreadable lines are left out."""
    rows = []
    for line in content.splitlines():
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:  # half a line of a killed supervisor
            continue
    return pd.DataFrame(rows, columns=["at", "arm", *RESOURCE_COLUMNS]).sort_values(
        "at", kind="stable"
    )


def join(requests: pd.DataFrame, readings: pd.DataFrame) -> dict[str, np.ndarray]:
    """Join each request (arm, at, seconds) with its server's last reading; NaN if too old."""
    found = {name: np.full(len(requests), np.nan) for name in RESOURCE_COLUMNS}
    ended = (requests["at"] + requests["seconds"].fillna(0)).to_numpy(dtype="float64")
    for arm, of in readings.groupby("arm"):
        mine = np.flatnonzero(requests["arm"] == arm)
        taken = of["at"].to_numpy(dtype="float64")
        place = np.searchsorted(taken, ended[mine], "right") - 1
        known = (place >= 0) & (ended[mine] - taken[place] <= MAX_AGE_SECONDS)
        for name in RESOURCE_COLUMNS:
            found[name][mine[known]] = of[name].to_numpy(dtype="float64")[place[known]]
    return found


def is_unread(values: dict[str, np.ndarray], mine: np.ndarray) -> bool:
    """Whether an arm's last requests lack readings though there are any; `mine` selects the arm."""
    read = values.get("memory")
    return read is not None and not np.isfinite(read[mine][-_FEW:]).any()


def breakers(
    values: dict[str, np.ndarray], is_challenger: np.ndarray, rule: Resources
) -> list[Breaker]:
    """A breaker per resource for the challenger's excess; `values` are by request, in order."""
    found = []
    for name, column in values.items():
        sides = [column[which & ~np.isnan(column)] for which in (is_challenger, ~is_challenger)]
        if min(map(len, sides)) < (rule.min_requests if name == PROCESSOR else 1):
            continue
        excess = max(0, math.ceil(round(_excess(name, *sides), 6)))
        allowed = int(getattr(rule, name))
        words = f"{LABELS[name]} beyond the control's"
        found.append(Breaker(name=words, found=excess, allowed=allowed, tripped=excess > allowed))
    return found


def _excess(name: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    """The challenger's use beyond the baseline's, scaled to as many requests.

    A baseline that was restarted counts as no growth, never as negative growth.
    """
    (began, stands), (before, beside) = (_ends(name, side) for side in (ours, theirs))
    many, others = (max(1, len(side) - 1) for side in (ours, theirs))
    grown = max(0.0, beside - before) * max(1.0, many / others)
    if name in LEVELS:
        return stands - before - grown
    return (stands - began - grown) * (1000 / many if name == PROCESSOR else 1)


def _ends(name: str, side: np.ndarray) -> tuple[float, float]:
    """An arm's first and last reading; of a level, which has peaks, the medians of a few."""
    few = _FEW if name in LEVELS else 1
    return float(np.median(side[:few])), float(np.median(side[-few:]))
