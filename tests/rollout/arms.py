"""Servers that are only there to be reached, behind a real Envoy: who answered what."""

import http.client
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.rollout.traffic import envoy, routes
from pipeline.rollout.traffic.envoy import Ports
from pipeline.rollout.traffic.routes import Keys, Route
from pipeline.rollout.traffic.servers import free_ports
from pipeline.serve.server import _allow_files
from pipeline.shared.callers import CALLER_KEY
from tests.patience import PATIENCE, until

SALT = "0123456789ab"


class Arm(ThreadingHTTPServer):
    """Answers everything with its name; `seen` are the headers of what it was asked.

    While `goes_on` is cleared it hangs: it takes requests and answers none.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str, port: int):
        self.name, self.code, self.answers = name, 200, 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.seen: list[dict[str, str]] = []
        self.open: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), _Answers)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Each connection is remembered, so that it can be cut."""
        self.open.append(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        """End as a killed process does, with every connection."""
        self.shutdown()
        self.server_close()
        for one in self.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.goes_on.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went away meanwhile is no error."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Arm

    def do_GET(self) -> None:
        code = 200
        if self.path == "/v2/ask":
            self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
            self.server.goes_on.wait(PATIENCE)
            self.server.answers += 1
            code = self.server.code
        self.send_response(code)
        self.send_header("x-release", self.server.name)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""


@dataclass
class Proxied:
    """Envoy before three arms."""

    folder: Path
    ports: Ports
    keys: Keys
    arms: dict[str, Arm]

    def route(self, shares: dict[str, int], salt: str = SALT, mirrored: bool = False) -> Route:
        """Change the traffic."""
        route = Route(shares, salt, mirrored)
        envoy.confirm(self.ports, envoy.set_route(self.folder, route, self.keys))
        return route

    def ask(self, flights: list[str | None], **headers: str) -> list[tuple[int, str]]:
        """Ask for flights over one connection: each code, and the arm that answered."""
        return [(code, told.get("x-release", "")) for code, told in self.asked(flights, **headers)]

    def asked(self, flights: list[str | None], **headers: str) -> list[tuple[int, Any]]:
        """The same with all headers of the answers, as a known caller unless the key is another."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports.callers, timeout=PATIENCE)
        found = []
        for flight in flights:
            named = {CALLER_KEY: self.keys.caller}
            named |= {} if flight is None else {"x-flight": flight}
            connection.request(
                "GET",
                "/v2/ask",
                headers=named | {k.replace("_", "-"): v for k, v in headers.items()},
            )
            answer = connection.getresponse()
            answer.read()
            found.append((answer.status, answer.headers))
        connection.close()
        return found

    def start(self, name: str) -> Arm:
        """Start an arm's server."""
        arm = self.arms[name] = Arm(name, self.ports.servers[name])
        threading.Thread(target=arm.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return arm

    def stop(self, name: str) -> None:
        """End an arm's server: its port refuses."""
        if (arm := self.arms.pop(name, None)) is not None:
            arm.cut()

    def healthy(self, **counts: int) -> None:
        """Wait until Envoy counts so many servers behind arms."""
        until(
            lambda: counts.items() <= envoy.healthy_servers(self.ports).items(),
            lambda: envoy.healthy_servers(self.ports),
        )


@contextmanager
def proxied(folder: Path) -> Iterator[Proxied]:
    """Three arms behind an Envoy of their own, all traffic at the champion."""
    users, callers, admin, *servers = free_ports(3 + len(routes.ARMS))
    ports = Ports(users, callers, admin, dict(zip(routes.ARMS, servers, strict=True)))
    found = Proxied(folder, ports, routes.new_keys(), {})
    envoy.write(folder, ports, Route({"champion": 10_000}, SALT), found.keys)
    for name in routes.ARMS:
        found.start(name)
    try:
        with running(folder):
            until(lambda: envoy.all_healthy(ports))
            yield found
    finally:
        for name in list(found.arms):
            found.stop(name)


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """Envoy on a folder that was written: its process."""
    _allow_files(2_048)  # of both ends of many connections
    process = subprocess.Popen(envoy.start_command(folder), stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait(PATIENCE)
