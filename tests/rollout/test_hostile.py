"""Whatever is sent to the users' port makes no error, no evidence and no memory.

Real servers behind a real Envoy in a canary; hostile callers and a few known ones at once.
"""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest

from pipeline.rollout.traffic import envoy, routes
from pipeline.rollout.traffic.envoy import Ports
from pipeline.rollout.traffic.routes import ARMS, Route, arm_of
from pipeline.rollout.traffic.servers import free_ports
from pipeline.shared.callers import SHADOW, STRANGER
from tests.patience import until
from tests.rollout.arms import SALT, running
from tests.rollout.hostile import Attacker, flight_names, known
from tests.serve.live import live

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.answer("safe-rollout")]
FLIGHTS, CALLERS = flight_names(60), 4
LIMITS = {"request_ms": 5_000, "timeout_ms": 2_000, "queue_ms": 250, "refusal_ms": 100}
GROWTH = 150_000_000
"""Bytes that all of it together may take more at its end: pools and buffers, filled once."""


@pytest.fixture
def canary(tmp_path):
    """A canary's last step, mirrored to the challenger too."""
    keys = routes.new_keys()
    with contextlib.ExitStack() as until_over:
        servers = {
            arm: until_over.enter_context(live(edge_key=keys.edge, **LIMITS)) for arm in ARMS
        }
        users, callers, admin = free_ports(3)
        ports = Ports(users, callers, admin, {arm: server.port for arm, server in servers.items()})
        route = Route({"challenger": 5_000, "control": 5_000}, SALT, mirrored=True)
        envoy.write(tmp_path, ports, route, keys)
        pid = until_over.enter_context(running(tmp_path))
        until(lambda: envoy.all_healthy(ports))
        access = tmp_path / envoy.ACCESS
        yield SimpleNamespace(
            servers=servers, ports=ports, keys=keys, pid=pid, access=access, route=route
        )


@pytest.mark.parametrize("many", [2_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_no_request_from_outside_is_an_error_or_evidence_or_is_kept(
    canary, many, record_property: Callable[[str, object], None]
):
    users, callers, key = canary.ports.users, canary.ports.callers, canary.keys.caller
    attackers = [Attacker(users, seed, FLIGHTS) for seed in range(CALLERS)]
    attackers[0].send(50)  # what is filled once
    before = memory(canary)
    threads = [threading.Thread(target=one.send, args=[many // CALLERS]) for one in attackers]
    for thread in threads:
        thread.start()
    asked = [known(callers, key, flight) for flight in FLIGHTS]
    for thread in threads:
        thread.join()
    codes = sum((one.codes for one in attackers), Counter())
    errors = {code for code in codes if code >= 500} - {503, 504}
    assert errors == set()
    assert sum(codes.values()) == 50 + many // CALLERS * CALLERS
    assert {code for code, _ in asked} - {504} == {200}  # a busy machine may answer too late
    assert memory(canary) - before < GROWTH
    _only_the_known_are_evidence(canary, asked)
    record_property(f"of {many:,} hostile requests, a 5xx but 503 and 504", len(errors))


def memory(canary):
    return sum(psutil.Process(pid).memory_info().rss for pid in (None, canary.pid))


def _only_the_known_are_evidence(canary, asked):
    codes, ids = zip(*asked, strict=True)
    until(lambda: canary.access.read_text().count("\n") >= len(ids))
    lines = [json.loads(line) for line in canary.access.read_text().splitlines()]
    assert tuple(line["request_id"] for line in lines) == ids
    assert [line["arm"] for line in lines] == [arm_of(name, canary.route) for name in FLIGHTS]
    assert tuple(line["code"] for line in lines) == codes
    for arm, server in canary.servers.items():
        rows = {(row[0], row[2]) for row in server.log.rows}
        told = {one for one, name in rows if name not in (STRANGER, SHADOW)}
        passed = [line for line in lines if line["arm"] == arm]
        answered = {line["request_id"] for line in passed if line["code"] == 200}
        assert answered <= told <= {line["request_id"] for line in passed}
        assert {one for one, name in rows if name == SHADOW} <= set(ids)
        assert STRANGER not in {name for _, name in rows}
        assert (server.metrics.value("serve_log_strangers") > 0) is (arm == "champion")
        assert server.counted(500) == 0
