"""The supervisor: starts servers and Envoy by a spec in a file, and restarts those that die.

Controller and servers are separate processes, so that the controller can be killed while serving
goes on. The children die with the supervisor. Without a renewed lease it goes on for a while, so
that a restarted controller finds it; then it ends with its children.
"""

import contextlib
import json
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.rollout.traffic import envoy, routes
from pipeline.rollout.traffic.resources import READINGS, Readings
from pipeline.shared.contracts import Record
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience, Process, Supervisor
from pipeline.shared.watcher import hold

SERVER_STATE = Path("state/rollout/kept")
"""The folder that supervisor and Envoy use while they run."""
LEASE_SECONDS = 30.0
"""The lease: how long the supervisor outlives a controller, which is back within ten."""
APP, SERVER = "pipeline.serve.app", "pipeline.serve.server:serve"
"""Named, not imported, since it is another stage; it runs as a program of its own."""
CHILDREN, SPEC = "children", "wanted.json"
FORKS = sys.platform == "linux"
"""Whether servers are forks of the supervisor, which share its loaded modules, or new processes."""
_PAUSE_SECONDS = 0.05


class SupervisedServer(Record):
    """One server of the spec: its release, port and arm, and a wrapper of its predictor, if any."""

    release: str
    port: int
    arm: str
    wrapper: str = ""


class ServerSpec(Record):
    """The desired state: servers, ports, keys; `project` is the servers' online store project.

    `log_url` overrides the config's request log. The keys belong to this rollout alone, and only
    the owner can read their file.
    """

    servers: dict[str, SupervisedServer]
    users: int
    callers: int
    admin: int
    project: str
    keys: routes.Keys
    log_url: str | None = None

    @property
    def ports(self) -> envoy.Ports:
        """The ports of Envoy and of each arm's server."""
        servers = {arm: server.port for arm, server in self.servers.items()}
        return envoy.Ports(self.users, self.callers, self.admin, servers)


def read_spec(folder: Path) -> ServerSpec:
    """Read a folder's spec: a file, since other users of this machine see a command's arguments."""
    return ServerSpec.model_validate_json((folder / SPEC).read_bytes())


@dataclass
class Child:
    """A child process, the spec it was started with, and the number of starts."""

    process: Process
    spec: str
    starts: int = 1

    @property
    def pid(self) -> int:
        """The process id; 0 if it has died."""
        return self.process.pid if self.process.poll() is None else 0


@dataclass
class ServerSupervisor:
    """The running children, by name: an arm or "envoy"."""

    folder: Path
    children: Supervisor
    lock: int
    """The lock's descriptor, which a forked server must close."""
    running: dict[str, Child] = field(default_factory=dict)

    def reconcile(self, spec: ServerSpec) -> None:
        """Stop children with another spec, start missing or dead ones, and write the status."""
        edge = spec.keys.edge
        specs = {name: edge + server.model_dump_json() for name, server in spec.servers.items()}
        specs["envoy"] = f"{spec.users} {spec.callers} {spec.admin}"
        before = self._status()
        for name in [name for name, child in self.running.items() if specs.get(name) != child.spec]:
            self._stop([name])
        for name, text in specs.items():
            if name not in self.running:
                self.running[name] = Child(self._start(name, spec), text)
            elif not (child := self.running[name]).pid:
                child.process, child.starts = self._start(name, spec), child.starts + 1
        if self._status() != before or not (self.folder / "status.json").is_file():
            write_json(self.folder / "status.json", self._status())

    def end(self) -> None:
        """Stop all children, Envoy first, since it takes the requests."""
        for names in (["envoy"], sorted(self.running.keys() - {"envoy"})):
            self._stop([name for name in names if name in self.running])
        (self.folder / "status.json").unlink(missing_ok=True)

    @property
    def servers(self) -> dict[str, int]:
        """The process id of each arm's server; 0 if it has died."""
        return {name: child.pid for name, child in self.running.items() if name != "envoy"}

    def _status(self) -> dict[str, dict[str, int]]:
        return {name: {"pid": k.pid, "starts": k.starts} for name, k in self.running.items()}

    def _start(self, name: str, spec: ServerSpec) -> Process:
        log = self.folder / f"{name}.log"
        if name == "envoy":
            return self.children.start(name, envoy.start_command(self.folder), log)
        if FORKS:
            return self.children.fork(name, lambda: self._serve(name, spec), log)
        command = [sys.executable, "-m", "pipeline.rollout.traffic.supervisor", "--serve", name]
        return self.children.start(name, [*command, str(self.folder)], log)

    def _serve(self, name: str, spec: ServerSpec) -> None:
        os.close(self.lock)
        _serve(name, spec)

    def _stop(self, names: list[str]) -> None:
        self.children.stop(names)
        for name in names:
            del self.running[name]


def _load() -> None:
    """Import the servers' modules once, for all forks; none of them may start a thread."""
    if not FORKS:
        return
    pkgutil.resolve_name(APP), pkgutil.resolve_name(SERVER)
    from pipeline.features import feast_client

    feast_client.preload()


def supervise(folder: Path = SERVER_STATE, prepared: Callable[[], None] = _load) -> int:
    """Supervise a folder until a signal or the end of its lease; 3 if another supervisor does."""
    with _single_instance(folder) as lock:
        if lock is None:
            return 3
        prepared()
        ended: list[int] = []
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda number, _: ended.append(number))
        with Supervisor(folder / CHILDREN) as children:
            supervisor, file = ServerSupervisor(folder, children, lock), folder / SPEC
            readings = Readings(folder / READINGS)
            try:
                for _ in _lease_renewals(folder):
                    if ended:
                        break
                    if file.is_file():
                        supervisor.reconcile(read_spec(folder))
                    readings.take(supervisor.servers)
                    time.sleep(_PAUSE_SECONDS)
            finally:
                supervisor.end()
    return 0


@contextlib.contextmanager
def _single_instance(folder: Path) -> Iterator[int | None]:
    with hold(folder / "lock") as lock:
        if lock is not None:
            (folder / "pid").write_text(str(os.getpid()))
        yield lock
        if lock is not None:
            (folder / "pid").unlink(missing_ok=True)


def _lease_renewals(folder: Path) -> Iterator[float]:
    """Yield the lease's times until it has not changed for LEASE_SECONDS.

    Only a change counts, not its age by the clock: a laptop that wakes from sleep finds every lease
    old.
    """
    seen, patience = 0.0, Patience(LEASE_SECONDS)
    while True:
        try:
            spec = (folder / "lease").stat().st_mtime
        except FileNotFoundError:
            return
        if spec != seen:
            patience.renew()
        elif patience.over():
            return
        yield (seen := spec)


def _serve(arm: str, spec: ServerSpec) -> None:
    server = spec.servers[arm]
    wrap = pkgutil.resolve_name(server.wrapper) if server.wrapper else lambda predictor: predictor
    serve = pkgutil.resolve_name(SERVER)
    serve(server.release, server.port, spec.project, spec.log_url, wrap, spec.keys.edge)


def status(folder: Path = SERVER_STATE) -> dict[str, dict[str, Any]]:
    """The supervisor's children, by name: process id and number of starts."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return dict(json.loads((folder / "status.json").read_bytes()))
    return {}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        _serve(sys.argv[2], read_spec(Path(sys.argv[3])))
        sys.exit(0)
    sys.exit(supervise(Path(sys.argv[1]) if sys.argv[1:] else SERVER_STATE))
