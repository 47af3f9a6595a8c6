"""Does the service stay as it is under half its load for half an hour, whatever happens meanwhile?

The rollout's own servers behind Envoy, asked by known callers at half the capacity that was
measured just before. Meanwhile all traffic moves to the challenger and back, as a promotion and a
rollback move it; the challenger's server is killed with SIGKILL while it serves; and in bursts
callers ask for twice the capacity. All figures are of one run.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import open_loop
from benchmarks.open_loop import Answers, Plan
from benchmarks.serving import bodies
from benchmarks.soak_figures import record
from benchmarks.study import Watch, kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features.online_store import LIVE
from pipeline.rollout.state import ALL_CHALLENGER, ALL_CHAMPION, sides
from pipeline.rollout.traffic import envoy
from pipeline.rollout.traffic.routes import Route
from pipeline.rollout.traffic.servers import Servers, open_servers
from pipeline.shared import loopback
from pipeline.shared.callers import CALLER_KEY
from pipeline.shared.errors import PipelineError, ServersFailed, UsageError
from pipeline.shared.processes import Patience

SECONDS, FEWEST = 1800, 60
CALLERS, BURST_CALLERS = 96, 400
"""Connections of those who ask all the time, and in a burst besides: the proxy takes 512."""
CAPACITY_CALLERS, CAPACITY_SECONDS = 32, 10.0
CHANGES, KILLS, BURSTS = 30, 3, 3
BURST_SHARE, BURST_MOST = 1 / 60, 10.0
"""How long a burst is: a share of the run, and the most seconds."""
SAMPLES = 120
LEAD = 8.0
"""Seconds from starting the process of callers to their first request: it loads libraries."""
SALT = "soak"


@dataclass
class Samples:
    """Memory and open files of Envoy and of the servers, and the requests inside, over time."""

    servers: Servers
    rows: list[dict[str, float]] = field(default_factory=list)

    def take(self, at: float) -> None:
        """One sample of each process that lives."""
        for name in ("envoy", *self.servers.spec.servers):
            with contextlib.suppress(psutil.Error):
                if pid := self.servers.pid(name):
                    process = psutil.Process(pid)
                    memory, files = process.memory_info().rss / 1e6, process.num_fds()
                    one = {"at": at, "name": name, "pid": pid, "memory": memory, "files": files}
                    self.rows.append(one)

    def waiting(self) -> float:
        """The most requests that are inside one of the servers now."""
        texts = [loopback.get(s.port, "/metrics") for s in self.servers.spec.servers.values()]
        lines = [line for text in texts if text for line in text.splitlines()]
        return max(
            (float(x.split()[1]) for x in lines if x.startswith("serve_waiting ")), default=0
        )


@dataclass
class Operator:
    """What happens to the servers meanwhile, each event at its instant."""

    servers: Servers
    seconds: float
    began: float
    watch: Watch
    changes: list[float] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    """The seconds until a killed server was ready again."""
    promoted: bool = False

    def events(self) -> Iterator[tuple[float, str]]:
        """Each event and its instant, in order."""
        step = self.seconds / (CHANGES + 1)
        found = [(step * (n + 1), "change") for n in range(CHANGES)]
        for n in range(KILLS):  # in the middle between two changes, while the challenger serves
            place = 2 * round((n + 0.6) * CHANGES / KILLS / 2) + 1.5
            found.append((step * place, "kill"))
        found += [(self.seconds * n / SAMPLES, "sample") for n in range(1, SAMPLES)]
        yield from sorted(found)

    def run(self, samples: Samples) -> None:
        """Let everything happen, until the end."""
        for at, event in self.events():
            time.sleep(max(0.0, self.began + at - time.monotonic()))
            if event == "change":
                self._change()
            elif event == "kill":
                self._kill()
            else:
                samples.take(time.monotonic() - self.began)
            if event != "sample":
                what = "kill -9" if event == "kill" else "promoted" if self.promoted else "back"
                self.watch.said(f"{at:.0f} of {self.seconds:.0f} s: {what}")

    def _change(self) -> None:
        self.promoted = not self.promoted
        shares = ALL_CHALLENGER if self.promoted else ALL_CHAMPION
        self.changes.append(self.servers.route(Route(shares, SALT)))

    def _kill(self) -> None:
        """End the challenger's server without a word, and wait for the next one."""
        pid, began = self.servers.pid("challenger"), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.kills.append(began - self.began)
        port, patience = self.servers.spec.servers["challenger"].port, Patience(60.0)
        while self.servers.pid("challenger") in (0, pid) or not self._is_back(port):
            if patience.over():
                raise ServersFailed("the killed server is not back after 60 s; see its log")
            time.sleep(0.02)
        self.back.append(time.monotonic() - began)

    def _is_back(self, port: int) -> bool:
        """Whether a server answers, and the proxy knows."""
        ready = loopback.get(port, "/v2/health/ready") is not None
        return ready and envoy.all_healthy(self.servers.spec.ports)


def requests(servers: Servers) -> list[bytes]:
    """Requests of a known caller, each with its flight's name, as the proxy wants them."""
    key = servers.spec.keys.caller
    found = []
    for number, one in enumerate(bodies()["online"]):
        head = f"\r\nx-flight: soak-{number}\r\n{CALLER_KEY}: {key}\r\n".encode()
        found.append(one.replace(b"\r\n", head, 1))
    return found


def capacity(servers: Servers, content: list[bytes]) -> tuple[float, int]:
    """Answers a second to as many callers as one server answers best, and how many came in all."""
    port, came = servers.spec.callers, 0
    for seconds in (2.0, CAPACITY_SECONDS):  # the first fills caches
        until = time.monotonic() + seconds
        found = open_loop.ask(Plan(port, content, 0, 0, until, CAPACITY_CALLERS))
        last = int((found.column("code") == 200).sum())
        came += last
    return last / CAPACITY_SECONDS, came


@dataclass
class Run:
    """A run: when it began, what was answered to all callers and in bursts, what happened."""

    seconds: float
    capacity: float
    answered_before: int
    began: float
    steady: Answers
    bursts: list[tuple[float, float, Answers]]
    """Each with its begin and its end in seconds of the run."""
    waiting: float
    operator: Operator
    samples: Samples


def soaked(servers: Servers, seconds: float, folder: Path, watch: Watch) -> Run:
    """Everything at once, for so long."""
    content = requests(servers)
    whole, before = capacity(servers, content)
    watch.said(f"capacity: {whole:.0f} answers a second")
    began = time.monotonic() + LEAD
    plan = Plan(servers.spec.callers, content, whole / 2, began, began + seconds, CALLERS)
    samples = Samples(servers)
    operator = Operator(servers, seconds, began, watch)
    failed: list[BaseException] = []

    def operate() -> None:
        try:
            operator.run(samples)
        except BaseException as error:  # raised again by the main thread
            failed.append(error)

    operating = threading.Thread(target=operate)
    with open_loop.asking(plan, folder / "steady.npz"):
        operating.start()
        bursts, waiting = _bursts(plan, whole, seconds, samples, folder, watch)
        operating.join()
    if failed:
        raise failed[0]
    steady = open_loop.read(folder / "steady.npz")
    return Run(seconds, whole, before, began, steady, bursts, waiting, operator, samples)


def _bursts(
    plan: Plan, whole: float, seconds: float, samples: Samples, folder: Path, watch: Watch
) -> tuple[list[tuple[float, float, Answers]], float]:
    """Ask for twice the capacity in all, now and then; the most requests that were inside."""
    found, most = [], 0.0
    long = min(BURST_MOST, seconds * BURST_SHARE + 1.0)
    for number in range(BURSTS):
        at = seconds * (number + 0.2) / BURSTS
        time.sleep(max(0.0, plan.began + at - time.monotonic()))
        start = time.monotonic() + LEAD
        burst = Plan(plan.port, plan.requests, 1.5 * whole, start, start + long, BURST_CALLERS)
        with open_loop.asking(burst, path := folder / f"burst-{number}.npz"):
            while time.monotonic() < start + long:
                most = max(most, samples.waiting())
                time.sleep(0.2)
        found.append((start - plan.began, start - plan.began + long, open_loop.read(path)))
        watch.said(f"a burst of {long:.1f} s")
    return found, most


def main(arguments: list[str] | None = None) -> int:
    """Soak and write benchmarks/soak.json; less than the whole time is not recorded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="less records nothing")
    seconds = parser.parse_args(arguments).seconds
    try:
        if seconds < FEWEST:
            raise UsageError(f"{seconds} s are too few for {CHANGES} changes; {FEWEST} s at least")
        return _run(seconds)
    except (PipelineError, UsageError) as refusal:
        print(f"soak: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code


def _run(seconds: int) -> int:
    """Measure; at SIGTERM everything that was started ends first."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    watch, load = Watch(), os.getloadavg()[0]
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name).resolve()
        log = f"sqlite:///{folder}/log.db"
        os.environ |= {"PIPELINE_ONLINE_URL": f"sqlite:///{folder}/online.db"}
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        champion, challenger = sides()
        arms = {"champion": champion, "control": champion, "challenger": challenger}
        (folder / "kept").mkdir(mode=0o700)
        with open_servers(arms, Route(ALL_CHAMPION, SALT), folder / "kept", LIVE, log) as servers:
            watch.said(f"{champion.label} and {challenger.label} are ready")
            run = soaked(servers, seconds, folder, watch)
        found = record(run, log)
    found["conditions"] |= {"processors": os.cpu_count(), "load_before": round(load, 2)}
    found["seconds"] = watch.seconds()
    if seconds >= SECONDS:
        kept("soak", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
