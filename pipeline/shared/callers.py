"""Caller identity: which headers of a request are trusted, and which are only claims.

Anybody can send any header. The rollout's proxy sets the edge key on each request that it forwards,
in place of a caller's own, and servers compare it with theirs. Without the key a server trusts no
header: the response is logged as `DIRECT`, under a unique id.
"""

import hmac
import os
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

SHADOW = "shadow"
"""The arm of a mirrored request: its response reaches no caller."""
DIRECT = "direct"
"""The arm of a request that bypassed the proxy, whatever it claims: a test of the server."""
STRANGER = "stranger"
"""The arm of a request through the proxy without a known caller's key: it is answered and counted,
but is no evidence for a rollout, and is not logged: any number of strangers would fill the disk."""
UNPROVEN = [SHADOW, DIRECT, STRANGER]
"""Arms whose responses are not evidence: they reached no caller, or an unknown one."""
STRANGERS = 8
"""With this many requests inside, strangers are refused."""
REQUEST_ID, ARM, EDGE_KEY, CALLER_KEY = "x-request-id", "x-arm", "x-edge-key", "x-caller-key"
"""The caller key proves a known caller to the proxy; servers never see it."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PERSONAL = re.compile(
    r"(\d{1,3}\.){3}\d{1,3}(:\d+)?"  # 203.0.113.7
    r"|(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+"  # 2001:db8::7
    r"|(?=(\D*\d){9})\d{2,4}([.-]\d{2,4}){2,4}"  # 212-555-0123
)
"""An internet address or a telephone number: personal, so it may not be logged as an id."""
_ARM = re.compile(r"[a-z0-9-]{1,32}")


class InvalidHeader(ValueError):
    """A header whose value may not be logged."""


class Caller(NamedTuple):
    """The identity of a request that is logged."""

    request_id: str
    arm: str


class Trust:
    """A server's trust in headers: all with the edge key, none without it."""

    def __init__(self, edge_key: str = ""):
        """Without a key of its own, a server trusts no request."""
        self._edge_key = edge_key.encode()

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """The id and the arm of a request.

        An untrusted id is logged with a random suffix, so that an id sent twice neither hides a
        response nor takes another request's place.

        Raises:
            InvalidHeader: the id is malformed or an address, or the proxy's arm is malformed.
        """
        claimed = headers.get(REQUEST_ID, "")
        if claimed and not _is_id(claimed):
            raise InvalidHeader(
                f"{REQUEST_ID} is no id: at most 64 of {_REQUEST_ID.pattern[:15]}, no address"
            )
        if self._is_proxy(headers):
            if not _ARM.fullmatch(arm := headers.get(ARM, "")):
                raise InvalidHeader(f"{ARM} is no arm: at most 32 of {_ARM.pattern[:9]}")
            return Caller(claimed or new_id(), arm)
        return Caller(f"{claimed}.{os.urandom(6).hex()}" if claimed else new_id(), DIRECT)

    def _is_proxy(self, headers: Mapping[str, str]) -> bool:
        if not self._edge_key:
            return False
        return hmac.compare_digest(headers.get(EDGE_KEY, "").encode(), self._edge_key)


def _is_id(claimed: str) -> bool:
    """Whether a caller's own id may be logged: well-formed, and not personal."""
    return bool(_REQUEST_ID.fullmatch(claimed)) and not _PERSONAL.fullmatch(claimed)


def new_id() -> str:
    """A new request id: a UUID of version 7, which begins with the time (ms since 1970).

    So the log's unique index grows at its end. Random ids change a page of it each, which costs
    several times the work for a row.
    """
    chance = os.urandom(10).hex()
    return f"{time.time_ns() // 1_000_000:012x}7{chance[1:4]}8{chance[5:]}"
