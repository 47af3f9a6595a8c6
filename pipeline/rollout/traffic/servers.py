"""What serves while a rollout goes on: a keeper with servers and Envoy, found again or started."""

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
from pipeline.rollout.traffic.supervisor import KEPT, WANTED, Server, Wanted
from pipeline.shared import loopback, watcher
from pipeline.shared.errors import ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience

PROJECT = "rollout"
"""The online store's project that servers of a rollout read."""
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Live:
    """Servers and Envoy that run."""

    folder: Path
    wanted: Wanted

    def route(self, route: Route) -> float:
        """Change the traffic; the seconds until Envoy routes by it."""
        version = envoy.set_route(self.folder, route, self.wanted.keys)
        return envoy.confirm(self.wanted.ports, version)

    def wait(self) -> None:
        """Until everything answers.

        Raises:
            ServersFailed: something does not get ready.
        """
        _wait(self)

    def again(self) -> int:
        """The proxy's process, once it takes requests, if it ever does again."""
        patience = Patience(_READY_SECONDS)
        while not envoy.is_ready(self.wanted.ports) and not patience.over():
            time.sleep(0.05)
        return self.pid("envoy")

    def starts(self, name: str) -> int:
        """How often a server had to be started; a server that never died, once."""
        kept = supervisor.status(self.folder).get(name, {"pid": 0, "starts": 0})
        return int(kept["starts"]) + int(kept["pid"] == 0)

    def pid(self, name: str) -> int:
        """The process that runs under a name; 0 where none does."""
        return int(supervisor.status(self.folder).get(name, {"pid": 0})["pid"])


def begin(folder: Path = KEPT) -> None:
    """Start a keeper that has nothing to keep yet, after ending whatever one was left."""
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    _start_keeper(folder)


def _start_keeper(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "lease").touch()
    with (folder / "keeper.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.rollout.traffic.supervisor", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # what ends the one that decides does not end who serves
        )


def end(folder: Path = KEPT) -> None:
    """End the keeper of a folder, if there is one, with all that it keeps.

    One that is still being started finds no lease, and keeps nothing.
    """
    (folder / "lease").unlink(missing_ok=True)
    patience = Patience(20.0)
    while is_kept(folder) and not patience.over():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        time.sleep(0.05)
    watcher.kill_all(folder / supervisor.CHILDREN)  # left by a keeper that was killed


def is_kept(folder: Path = KEPT) -> bool:
    """Whether a keeper lives: it holds the lock for as long as it does."""
    return watcher.is_locked(folder / "lock")


@contextlib.contextmanager
def serving(
    sides: dict[str, Side],
    route: Route,
    folder: Path = KEPT,
    project: str = PROJECT,
    log_url: str | None = None,
    wrappers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Live]:
    """Servers for each arm and Envoy before them, all ready; ended with the block.

    `wrappers` are import paths of what wraps an arm's predictor. A caller that is killed leaves
    them running for `supervisor.LEASE_SECONDS`, and finds them again.

    Raises:
        ServersFailed: one of them does not get ready.
    """
    told = {"project": project, "log_url": log_url}
    wanted = _wanted(folder, sides, wrappers).model_copy(update=told)
    (folder / "lease").touch()
    if not is_kept(folder):
        _start_keeper(folder)
    envoy.write(folder, wanted.ports, route, wanted.keys)
    write_json(folder / WANTED, wanted.model_dump())
    live, over = Live(folder, wanted), threading.Event()
    beating = threading.Thread(target=_beat, args=(folder, over), daemon=True)
    beating.start()
    try:
        _wait(live)
        yield live
    finally:
        over.set()
        beating.join()
        end(folder)


def _beat(folder: Path, over: threading.Event) -> None:
    """Show that somebody decides; and where the keeper itself was killed, start another."""
    while not over.wait(1.0):
        with contextlib.suppress(OSError):
            (folder / "lease").touch()
            if not is_kept(folder):
                _start_keeper(folder)


def _wanted(folder: Path, sides: dict[str, Side], wrappers: Mapping[str, str]) -> Wanted:
    """What is to run; on the ports of before, if somebody runs it already."""
    known: Wanted | None = None
    with contextlib.suppress(FileNotFoundError, ValueError):
        known = supervisor.read_wanted(folder)
    free = free_ports(len(sides) + 3)
    ports = dict(zip(sides, free, strict=False))
    if known is not None:
        ports |= {arm: server.port for arm, server in known.servers.items() if arm in sides}
    servers = {
        arm: Server(release=side.release, port=ports[arm], arm=arm, wrapper=wrappers.get(arm, ""))
        for arm, side in sides.items()
    }
    if known is not None:
        return known.model_copy(update={"servers": servers, "project": PROJECT, "log_url": None})
    users, callers, admin = free[-3:]
    return Wanted(
        servers=servers,
        users=users,
        callers=callers,
        admin=admin,
        project=PROJECT,
        keys=routes.new_keys(),
    )


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _wait(live: Live) -> None:
    """Until Envoy takes requests and each arm's own server answers, by its own word."""
    patience, missing = Patience(_READY_SECONDS), set(live.wanted.servers)
    while not patience.over():
        missing = {arm for arm, s in live.wanted.servers.items() if not _answers(s.port)}
        counted = envoy.healthy(live.wanted.ports)
        if not missing and counted and all(counted.values()):
            return
        if worst := [name for name in (*sorted(missing), "envoy") if live.starts(name) > 3]:
            raise ServersFailed(_failed(live, worst))
        time.sleep(0.1)
    raise ServersFailed(_failed(live, sorted(missing) or ["envoy"]))


def _failed(live: Live, arms: list[str]) -> str:
    log = live.folder / f"{arms[0]}.log"
    words = log.read_text(errors="replace").strip() if log.is_file() else ""
    return (
        f"{', '.join(arms)} of {len(live.wanted.servers)} servers did not get ready within "
        f"{_READY_SECONDS:g} s or {live.starts(arms[0])} starts; the champion stays: "
        f"{_reason(words)} ({log}); correct that, then run the same again"
    )


def _reason(words: str) -> str:
    """The line of a log that says why: Python tells it last; Envoy first, and then what follows."""
    lines = words.splitlines() or ["it said nothing"]
    told = [line for line in lines if re.search(r"\[(critical|error)\]|assert failure", line)]
    return told[0] if told else lines[-1]


def _answers(port: int) -> bool:
    return loopback.get(port, "/v2/health/ready") is not None
