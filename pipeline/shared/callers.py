"""Callers: which header of a request may be believed, and which is only a claim.

Anybody can send any header. The rollout's proxy sets the edge key on each request that it forwards,
in place of whatever a caller wrote there, and servers compare it with their own. Without the key a
server believes nothing: the answer is logged as `DIRECT`, under an id that no other request has.
"""

import hmac
import os
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

SHADOW = "shadow"
"""The arm of a copy of a request: its answer reaches nobody."""
DIRECT = "direct"
"""The arm of a request that came past the proxy, whatever it claims: somebody tried the server."""
STRANGER = "stranger"
"""The arm of a request that came through the proxy without a known caller's key: it is answered and
counted, and is nobody's evidence. It has no row: any number of strangers would fill the disk."""
UNPROVEN = [SHADOW, DIRECT, STRANGER]
"""Arms whose answers are no flight's: they reached nobody, or somebody who is not known."""
STRANGERS = 8
"""So many inside, whoever they are, leave no room for a stranger."""
REQUEST_ID, ARM, EDGE_KEY, CALLER_KEY = "x-request-id", "x-arm", "x-edge-key", "x-caller-key"
"""The caller key is a known caller's to the proxy; servers never see it."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PERSONAL = re.compile(
    r"(\d{1,3}\.){3}\d{1,3}(:\d+)?"  # 203.0.113.7
    r"|(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+"  # 2001:db8::7
    r"|(?=(\D*\d){9})\d{2,4}([.-]\d{2,4}){2,4}"  # 212-555-0123
)
"""An address of the internet, or a telephone number: no id, and not to be logged."""
_ARM = re.compile(r"[a-z0-9-]{1,32}")


class InvalidHeader(ValueError):
    """A header whose value can't be logged."""


class Caller(NamedTuple):
    """What is logged of whoever sent a request."""

    request_id: str
    arm: str


class Trust:
    """What a server believes of a request's headers: with the edge key all, without it nothing."""

    def __init__(self, edge_key: str = ""):
        """Without a key of its own it trusts nobody."""
        self._edge_key = edge_key.encode()

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """The id and the arm of a request.

        A stranger's own id is kept as the beginning of the one that is logged, so that an id sent
        twice neither hides an answer nor takes another request's place.

        Raises:
            InvalidHeader: the id is none, or an address; or the proxy names no arm.
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
        claimed = headers.get(EDGE_KEY, "").encode()
        return bool(self._edge_key) and hmac.compare_digest(claimed, self._edge_key)


def _is_id(claimed: str) -> bool:
    """Whether a caller's own id may be logged: it names the request, and no person."""
    return bool(_REQUEST_ID.fullmatch(claimed)) and not _PERSONAL.fullmatch(claimed)


def new_id() -> str:
    """An id of a request: a UUID of version 7, which begins with the time (ms since 1970).

    So the log's unique index grows at its end. Ids of pure chance change a page of it each, and
    each of those pages is written: several times the work for a row.
    """
    chance = os.urandom(10).hex()
    return f"{time.time_ns() // 1_000_000:012x}7{chance[1:4]}8{chance[5:]}"
