"""The keeper: starts servers and Envoy as a file asks for them, and starts again what has died.

Who decides and who serves are two processes, so that the one can be killed without the other. The
keeper loads what every server needs once and forks; its children die with it. Without a sign of
life from whoever decides it goes on for a while, to be found again; then it ends with all it keeps.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.rollout import envoy
from pipeline.shared.contracts import Record
from pipeline.shared.files import write_json

KEPT = Path("state/rollout/kept")
"""What the keeper and Envoy read and write while they live."""
LEASE_SECONDS = 30.0
"""How long the keeper goes on without a sign of life: a controller is back within ten."""
_PAUSE_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_DIE_WITH_PARENT = 1


class Server(Record):
    """A server to keep: which release, on which port, and what is injected into it."""

    release: str
    port: int
    arm: str
    fault: str = ""


class Wanted(Record):
    """Everything that is to run; `project` is the online store's that the servers read.

    `log_url` is where they log, if not where the config says.
    """

    servers: dict[str, Server]
    users: int
    admin: int
    project: str
    log_url: str | None = None

    @property
    def ports(self) -> envoy.Ports:
        """Where who listens."""
        return envoy.Ports(self.users, self.admin, {a: s.port for a, s in self.servers.items()})


@dataclass
class Kept:
    """A child: its process, what it was started for, and how often it had to be."""

    pid: int
    told: str
    starts: int = 1


@dataclass
class Keeper:
    """What runs, by name: an arm or "envoy"."""

    folder: Path
    running: dict[str, Kept] = field(default_factory=dict)

    def reconcile(self, wanted: Wanted) -> None:
        """Stop what is not wanted as it is, start what is missing or has died, and say so."""
        asked = {name: server.model_dump_json() for name, server in wanted.servers.items()}
        asked["envoy"] = f"{wanted.users} {wanted.admin}"
        self._bury()
        before = self._status()
        for name in [name for name, kept in self.running.items() if asked.get(name) != kept.told]:
            self._stop([name])
        for name, told in asked.items():
            if name not in self.running:
                self.running[name] = Kept(self._start(name, wanted), told)
            elif not self.running[name].pid:
                kept = self.running[name]
                kept.pid, kept.starts = self._start(name, wanted), kept.starts + 1
        if self._status() != before or not (self.folder / "status.json").is_file():
            write_json(self.folder / "status.json", self._status())

    def end(self) -> None:
        """Stop everything: who takes requests first."""
        for names in (["envoy"], sorted(self.running.keys() - {"envoy"})):
            self._stop([name for name in names if name in self.running])
        (self.folder / "status.json").unlink(missing_ok=True)

    def _status(self) -> dict[str, dict[str, int]]:
        return {name: {"pid": k.pid, "starts": k.starts} for name, k in self.running.items()}

    def _start(self, name: str, wanted: Wanted) -> int:
        if name == "envoy":
            return _spawned(envoy.command(self.folder), self.folder / "envoy.log")
        server = wanted.servers[name]
        return _forked(lambda: _serve(server, wanted), self.folder / f"{name}.log")

    def _stop(self, names: list[str]) -> None:
        pids = [pid for name in names if (pid := self.running.pop(name).pid)]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while pids and time.monotonic() < deadline:
            pids = [pid for pid in pids if not os.waitpid(pid, os.WNOHANG)[0]]
            time.sleep(0.01)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _bury(self) -> None:
        """Take note of children that have died; pid 0 until they are started again."""
        for kept in self.running.values():
            if kept.pid and os.waitpid(kept.pid, os.WNOHANG)[0]:
                kept.pid = 0


def load() -> None:
    """What every server imports, once: a fork shares it. Nothing of it may have started yet."""
    import pipeline.serve.app
    import pipeline.serve.server  # noqa: F401
    from pipeline.features import store

    store.load()


def keep(folder: Path = KEPT, prepared: Callable[[], None] = load) -> int:
    """Be the keeper of a folder until told to end or left alone; 3 if there is one already."""
    with _only_one(folder) as alone:
        if not alone:
            return 3
        prepared()
        ended: list[int] = []
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda number, _: ended.append(number))
        keeper, wanted = Keeper(folder), folder / "wanted.json"
        try:
            while not ended and time.time() - _sign_of_life(folder) < LEASE_SECONDS:
                if wanted.is_file():
                    keeper.reconcile(Wanted.model_validate_json(wanted.read_bytes()))
                time.sleep(_PAUSE_SECONDS)
        finally:
            keeper.end()
    return 0


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        (folder / "pid").write_text(str(os.getpid()))
        yield True
        (folder / "pid").unlink(missing_ok=True)


def _sign_of_life(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return (folder / "lease").stat().st_mtime
    return 0.0


def _serve(server: Server, wanted: Wanted) -> None:
    from pipeline.rollout.fault import injected
    from pipeline.serve.server import serve

    serve(server.release, server.port, wanted.project, wanted.log_url, injected(server.fault))


def _forked(work: Callable[[], None], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become_child(log)
        work()
        code = 0
    finally:  # the child ends here, and never as a second keeper
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def _spawned(command: list[str], log: Path) -> int:
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            preexec_fn=_die_with_parent,  # the keeper has one thread
        )
    return process.pid


def _become_child(log: Path) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    _die_with_parent()
    stream = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(stream, 1)
    os.dup2(stream, 2)


def _die_with_parent() -> None:
    """Linux ends a child whose parent is gone; elsewhere it notices by itself, or is left over."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def status(folder: Path = KEPT) -> dict[str, dict[str, Any]]:
    """What the keeper keeps, by name: the process and how often it was started."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return dict(json.loads((folder / "status.json").read_bytes()))
    return {}


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]) if sys.argv[1:] else KEPT))
