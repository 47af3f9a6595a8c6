"""What is left past the limit: goodput and the slowest responses.

Users ask for a flight, wait for the answer and ask again at once, also when they are sent away. As
many as the server answers best are its capacity; twice and six times as many show what refusals
cost. All levels alternate in rounds of one run, and their ratios are of the same round: the machine
is shared, and its speed is another from minute to minute.
"""

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from psutil import Process

from benchmarks.serving import bodies, free, wait_for
from benchmarks.study import kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.registry.release_loader import export
from pipeline.serve.server import serve

LEVELS = {"half": 16, "capacity": 32, "twice": 64, "four times": 128, "ten times": 320}
"""Users at once."""
WARM, SECONDS, ROUNDS = 1.0, 3.0, 3
"""A round begins with all users at once, which is another question: that second is left out."""
UNITS = (
    "goodput: answers a second; p99: of what was answered, in milliseconds; refused: a second; "
    "processor_ms: the server's processor time an answer, that of refusals included; "
    "ratios: medians over the rounds of a level against capacity in the same round"
)
_RATIOS = ("goodput", "p99", "processor_ms")
Answer = tuple[int, float]


async def _ask(port: int, requests: list[bytes], began: float, found: list[Answer]) -> None:
    """One user: the code and the seconds of each request that ends within the round."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    place = 0
    while (sent := time.perf_counter()) < began + WARM + SECONDS:
        writer.write(requests[place % len(requests)])
        place += 1
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        if WARM <= (now := time.perf_counter()) - began < WARM + SECONDS:
            found.append((int(head[9:12]), now - sent))
    writer.close()


def asked(port: int, requests: list[bytes], users: int) -> list[Answer]:
    """What so many users were answered within a round."""
    found: list[Answer] = []

    async def together() -> None:
        began = time.perf_counter()
        shifted = [requests[n * 7 % len(requests) :] + requests[:9] for n in range(users)]
        await asyncio.gather(*(_ask(port, one, began, found) for one in shifted))

    asyncio.run(together())
    return found


def figures(round_: list[Answer]) -> dict[str, float]:
    """Goodput, refusals and the slowest answers of a round."""
    fine = [seconds for code, seconds in round_ if code == 200]
    return {
        "goodput": len(fine) / SECONDS,
        "refused": sum(code == 503 for code, _ in round_) / SECONDS,
        "errors": sum(code not in (200, 503) for code, _ in round_),
        "p99": 1000 * float(np.quantile(fine, 0.99)) if fine else float("inf"),
    }


def round_of(port: int, requests: list[bytes], users: int, server: Process) -> dict[str, float]:
    """The figures of a round, and the server's processor time for each answer, refusals included.

    The last is what refusals cost, whatever else runs on the machine.
    """
    before = sum(server.cpu_times()[:2])
    found = figures(asked(port, requests, users))
    spent = (sum(server.cpu_times()[:2]) - before) * SECONDS / (WARM + SECONDS)
    return found | {"processor_ms": 1000 * spent / max(1.0, found["goodput"] * SECONDS)}


def measured(port: int, server: Process) -> dict[str, Any]:
    """Every level in turn, round by round, in changing order."""
    requests = bodies()["online"]
    asked(port, requests, 8)  # caches
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in LEVELS}
    for number in range(ROUNDS):
        order = list(LEVELS) if number % 2 else list(LEVELS)[::-1]
        for name in order:
            rounds[name].append(round_of(port, requests, LEVELS[name], server))
            time.sleep(0.2)
        print(f"overload: round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    return {
        "levels": {
            name: {"users": LEVELS[name]}
            | {what: round(float(np.median([r[what] for r in found])), 1) for what in found[0]}
            for name, found in rounds.items()
        },
        "ratios": {
            name: {what: _ratio(found, rounds["capacity"], what) for what in _RATIOS}
            for name, found in rounds.items()
        },
    }


def _ratio(found: list[dict[str, float]], at: list[dict[str, float]], what: str) -> float:
    each = [one[what] / other[what] for one, other in zip(found, at, strict=True)]
    return round(float(np.median(each)), 3)


def main() -> int:
    """Measure, print, and write benchmarks/overload.json."""
    started, before = time.perf_counter(), os.getloadavg()[0]
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{name}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{Path(name).resolve()}/log.db"
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        port = free()
        context = multiprocessing.get_context("spawn")
        own = context.Process(target=serve, args=(export("champion"), port))
        own.start()
        try:
            wait_for(port, "/v2")
            found = measured(port, Process(own.pid))
        finally:
            own.terminate()
            own.join()
    found["conditions"] = {
        "units": UNITS,
        "processors": os.cpu_count(),
        "load_before": round(before, 2),
        "rounds": ROUNDS,
        "seconds_a_round": SECONDS,
    }
    found["seconds"] = round(time.perf_counter() - started, 1)
    kept("overload", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
