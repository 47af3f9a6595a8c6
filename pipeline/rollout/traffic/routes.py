"""Routes: the arm of a rollout that serves a request, in Envoy's configuration.

Envoy hashes an event's name with the rollout's salt: the challenger takes the hashes from the
bottom up, the baseline ("control") as many from the top down, so a growing share only moves events
out of the champion's middle, and no event changes between the two.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import xxhash

from pipeline.features.definitions import NAME
from pipeline.records.rollout_ledger import WHOLE
from pipeline.shared.callers import ARM, CALLER_KEY, SHADOW, STRANGER
from pipeline.shared.contracts import Record
from pipeline.usecase.chosen import USECASE

ARMS = ("challenger", "champion", "control")
"""In the order in which Envoy lays them over the hashes."""
TESTER = "tester"
KNOWN_ARMS = [*ARMS, TESTER]
"""Arms of known callers: only these requests are lines of the access log."""
PATHS = r"/predict|/docs|/openapi\.json|/v2(/.*)?"
"""The paths that the users' port passes on; a server's metrics stay at its own port."""
HOST_HEADER = USECASE.name
"""The host header for servers, in place of the caller's."""
NAME_HEADER = f"x-{NAME}"
"""The header in which a caller names the event of its request, by which the arm is chosen."""
BUFFER_BYTES = 65_536
"""Envoy's buffer per connection and side: its default is sixteen times as much, and any number of
strangers hold connections. A larger body is streamed, once."""
TYPES = "type.googleapis.com/envoy"
_PRIORITIES = f"{TYPES}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"


class Keys(Record):
    """Keys that prove a sender: the proxy to its servers, a known caller to the proxy."""

    edge: str
    caller: str


def new_keys() -> Keys:
    """New random keys for one rollout."""
    return Keys(edge=secrets.token_hex(16), caller=secrets.token_hex(16))


@dataclass(frozen=True)
class Route:
    """The arms' shares of the traffic, in ten-thousandths, and whether it is mirrored."""

    shares: dict[str, int]
    salt: str
    mirrored: bool = False

    @property
    def main(self) -> str:
        """The arm for known callers without a name: the champion, until another arm has all."""
        return next((arm for arm in ARMS if self.shares.get(arm, 0) == WHOLE), "champion")


def arm_of(name: str, route: Route) -> str:
    """The arm that Envoy assigns to an event, by the same hash."""
    bucket = xxhash.xxh64_intdigest(f"{route.salt}/{name}".encode()) % WHOLE
    for arm in ARMS:
        if (bucket := bucket - route.shares.get(arm, 0)) < 0:
            return arm
    raise ValueError(f"shares of {route.shares} are not {WHOLE} in all")


def header(name: str, value: str) -> dict[str, Any]:
    """A header that overwrites the caller's."""
    overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {"header": {"key": name, "value": value}, "append_action": overwrite}


def matches(name: str, pattern: str) -> dict[str, Any]:
    """A match of a header's whole value against a pattern."""
    return {"name": name, "string_match": {"safe_regex": {"regex": pattern}}}


def resource(route: Route, version: str, keys: Keys) -> dict[str, Any]:
    """The route table: testers by their header, known callers by their event's hash, strangers.

    Strangers only reach the champion's server, also while a promotion bakes or green serves, so
    that their requests never count for or against a challenger. The version is also a name within:
    Envoy ignores a route that equals the last.
    """
    known = matches(CALLER_KEY, keys.caller)
    named = {"name": NAME_HEADER, "present_match": True}
    routes = [
        _route_to([known, matches("x-tester", "challenger")], {"cluster": "challenger"}, TESTER),
        _route_to([known, named], _weighted_clusters(route)),
        _route_to([known], {"cluster": route.main}, route.main),
        _route_to([], {"cluster": STRANGER}, STRANGER),
        _NOT_FOUND,
    ]
    host = {"name": version, "domains": ["*"], "routes": routes}
    return {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": "rollout",
        "validate_clusters": True,  # else Envoy takes a route to nowhere, and responds 503
        "virtual_hosts": [host],
    }


_NOT_FOUND = {
    "match": {"prefix": "/"},
    "direct_response": {
        "status": 404,
        "body": {"inline_string": '{"error":"there is no such path here; see /docs"}'},
    },
    "response_headers_to_add": [header("content-type", "application/json")],
}


def _route_to(headers: list[Any], action: dict[str, Any], arm: str | None = None) -> dict[str, Any]:
    return {
        "match": {"safe_regex": {"regex": PATHS}, "headers": headers},
        "route": {**action, **_retry_policy(), "host_rewrite_literal": HOST_HEADER},
        "request_headers_to_remove": [CALLER_KEY],
        **({"request_headers_to_add": [header(ARM, arm)]} if arm else {}),
    }


def _weighted_clusters(route: Route) -> dict[str, Any]:
    weighted = [
        {
            "name": arm,
            "weight": route.shares.get(arm, 0),
            "request_headers_to_add": [header(ARM, arm)],
        }
        for arm in ARMS
    ]
    salted = {"pattern": {"regex": "^(.*)$"}, "substitution": rf"{route.salt}/\1"}
    action: dict[str, Any] = {
        "weighted_clusters": {"clusters": weighted, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": NAME_HEADER, "regex_rewrite": salted}}],
    }
    if route.mirrored:
        mark = {"append": header(ARM, SHADOW)}
        # Its cluster has no spare: another release's answer says nothing of the challenger.
        copy = {"cluster": SHADOW, "request_headers_mutations": [mark]}
        action["request_mirror_policies"] = [copy]
    return action


def _retry_policy() -> dict[str, Any]:
    """Retry on the spare if a server is gone; a response, even a bad one, is never retried."""
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
