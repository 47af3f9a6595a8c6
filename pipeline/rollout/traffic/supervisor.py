"""The keeper: starts servers and Envoy as a file asks for them, and starts again what has died.

Who decides and who serves are two processes, so that the one can be killed without the other. Its
children die with the keeper. Without a sign of life from whoever decides it goes on for a while, to
be found again; then it ends with all it keeps.
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
"""What the keeper and Envoy read and write while they live."""
LEASE_SECONDS = 30.0
"""How long the keeper goes on without a sign of life: a controller is back within ten."""
APP, SERVER = "pipeline.serve.app", "pipeline.serve.server:serve"
"""Another stage, so it is named and not imported; started as a program of its own."""
CHILDREN, SPEC = "children", "wanted.json"
FORKS = sys.platform == "linux"
"""Whether servers are copies of the keeper, which share what it has loaded, or new processes."""
_PAUSE_SECONDS = 0.05


class Server(Record):
    """A server to keep: which release, on which port, and what wraps its predictor, if anything."""

    release: str
    port: int
    arm: str
    wrapper: str = ""


class ServerSpec(Record):
    """Everything that is to run; `project` is the online store's that the servers read.

    `log_url` is where they log, if not where the config says. The keys are this rollout's alone,
    and the file that holds them is its owner's.
    """

    servers: dict[str, Server]
    users: int
    callers: int
    admin: int
    project: str
    keys: routes.Keys
    log_url: str | None = None

    @property
    def ports(self) -> envoy.Ports:
        """Where who listens."""
        servers = {arm: server.port for arm, server in self.servers.items()}
        return envoy.Ports(self.users, self.callers, self.admin, servers)


def read_spec(folder: Path) -> ServerSpec:
    """What a folder asks for: a file, since others on this machine can read a command's words."""
    return ServerSpec.model_validate_json((folder / SPEC).read_bytes())


@dataclass
class Child:
    """A child: its process, what it was started for, and how often it had to be."""

    process: Process
    spec: str
    starts: int = 1

    @property
    def pid(self) -> int:
        """Its number; 0 once it has died."""
        return self.process.pid if self.process.poll() is None else 0


@dataclass
class ServerSupervisor:
    """What runs, by name: an arm or "envoy"."""

    folder: Path
    children: Supervisor
    lock: int
    """A descriptor that a copy of the keeper may not hold on to."""
    running: dict[str, Child] = field(default_factory=dict)

    def reconcile(self, wanted: ServerSpec) -> None:
        """Stop what is not wanted as it is, start what is missing or has died, and say so."""
        edge = wanted.keys.edge
        asked = {name: edge + server.model_dump_json() for name, server in wanted.servers.items()}
        asked["envoy"] = f"{wanted.users} {wanted.callers} {wanted.admin}"
        before = self._status()
        for name in [name for name, kept in self.running.items() if asked.get(name) != kept.spec]:
            self._stop([name])
        for name, spec in asked.items():
            if name not in self.running:
                self.running[name] = Child(self._start(name, wanted), spec)
            elif not (kept := self.running[name]).pid:
                kept.process, kept.starts = self._start(name, wanted), kept.starts + 1
        if self._status() != before or not (self.folder / "status.json").is_file():
            write_json(self.folder / "status.json", self._status())

    def end(self) -> None:
        """Stop everything: who takes requests first."""
        for names in (["envoy"], sorted(self.running.keys() - {"envoy"})):
            self._stop([name for name in names if name in self.running])
        (self.folder / "status.json").unlink(missing_ok=True)

    @property
    def servers(self) -> dict[str, int]:
        """The process of each arm; 0 where it has died."""
        return {name: kept.pid for name, kept in self.running.items() if name != "envoy"}

    def _status(self) -> dict[str, dict[str, int]]:
        return {name: {"pid": k.pid, "starts": k.starts} for name, k in self.running.items()}

    def _start(self, name: str, wanted: ServerSpec) -> Process:
        log = self.folder / f"{name}.log"
        if name == "envoy":
            return self.children.start(name, envoy.command(self.folder), log)
        if FORKS:
            return self.children.fork(name, lambda: self._serve(name, wanted), log)
        command = [sys.executable, "-m", "pipeline.rollout.traffic.supervisor", "--serve", name]
        return self.children.start(name, [*command, str(self.folder)], log)

    def _serve(self, name: str, wanted: ServerSpec) -> None:
        os.close(self.lock)
        _serve(name, wanted)

    def _stop(self, names: list[str]) -> None:
        self.children.stop(names)
        for name in names:
            del self.running[name]


def load() -> None:
    """What every server imports, once: a copy shares it. Nothing of it may have started yet."""
    if not FORKS:
        return
    pkgutil.resolve_name(APP), pkgutil.resolve_name(SERVER)
    from pipeline.features import online_store

    online_store.load()


def supervise(folder: Path = SERVER_STATE, prepared: Callable[[], None] = load) -> int:
    """Be the keeper of a folder until spec to end or left alone; 3 if there is one already."""
    with _single_instance(folder) as lock:
        if lock is None:
            return 3
        prepared()
        ended: list[int] = []
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda number, _: ended.append(number))
        with Supervisor(folder / CHILDREN) as children:
            keeper, wanted = ServerSupervisor(folder, children, lock), folder / SPEC
            readings = Readings(folder / READINGS)
            try:
                for _ in _lease_renewals(folder):
                    if ended:
                        break
                    if wanted.is_file():
                        keeper.reconcile(read_spec(folder))
                    readings.take(keeper.servers)
                    time.sleep(_PAUSE_SECONDS)
            finally:
                keeper.end()
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
    """One after the other, until none has been new for LEASE_SECONDS.

    What counts is that a sign is another than before, not what the clock says of either: a laptop
    whose lid was closed wakes up with all of them old.
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


def _serve(arm: str, wanted: ServerSpec) -> None:
    server = wanted.servers[arm]
    wrap = pkgutil.resolve_name(server.wrapper) if server.wrapper else lambda predictor: predictor
    serve = pkgutil.resolve_name(SERVER)
    serve(server.release, server.port, wanted.project, wanted.log_url, wrap, wanted.keys.edge)


def status(folder: Path = SERVER_STATE) -> dict[str, dict[str, Any]]:
    """What the keeper keeps, by name: the process and how often it was started."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return dict(json.loads((folder / "status.json").read_bytes()))
    return {}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        _serve(sys.argv[2], read_spec(Path(sys.argv[3])))
        sys.exit(0)
    sys.exit(supervise(Path(sys.argv[1]) if sys.argv[1:] else SERVER_STATE))
