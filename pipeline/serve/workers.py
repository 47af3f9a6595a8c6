"""Several servers on one port: processes that share its connections, restarted when they die.

The system deals new connections out to all processes that listen at the port (SO_REUSEPORT). Each
worker has limits of its own, a connection to the store of its own and one writer to the one request
log; and a port of its own, where its metrics are.
"""

import argparse
import contextlib
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.serve import server
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, ServersFailed, UsageError
from pipeline.shared.processes import Process, Supervisor, handle_signals

FOLDER = Path("state/serve/workers")
"""A folder for each port in it: the workers' process ids and what they print."""
STARTS = 3
"""Starts of a worker that never listens, after which all end."""
_ATTEMPTS = 20
_PAUSE_SECONDS, _AGAIN_SECONDS = 0.05, 1.0
_LISTENS = " serves version "


def serve_by_workers(digest: str, port: int, host: str, count: int) -> str:
    """Serve a release by so many workers until SIGTERM or SIGINT.

    Raises:
        EnvironmentUnfit: one of the ports is taken, or this system does not deal connections out.
        ServersFailed: a worker does not start.
    """
    if sys.platform != "linux":
        raise EnvironmentUnfit(
            f"{count} workers share a port on Linux only, this is {sys.platform}: set `workers: 1` "
            "in configs/serve.yaml"
        )
    began, ended = time.monotonic(), list[int]()
    keep = handle_signals(lambda number, _: ended.append(number))
    with _reserve(port, host, count) as shared, keep:
        folder = FOLDER / str(shared)
        with Supervisor(folder) as children:
            workers = Workers(children, digest, shared, host, count)
            while not ended:
                workers.reconcile()
                time.sleep(_PAUSE_SECONDS)
        workers.relay()
    shutil.rmtree(folder, ignore_errors=True)  # all that they said was printed
    restarts = sum(workers.starts.values()) - count
    minutes = (time.monotonic() - began) / 60
    return f"{count} workers at {host}:{shared}, {restarts} restarted, in {minutes:.1f} min"


@dataclass
class Workers:
    """The running workers, by name."""

    children: Supervisor
    digest: str
    port: int
    host: str
    count: int
    starts: Counter[str] = field(default_factory=Counter)
    """By worker: how often it was started."""
    _running: dict[str, Process] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)
    _relayed: Counter[str] = field(default_factory=Counter)
    _listened: set[str] = field(default_factory=set)

    def reconcile(self) -> None:
        """Start what is missing or has died, and print what the workers say.

        Raises:
            ServersFailed: a worker has ended STARTS times without having listened.
        """
        for number in range(1, self.count + 1):
            name = f"worker-{number}"
            process = self._running.get(name)
            if process is not None and process.poll() is None:
                continue
            if process is None or time.monotonic() > self._started[name] + _AGAIN_SECONDS:
                self.relay()
                self._require_starting(name)
                self._start(name, own_port(self.port, number))
        self.relay()

    def _start(self, name: str, own: int) -> None:
        command = [sys.executable, "-m", "pipeline.serve.workers", f"--release={self.digest}"]
        command += [f"--port={self.port}", f"--host={self.host}", f"--own-port={own}"]
        self._running[name] = self.children.start(name, command, self._log(name))
        self._started[name], self.starts[name] = time.monotonic(), self.starts[name] + 1

    def _require_starting(self, name: str) -> None:
        if name not in self._listened and self.starts[name] >= STARTS:
            raise ServersFailed(
                f"{name} of {self.count} ended {self.starts[name]} times before it listened, "
                f"{STARTS} are tried: {self._log(name)} says why; correct that, then "
                "`make serve-http`"
            )

    def relay(self) -> None:
        """Print what the workers have said since the last time."""
        for name in self._running:
            with self._log(name).open("rb") as log:
                log.seek(self._relayed[name])
                whole, newline, _ = log.read().rpartition(b"\n")
            self._relayed[name] += len(whole + newline)
            for line in whole.decode(errors="replace").splitlines():
                if _LISTENS in line:
                    self._listened.add(name)
                sys.stdout.write(f"{name}: {line}\n")
        sys.stdout.flush()

    def _log(self, name: str) -> Path:
        return self.children.folder / f"{name}.log"


def own_port(port: int, number: int) -> int:
    """The port of a worker alone, counted from 1: its metrics are there."""
    return port + number


@contextlib.contextmanager
def _reserve(port: int, host: str, count: int) -> Iterator[int]:
    """Hold a port for workers, bound and not listened at; the ports after it are free.

    Without SO_REUSEPORT first: another program's workers would share their port with ours.
    """
    for attempt in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            try:
                first = stack.enter_context(server.listener(port, host)).getsockname()[1]
                for number in range(1, count + 1):
                    stack.enter_context(server.listener(own_port(first, number), host))
            except EnvironmentUnfit:
                if port or attempt == _ATTEMPTS - 1:
                    raise
                continue
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host, first))
            yield first
            return


def main() -> int:
    """Be one worker."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.serve.workers")
    parser.add_argument("--release", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--own-port", type=int, required=True)
    told = parser.parse_args()
    try:
        line = server.serve(told.release, told.port, host=told.host, own_port=told.own_port)
    except (PipelineError, UsageError) as refusal:
        sys.stderr.write(f"server: {type(refusal).__name__}: {refusal}\n")
        return refusal.exit_code
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
