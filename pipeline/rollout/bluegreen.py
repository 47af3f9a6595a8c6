"""Blue-green: two full sets of servers, one switch of all traffic, and the same switch back.

Blue is the champion's set, green the challenger's. Requests in flight finish where they began: the
switch reports how many were left to drain, under traffic that does not pause.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pipeline.rollout.controller import Controller, LiveTraffic, open_controller
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


def run_bluegreen(source: Source, injection: Injection = NO_INJECTION, force: bool = False) -> str:
    """Switch all traffic to the challenger's set, back, and to it again, or back for good.

    Raises:
        RolledBack: green broke a limit; blue serves all.
        RolloutRefused: another rollout is in progress, or this challenger was rolled back before.
    """
    with hold_rollout():
        rollout, known = begin("bluegreen", injection, force)
        arms = {"champion": rollout.champion, "challenger": rollout.challenger}
        opened = open_controller(rollout, 3, arms, known, source)
        with opened as controller, _under_traffic(controller.traffic) as traffic:
            _watch(traffic, WATCH_REQUESTS)
            blue = failing_batches(traffic.replies)
            make = controller.transitions.make
            if not known:
                make("blue-green", _minute(traffic), ALL_CHAMPION)
            switches = [
                _switch(controller, "switched", ALL_CHALLENGER, "champion", blue),
                _switch(controller, "switched back", ALL_CHAMPION, "challenger", blue),
                _switch(controller, "switched", ALL_CHALLENGER, "champion", blue),
            ]
            make("promoted", _minute(traffic), ALL_CHALLENGER)
            return (
                f"{rollout.title}: {'; '.join(switches)}; {rollout.challenger.label} is champion; "
                f"users: {traffic.failures} failures of {len(traffic.replies):,} -> "
                f"{rollout.folder}/"
            )


@contextlib.contextmanager
def _under_traffic(traffic: LiveTraffic) -> Iterator[LiveTraffic]:
    """Send users' requests in the background within the block."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_send_traffic, traffic, over)
        try:
            yield traffic
        finally:
            over.set()
        asking.result()  # raises the error that ended the traffic early, if any


def _send_traffic(traffic: LiveTraffic, over: threading.Event) -> None:
    for _ in traffic.send():
        if over.is_set():
            return


def failing_batches(replies: list[Reply]) -> int:
    """Count the batches with a failure: requests sent at once share their fate."""
    return len({place // CLIENTS for place, reply in enumerate(replies) if reply.failed})


def _switch(
    controller: Controller, event: str, shares: dict[str, int], left: str, blue: int
) -> str:
    """Switch once under traffic; reports its duration and the requests that were left to drain.

    `blue` is the number of batches that failed before the first switch, while blue served all.

    Raises:
        RolledBack: green failed in too many batches, or stopped responding.
    """
    rollout, traffic, servers = controller.rollout, controller.traffic, controller.servers
    before = len(traffic.replies)
    took = controller.transitions.make(event, _minute(traffic), shares, busy=left)
    started, patience, most = time.monotonic(), Patience(_PATIENCE_SECONDS), 0
    while (open_requests := envoy.in_flight(servers.spec.ports, left)) and not patience.over():
        most = max(most, open_requests)
        time.sleep(0.002)
    drained = time.monotonic() - started
    came = _watch(traffic, WATCH_REQUESTS)
    new = traffic.replies[before:]
    failed = failing_batches(new)
    bad = failed >= blue + _FEW or came < WATCH_REQUESTS or servers.starts("challenger") > 1
    if "challenger" in shares and bad:
        back = controller.transitions.make("rolled back", _minute(traffic), ALL_CHAMPION)
        raise RolledBack(
            f"{rollout.name}: green, {rollout.challenger.label}, failed in {failed} "
            f"batches of {len(new)} requests, blue in {blue} before, allowed {_FEW - 1} more and "
            f"at least {WATCH_REQUESTS} answers; blue serves all again after "
            f"{1000 * back:.0f} ms -> {rollout.folder}/; repair it, then `make bluegreen`"
        )
    return f"{event} in {1000 * took:.0f} ms, {most} in flight drained in {1000 * drained:.0f} ms"


def _minute(traffic: LiveTraffic) -> int:
    at = traffic.ahead.at
    return int(at[min(traffic.events_sent, len(at) - 1)])


def _watch(traffic: LiveTraffic, requests: int) -> int:
    """Wait for so many more responses; returns their number, less if none arrives in time."""
    before = seen = len(traffic.replies)
    patience = Patience(_PATIENCE_SECONDS)
    while seen < before + requests and not patience.over():
        time.sleep(0.01)
        if len(traffic.replies) > seen:
            seen = len(traffic.replies)
            patience.renew()
    return len(traffic.replies) - before
