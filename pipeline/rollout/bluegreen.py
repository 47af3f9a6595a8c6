"""Blue-green: two full sets of servers, one switch of all traffic, and the same switch back.

Blue is the champion's set, green the challenger's. Requests in flight finish where they began: the
switch reports how many were left to drain, under traffic that does not pause.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pipeline.rollout.controller import Stage, open_stage
from pipeline.rollout.state import (
    ALL_CHALLENGER,
    ALL_CHAMPION,
    NO_INJECTION,
    Injection,
    begin,
    hold_rollout,
)
from pipeline.rollout.traffic import envoy
from pipeline.rollout.traffic.live_traffic import CLIENTS, Reply, Source
from pipeline.shared.errors import RolledBack
from pipeline.shared.processes import Patience

WATCH_REQUESTS = 300
"""Requests observed before the first switch and after each."""
_FEW = 5
_PATIENCE_SECONDS = 20.0
"""Patience for the next response: a slow machine may take as long as it needs for all."""


def bluegreen(source: Source, injection: Injection = NO_INJECTION, force: bool = False) -> str:
    """Switch all traffic to the challenger's set, back, and to it again, or back for good.

    Raises:
        RolledBack: green broke a limit; blue serves all.
        RolloutRefused: another rollout is in progress, or this challenger was rolled back before.
    """
    with hold_rollout():
        rollout, known = begin("bluegreen", injection, force)
        arms = {"champion": rollout.champion, "challenger": rollout.challenger}
        with open_stage(rollout, 3, arms, known, source) as stage, _under_traffic(stage):
            _watch(stage, WATCH_REQUESTS)
            blue = failing_batches(stage.replies)
            if not known:
                stage.change("blue-green", _minute(stage), ALL_CHAMPION)
            switches = [
                _switch(stage, "switched", ALL_CHALLENGER, "champion", blue),
                _switch(stage, "switched back", ALL_CHAMPION, "challenger", blue),
                _switch(stage, "switched", ALL_CHALLENGER, "champion", blue),
            ]
            stage.change("promoted", _minute(stage), ALL_CHALLENGER)
            return (
                f"{rollout.title}: {'; '.join(switches)}; {rollout.challenger.label} is champion; "
                f"users: {stage.failures} failures of {len(stage.replies):,} -> {rollout.folder}/"
            )


@contextlib.contextmanager
def _under_traffic(stage: Stage) -> Iterator[None]:
    """Send users' requests in the background within the block."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_send_traffic, stage, over)
        try:
            yield
        finally:
            over.set()
        asking.result()  # raises the error that ended the traffic early, if any


def _send_traffic(stage: Stage, over: threading.Event) -> None:
    for _ in stage.send():
        if over.is_set():
            return


def failing_batches(replies: list[Reply]) -> int:
    """Count the batches with a failure: requests sent at once share their fate."""
    return len({place // CLIENTS for place, reply in enumerate(replies) if reply.failed})


def _switch(stage: Stage, event: str, shares: dict[str, int], left: str, blue: int) -> str:
    """Switch once under traffic; reports its duration and the requests that were left to drain.

    `blue` is the number of batches that failed before the first switch, while blue served all.

    Raises:
        RolledBack: green failed in too many batches, or stopped responding.
    """
    before = len(stage.replies)
    took = stage.change(event, _minute(stage), shares, busy=left)
    started, patience, most = time.monotonic(), Patience(_PATIENCE_SECONDS), 0
    ports = stage.servers.spec.ports
    while (open_requests := envoy.in_flight(ports, left)) and not patience.over():
        most = max(most, open_requests)
        time.sleep(0.002)
    drained = time.monotonic() - started
    came = _watch(stage, WATCH_REQUESTS)
    new = stage.replies[before:]
    failed = failing_batches(new)
    bad = failed >= blue + _FEW or came < WATCH_REQUESTS or stage.servers.starts("challenger") > 1
    if "challenger" in shares and bad:
        back = stage.change("rolled back", _minute(stage), ALL_CHAMPION)
        raise RolledBack(
            f"{stage.rollout.name}: green, {stage.rollout.challenger.label}, failed in {failed} "
            f"batches of {len(new)} requests, blue in {blue} before, allowed {_FEW - 1} more and "
            f"at least {WATCH_REQUESTS} answers; blue serves all again after "
            f"{1000 * back:.0f} ms -> {stage.rollout.folder}/; repair it, then `make bluegreen`"
        )
    return f"{event} in {1000 * took:.0f} ms, {most} in flight drained in {1000 * drained:.0f} ms"


def _minute(stage: Stage) -> int:
    place = min(stage.flights_sent, len(stage.traffic.at) - 1)
    return int(stage.traffic.at[place])


def _watch(stage: Stage, requests: int) -> int:
    """Wait for so many more responses; returns their number, less if none arrives in time."""
    before = seen = len(stage.replies)
    patience = Patience(_PATIENCE_SECONDS)
    while seen < before + requests and not patience.over():
        time.sleep(0.01)
        if len(stage.replies) > seen:
            seen = len(stage.replies)
            patience.renew()
    return len(stage.replies) - before
