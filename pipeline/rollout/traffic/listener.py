"""The listeners at the users' ports: the limits on a request, and its line in the access log.

The edge trusts no header: those with a meaning inside are removed or replaced before routing. A
caller takes part in a rollout by its key; without one the champion serves it and the access log has
no line, so no request from outside is evidence for or against a challenger.
"""

from pathlib import Path
from typing import Any

from pipeline.features.definitions import NAME
from pipeline.rollout.traffic.routes import (
    BUFFER_BYTES,
    KNOWN_ARMS,
    NAME_HEADER,
    TYPES,
    Keys,
    header,
    matches,
)
from pipeline.shared.callers import ARM, EDGE_KEY, REQUEST_ID
from pipeline.usecase.chosen import USECASE

_HTTP = f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{TYPES}.extensions.filters.http.router.v3.Router"
_EARLY = f"{TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_LIMIT = f"{TYPES}.extensions.filters.network.connection_limit.v3.ConnectionLimit"
CONNECTIONS = 512
"""At each port, since a caller is unknown before its request: strangers can fill only theirs."""
_CLAIMS = [
    REQUEST_ID,  # the logs are joined by it: two requests with one id would become one
    "x-client-trace-id",  # would become a part of it
    *(ARM, EDGE_KEY, "x-version", "x-release"),
    *("forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"),
]
_CLAIMED_PREFIXES = ["x-envoy-", "x-forwarded-"]
"""With x-envoy- headers a caller could set a request's timeout, which turns a response into an
error, or have it retried again and again."""


def _mutations(keys: Keys) -> list[dict[str, Any]]:
    """The changes to a request's headers before anything reads them."""
    return [
        *({"remove": name} for name in _CLAIMS),
        *({"remove_on_match": {"key_matcher": {"prefix": name}}} for name in _CLAIMED_PREFIXES),
        {"append": header(EDGE_KEY, keys.edge)},
    ]


def resource(
    name: str, address: dict[str, Any], rds: dict[str, Any], access: Path, keys: Keys
) -> dict[str, Any]:
    """A listener with a name at an address, the source of its routes, and its access log's path."""
    early = {"@type": _EARLY, "mutations": _mutations(keys)}
    manager = {
        "@type": _HTTP,
        "stat_prefix": "users",
        "codec_type": "HTTP1",
        "rds": {"route_config_name": "rollout", "config_source": rds},
        "early_header_mutation_extensions": [{"name": "claims", "typed_config": early}],
        **_STRICT,
        "generate_request_id": True,
        "always_set_request_id_in_response": True,
        "access_log": [access_log(access, keys)],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}}
        ],
    }
    limit = {"@type": _LIMIT, "stat_prefix": name, "max_connections": CONNECTIONS}
    filters = [
        {"name": "limit", "typed_config": limit},
        {"name": "users", "typed_config": manager},
    ]
    return {
        "@type": f"{TYPES}.config.listener.v3.Listener",
        "name": name,
        "address": address,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": filters}],
    }


_UNKNOWN_CODING = {
    "comparison": {"op": "EQ", "value": {"default_value": 501, "runtime_key": "unused"}}
}
_STRICT: dict[str, Any] = {
    # An unknown transfer coding is the caller's error, not the service's.
    "local_reply_config": {
        "mappers": [{"filter": {"status_code_filter": _UNKNOWN_CODING}, "status_code": 400}]
    },
    # Every caller is external, this machine's users too (without any range, private addresses would
    # be internal); a caller's address is not passed on.
    "use_remote_address": True,
    "internal_address_config": {
        "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
    },
    "skip_xff_append": True,
    # One path has one spelling, or another spelling could bypass a rule for paths.
    "normalize_path": True,
    "merge_slashes": True,
    "path_with_escaped_slashes_action": "REJECT_REQUEST",
    # As in configs/serve.yaml: a slow or large head is no reason to keep a connection.
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


def access_log(path: Path, keys: Keys) -> dict[str, Any]:
    """The access log: one line per request of a known caller, with its arm and its release.

    Callers' free texts are cut to the length of valid ones. Strangers leave no line: they could
    fill the disk, and would count as evidence. A request that Envoy refuses before it removes the
    claims, as for its path, still has them, but lacks the edge key.
    """
    line = {
        "request_id": "%REQ(X-REQUEST-ID):64%",
        NAME: f"%REQ({NAME_HEADER.upper()}):{USECASE.words.longest}%",
        "arm": "%REQ(X-ARM)%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "microseconds": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "release": "%RESP(X-RELEASE)%",
        "at": "%START_TIME(%s.%6f)%",
    }
    wanted = [matches(EDGE_KEY, keys.edge), matches(ARM, "|".join(KNOWN_ARMS))]
    filters = [{"header_filter": {"header": header}} for header in wanted]
    return {
        "name": "file",
        "filter": {"and_filter": {"filters": filters}},
        "typed_config": {
            "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": line},
        },
    }
