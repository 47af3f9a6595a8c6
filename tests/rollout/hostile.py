"""Requests that nobody sends by mistake: hostile headers, broken bodies, and ends too early."""

import contextlib
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

from pipeline.shared.callers import CALLER_KEY
from tests.rollout.test_callers import CLAIMS
from tests.serve.fakes import FLIGHT
from tests.serve.live import BODY

PATHS = [
    *("/predict", "/v2/models/flight-delay/infer", "/v2/models/flight-delay-features/infer"),
    *("/v2", "/v2/health/ready", "/docs", "/openapi.json", "/metrics", "/", "//", "/v2/../predict"),
    *(
        "/predict?a=1&b",
        "/predict/",
        "/%70redict",
        "/v2/models/%ff/ready",
        "/v2/models/" + "a" * 300,
    ),
    *("*", "http://elsewhere/predict", "/predict#x", "/\\predict", "/v2/models/{name}/infer"),
    *("/v2%2fmodels", "/v2%5cmodels"),
]
METHODS = ["POST"] * 6 + ["GET"] * 3 + ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"]
KINDS = [b"application/json", b"application/octet-stream", b"text/html", b"", b"\xff", b"a/b;c=d"]
PACKINGS = [b"gzip", b"deflate", b"br", b"gzip, gzip", b"", b"\xff", b"identity"]
BODIES = [
    *(BODY, BODY[:50], b"{", b"", b"\x00" * 100, b"[" * 5_000, b'{"flights":[]}', b"null"),
    *(BODY.replace(b"1545", b"1e999"), BODY.replace(b"UA", b"\xff\xfe"), b'{"inputs":[{}]}'),
    BODY.replace(b"]", b"]" + b" " * 20_000),
]
NAMES = [
    *(b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te"),
    *(b"inference-header-content-length", b"accept-encoding", b"cookie", b"range", b"trailer"),
]
VALUES = [
    *(b"", b"0", b"-1", b"99999999999999999999", b"1e9", b"chunked", b"close", b"h2c", b"\xff\xfe"),
    *(b"100-continue", b"a" * 3_000, b"<script>", b'"; x', b"%s%n%x", b"$(id)", b"' OR 1=1 --"),
    *(b"x-edge-key, x-arm", b"\t", b"a\x00b", b"a\rb", b"\xe2\x80\xa8", b"{{7*7}}", b"../../x"),
]


def flight_names(many: int) -> list[str]:
    """Names of flights that a rollout could be about."""
    return [f"2013-04-18/{FLIGHT['carrier']}/{number}/EWR" for number in range(1, many + 1)]


def request(chance: random.Random, flights: list[str]) -> bytes:
    """One hostile request."""
    body = chance.choice(BODIES)
    lines = [f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/1.1".encode()]
    headers = [(b"x-flight", chance.choice(flights).encode())]
    headers += [
        (name.encode(), value.encode())
        for name, value in chance.sample(sorted(CLAIMS.items()), chance.randint(0, 8))
    ]
    if chance.random() < 0.3:
        headers.append((b"x-arm", chance.choice([b"challenger", b"control", b"tester"])))
    headers.append((b"content-type", chance.choice(KINDS)))
    if chance.random() < 0.2:
        headers.append((b"content-encoding", chance.choice(PACKINGS)))
    if chance.random() < 0.4:
        headers += [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(2)]
    if chance.random() < 0.3:
        odd = bytes(chance.randrange(256) for _ in range(chance.randint(1, 60)))
        headers.append((chance.choice([b"x-odd", b"X-ARM", odd]), odd))
    if chance.random() < 0.02:
        headers.append((b"x-long", b"a" * 40_000))
    if chance.random() < 0.9:
        headers.append((b"content-length", str(len(body)).encode()))
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", chance.choice([b"x", b"a-shadow", b"", b"\xff", b"x:y"])))
    chance.shuffle(headers)
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", b""]) + body


@dataclass
class Attacker:
    """Sends requests one after the other, on a connection for as long as it stays; counts codes."""

    port: int
    seed: int
    flights: list[str]
    seconds: float = 8.0
    codes: Counter[int] = field(default_factory=Counter)
    _open: socket.socket | None = None

    def send(self, many: int) -> None:
        """So many requests; code 0 is no answer."""
        chance = random.Random(self.seed)
        for _ in range(many):
            content, hangs_up = request(chance, self.flights), chance.random() < 0.05
            self.codes[self._one(content, hangs_up)] += 1
        self._end()

    def _one(self, content: bytes, hangs_up: bool) -> int:
        if self._open is None:
            self._open = socket.create_connection(("127.0.0.1", self.port), self.seconds)
        head = b""
        with contextlib.suppress(OSError):
            self._open.sendall(content)
            self._open.settimeout(0.3 if b"HEAD " not in content[:5] else 0.1)
            while not hangs_up and b"\r\n\r\n" not in head:
                part = self._open.recv(65_536)
                head += part
                if not part:
                    break
        self._end()  # what was asked for may not be whole: nothing more is sent after it
        return int(head[9:12]) if head[9:12].isdigit() else 0

    def _end(self) -> None:
        if self._open is not None:
            # Without a farewell: as many closed connections would otherwise use up the ports.
            self._open.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._open.close()
        self._open = None


def known(port: int, key: str, flight: str) -> tuple[int, str]:
    """One request of a known caller: its code and its id."""
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\nx-flight: {flight}\r\n{CALLER_KEY}: {key}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head.encode() + b"connection: close\r\n\r\n" + BODY)
        told = b""
        while part := connection.recv(65_536):
            told += part
    lines = told.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    ids = [line[14:].decode() for line in lines if line.startswith(b"x-request-id: ")]
    return int(told[9:12]), ids[0]
