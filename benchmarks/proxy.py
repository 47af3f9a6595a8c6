"""What a proxy costs, and what a change of its traffic costs, again and again under load.

The rollout's own servers and Envoy: a request through it against the same request straight to the
server, in alternating rounds; then every change that a rollout makes, again and again under load,
with every user's answer counted.
"""

import sys
import threading
import time
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.serving import UNITS, Server, compared, figures, request
from benchmarks.study import kept
from pipeline.__main__ import run_command
from pipeline.features.definitions import FEATURES, matrix
from pipeline.features.online_store import open_store
from pipeline.registry.release_loader import load_release
from pipeline.rollout.controller import Controller, open_controller
from pipeline.rollout.interim_analyses import shares_at
from pipeline.rollout.state import ALL_CHALLENGER, ALL_CHAMPION, begin
from pipeline.rollout.traffic.servers import PROJECT
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from simulation.traffic import ReplayedTraffic, advance
from simulation.users import Users
from simulation.year import Year

REQUESTS = 20_000
"""Under load, while the traffic changes."""
PAUSE_SECONDS = 0.1
NOON = 700
"""Flights after which the store stands still, so that the same can be asked again and again."""


def say(what: str) -> None:
    """Progress, on the other channel."""
    print(f"proxy: {what}", file=sys.stderr, flush=True)


def prepared(flights: Any) -> None:
    """Let time pass in the store of the rollout until about noon."""
    config, seen = load(FeaturesConfig), 0
    assert isinstance(flights, ReplayedTraffic)
    with open_store(config, load(ServeConfig), project=PROJECT) as store:
        for places in advance(flights, store, config.grid_minutes):
            seen += len(places)
            if seen >= NOON:
                return


def cost(controller: Controller) -> dict[str, Any]:
    """Through the proxy against straight to the champion's server, for both kinds of request."""
    asked = controller.traffic.ahead.events[NOON - 300 : NOON]
    flights = [_flight(name, body) for name, body in zip(asked["name"], asked["body"], strict=True)]
    rows = np.where(np.isnan(rows := matrix(asked, FEATURES)), None, rows.astype(object))
    vectors = [
        request(
            "/v2/models/flight-delay-features/infer",
            {
                "inputs": [
                    {
                        "name": "inputs",
                        "shape": [1, len(FEATURES)],
                        "datatype": "FP32",
                        "data": row.tolist(),
                    }
                ]
            },
        )
        for row in rows
    ]
    ports = controller.servers.spec
    direct = ports.servers["champion"].port
    found = {}
    for kind, requests in (("store", flights), ("features", vectors)):
        rounds = compared(
            {"proxy": Server(ports.users, requests), "direct": Server(direct, requests)}
        )
        through, straight = rounds["proxy"][1], rounds["direct"][1]
        found[kind] = {
            "proxy": figures(through),
            "direct": figures(straight),
            "p50_ratio": _ratio(through, straight, 0.5),
            "p99_ratio": _ratio(through, straight, 0.99),
        }
        say(f"{kind}: p50 x {found[kind]['p50_ratio']}, p99 x {found[kind]['p99_ratio']}")
    return found


def _flight(name: str, body: bytes) -> bytes:
    head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}x-flight: {name}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _ratio(one: list[list[float]], other: list[list[float]], share: float) -> float:
    pairs = zip(one, other, strict=True)
    each = [np.quantile(a, share) / np.quantile(b, share) for a, b in pairs]
    return round(float(np.median(each)), 3)


def changes(controller: Controller) -> dict[str, Any]:
    """Weights, promotion, rollback and blue-green, in turn, while users ask without a pause."""
    rollout, over = controller.rollout, threading.Event()
    servers = controller.servers
    steps = [shares_at(rollout, step) for step in range(len(rollout.plan.canary.steps))]
    turns = cycle([ALL_CHAMPION, *steps, ALL_CHALLENGER, ALL_CHAMPION])
    asked = controller.traffic.ahead.events[:NOON]
    users, replies = Users(servers.spec.callers, servers.spec.keys.caller), []

    def load() -> None:
        while len(replies) < REQUESTS:
            replies.extend(users.ask(asked["name"].tolist(), asked["body"].tolist()))
        over.set()

    thread, took, started = threading.Thread(target=load), [], time.monotonic()
    thread.start()
    while not over.wait(PAUSE_SECONDS):
        took.append(servers.route(rollout.route(next(turns))))
    thread.join()
    users.close()
    failed = sum(reply.failed for reply in replies)
    seconds = time.monotonic() - started
    say(f"{len(replies):,} requests, {failed} failed, {len(took)} changes in {seconds:.0f} s")
    return {
        "requests": len(replies),
        "failed": failed,
        "changes": len(took),
        "change_ms": {
            "p50": round(1000 * float(np.quantile(took, 0.5)), 2),
            "max": round(1000 * max(took), 2),
        },
        "requests_a_second": round(len(replies) / seconds),
    }


def main() -> int:
    """Measure, and write it down."""
    rollout, _ = begin("canary", force=True)
    arms = dict.fromkeys(("champion", "control"), rollout.champion)
    arms |= {"challenger": rollout.challenger}
    with open_controller(rollout, 1, arms, [], Year()) as controller:
        prepared(controller.traffic.ahead)
        found = {"units": UNITS, "cost": cost(controller), "changes": changes(controller)}
    found["model"] = load_release(rollout.champion.release).model.digest[:12]
    kept("proxy", found)
    print(f"cost x {found['cost']['store']['p50_ratio']} (p50), {found['changes']}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
