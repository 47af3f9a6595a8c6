"""The servers of a rollout: a supervisor with servers and Envoy, found again or started."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.records.rollout_ledger import Side
from pipeline.rollout.traffic import envoy, routes, supervisor
from pipeline.rollout.traffic.routes import Route
from pipeline.rollout.traffic.supervisor import SERVER_STATE, SPEC, ServerSpec, SupervisedServer
from pipeline.shared import loopback, watcher
from pipeline.shared.errors import ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience

PROJECT = "rollout"
"""The online store's project that servers of a rollout read."""
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Servers:
    """The running servers and Envoy of a rollout."""

    folder: Path
    spec: ServerSpec

    def route(self, route: Route) -> float:
        """Change the traffic; returns the seconds until Envoy routes by it."""
        version = envoy.set_route(self.folder, route, self.spec.keys)
        return envoy.confirm(self.spec.ports, version)

    def wait_until_ready(self) -> None:
        """Wait until each arm's own server reports ready, and is healthy to Envoy.

        Raises:
            ServersFailed: one of them does not get ready.
        """
        patience, missing = Patience(_READY_SECONDS), set(self.spec.servers)
        while not patience.over():
            missing = {arm for arm, s in self.spec.servers.items() if not _is_ready(s.port)}
            if not missing and envoy.all_healthy(self.spec.ports):
                return
            if failing := [name for name in (*sorted(missing), "envoy") if self.starts(name) > 3]:
                raise ServersFailed(_failure(self, failing))
            time.sleep(0.1)
        raise ServersFailed(_failure(self, sorted(missing) or ["envoy"]))

    def wait_for_proxy(self) -> int:
        """Wait until the proxy takes requests, if it ever does again; returns its process id."""
        patience = Patience(_READY_SECONDS)
        while not envoy.is_ready(self.spec.ports) and not patience.over():
            time.sleep(0.05)
        return self.pid("envoy")

    def starts(self, name: str) -> int:
        """The number of starts of a server: 1 unless it has died."""
        child = supervisor.status(self.folder).get(name, {"pid": 0, "starts": 0})
        return int(child["starts"]) + int(child["pid"] == 0)

    def pid(self, name: str) -> int:
        """The process id of a child; 0 if it does not run."""
        return int(supervisor.status(self.folder).get(name, {"pid": 0})["pid"])


def start(folder: Path = SERVER_STATE) -> None:
    """Start a supervisor without a spec yet, after ending a remaining one."""
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    _start_supervisor(folder)


def _start_supervisor(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "lease").touch()
    with (folder / "supervisor.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.rollout.traffic.supervisor", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a signal to the controller must not end the servers
        )


def end(folder: Path = SERVER_STATE) -> None:
    """End a folder's supervisor, if there is one, with its children.

    One that is still starting finds no lease, and starts nothing.
    """
    (folder / "lease").unlink(missing_ok=True)
    patience = Patience(20.0)
    while is_running(folder) and not patience.over():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        time.sleep(0.05)
    watcher.kill_all(folder / supervisor.CHILDREN)  # left by a killed supervisor


def is_running(folder: Path = SERVER_STATE) -> bool:
    """Whether a supervisor runs: it holds the lock as long as it lives."""
    return watcher.is_locked(folder / "lock")


@contextlib.contextmanager
def open_servers(
    sides: dict[str, Side],
    route: Route,
    folder: Path = SERVER_STATE,
    project: str = PROJECT,
    log_url: str | None = None,
    wrappers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Servers]:
    """Open a server for each arm behind Envoy, all ready; the block's end stops them.

    `wrappers` are import paths of wrappers of an arm's predictor. After a killed caller they go on
    for `supervisor.LEASE_SECONDS`, and the next caller finds them again.

    Raises:
        ServersFailed: one of them does not get ready.
    """
    updates = {"project": project, "log_url": log_url}
    spec = _spec(folder, sides, wrappers).model_copy(update=updates)
    (folder / "lease").touch()
    if not is_running(folder):
        _start_supervisor(folder)
    envoy.write(folder, spec.ports, route, spec.keys)
    write_json(folder / SPEC, spec.model_dump())
    servers, over = Servers(folder, spec), threading.Event()
    beating = threading.Thread(target=_renew_lease, args=(folder, over), daemon=True)
    beating.start()
    try:
        servers.wait_until_ready()
        yield servers
    finally:
        over.set()
        beating.join()
        end(folder)


def _renew_lease(folder: Path, over: threading.Event) -> None:
    """Renew the lease every second, and start another supervisor if it was killed."""
    while not over.wait(1.0):
        with contextlib.suppress(OSError):
            (folder / "lease").touch()
            if not is_running(folder):
                _start_supervisor(folder)


def _spec(folder: Path, sides: dict[str, Side], wrappers: Mapping[str, str]) -> ServerSpec:
    """The spec of these sides, on the ports of the servers that run already."""
    running: ServerSpec | None = None
    with contextlib.suppress(FileNotFoundError, ValueError):
        running = supervisor.read_spec(folder)
    free = free_ports(len(sides) + 3)
    ports = dict(zip(sides, free, strict=False))
    if running is not None:
        ports |= {arm: server.port for arm, server in running.servers.items() if arm in sides}
    servers = {
        arm: SupervisedServer(
            release=side.release, port=ports[arm], arm=arm, wrapper=wrappers.get(arm, "")
        )
        for arm, side in sides.items()
    }
    if running is not None:
        return running.model_copy(update={"servers": servers, "project": PROJECT, "log_url": None})
    users, callers, admin = free[-3:]
    return ServerSpec(
        servers=servers,
        users=users,
        callers=callers,
        admin=admin,
        project=PROJECT,
        keys=routes.new_keys(),
    )


def free_ports(count: int) -> list[int]:
    """Find free ports of this machine."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _failure(servers: Servers, arms: list[str]) -> str:
    log = servers.folder / f"{arms[0]}.log"
    words = log.read_text(errors="replace").strip() if log.is_file() else ""
    return (
        f"{', '.join(arms)} of {len(servers.spec.servers)} servers did not get ready within "
        f"{_READY_SECONDS:g} s or {servers.starts(arms[0])} starts; the champion stays: "
        f"{_reason(words)} ({log}); correct that, then run the same again"
    )


def _reason(words: str) -> str:
    """The line of a log with the cause: Python writes it last, Envoy first."""
    lines = words.splitlines() or ["it said nothing"]
    errors = [line for line in lines if re.search(r"\[(critical|error)\]|assert failure", line)]
    return errors[0] if errors else lines[-1]


def _is_ready(port: int) -> bool:
    return loopback.get(port, "/v2/health/ready") is not None
