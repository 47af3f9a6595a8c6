"""What does a second worker give: the store path by one and by two, beside `mlflow models serve`?

The same model, each server on its own, client and servers on all processors together: what the
client takes is lost to the servers. MLflow's server reads no store, and is measured with one worker
and with two as well. All alternate in rounds of one run, and ratios are of the same round.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import Round, ask
from benchmarks.model_servers import launch
from benchmarks.model_servers.launch import Program, Running, running
from benchmarks.model_servers.ways import Way, ways
from benchmarks.serving import wait_for
from benchmarks.study import kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.registry import versions
from pipeline.registry.release_loader import export
from pipeline.serve.workers import own_port
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig

COUNT = 2
"""Workers, as in model_servers/our_workers.py, which runs as a program of its own."""
CALLERS, ROUNDS, SECONDS = (1, 8, 32), 10, 0.8
SERVERS = {"one": "store", "two": "store", "mlflow": "mlflow", "mlflow_two": "mlflow"}
"""Each server, and the requests that it is sent."""
OTHERS = ("one", "mlflow", "mlflow_two")
UNITS = (
    "requests_a_second: answered with 200, median of the rounds; milliseconds: of those; errors: "
    "requests that were not; client_busy: processor seconds a second of the client; ratios: how "
    "many times as many requests two workers answer, median of the rounds' own, and quartiles"
)


def programs(folder: Path) -> dict[str, Program]:
    """Each server's command."""
    registry, digest = load(RegisterConfig), export("champion")
    model = versions.model_of(registry, versions.version_of_release(registry, digest)).resolve()
    of = launch.programs(digest, model, folder)
    ours, mlflow = of["ours"], of["mlflow"]
    two = [*ours.command[:-1], "our_workers"]
    place = mlflow.command.index("--workers") + 1
    many = [*mlflow.command[:place], str(COUNT), *mlflow.command[place + 1 :]]
    return {
        "one": ours,
        "two": Program("two", two, ours.settings),
        "mlflow": mlflow,
        "mlflow_two": Program("mlflow_two", many, mlflow.settings),
    }


def measured(folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Every figure of the benchmark."""
    asked, _ = ways(["store", "mlflow"])
    requests = {name: asked[way].requests for name, way in SERVERS.items()}
    found: dict[str, dict[int, list[Round]]] = {name: defaultdict(list) for name in SERVERS}
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(program, requests[name][0]))
            for name, program in programs(folder).items()
        }
        _all_ready(servers, asked["store"])
        for name, server in servers.items():
            ask(server.port, requests[name], 8, 1.0)  # caches
        for number in range(rounds):
            print(f"workers: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for callers in CALLERS:
                for name in list(SERVERS)[:: 1 if number % 2 else -1]:
                    time.sleep(0.1)  # what the last one logged is written
                    one = ask(servers[name].port, requests[name], callers, seconds)
                    found[name][callers].append(one)
        memory = {name: server.memory_mb() for name, server in servers.items()}
    return {
        "servers": {
            name: {"memory_mb": memory[name]}
            | {f"at_{n}": _figures(of[n], seconds) for n in CALLERS}
            for name, of in found.items()
        },
        "ratios": {
            f"at_{n}": {name: _ratio(found["two"][n], found[name][n]) for name in OTHERS}
            for n in CALLERS
        },
    }


def _all_ready(servers: dict[str, Running], way: Way) -> None:
    """Wait until each of our two workers answers, and has answered all requests once."""
    port = servers["two"].port
    for number in range(1, COUNT + 1):
        wait_for(own_port(port, number), "/v2/health/ready")
        ask(own_port(port, number), way.requests, 1, 1.0)


def _figures(rounds: list[Round], seconds: float) -> dict[str, Any]:
    every = 1000 * np.concatenate([one.answered for one in rounds])
    rates = [len(one.answered) / seconds for one in rounds]
    return {
        "requests_a_second": round(float(np.median(rates))),
        "milliseconds": {f"p{q}": round(float(np.percentile(every, q)), 3) for q in (50, 99)},
        "errors": sum(one.errors for one in rounds),
        "client_busy": round(float(np.median([one.client_busy for one in rounds])), 2),
    }


def _ratio(ours: list[Round], others: list[Round]) -> dict[str, Any]:
    ratios = [len(a.answered) / len(b.answered) for a, b in zip(ours, others, strict=True)]
    low, middle, high = (round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
    return {"median": middle, "quartiles": [low, high]}


def main(arguments: list[str] | None = None) -> int:
    """Measure and write benchmarks/workers.json; `--quick` records nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers")
    parser.add_argument("--quick", action="store_true", help="one round; records nothing")
    quick = parser.parse_args(arguments).quick
    began, load_before = time.perf_counter(), os.getloadavg()[0]
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="workers-") as name:
        folder = Path(name).resolve()
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{folder}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{folder}/log.db"
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = measured(folder, 1 if quick else ROUNDS, 0.3 if quick else SECONDS)
    found["conditions"] = {
        "units": UNITS,
        "processors": os.cpu_count(),
        "load_before": round(load_before, 2),
        "rounds": ROUNDS,
        "seconds_a_round": SECONDS,
    }
    found["seconds"] = round(time.perf_counter() - began, 1)
    if not quick:
        kept("workers", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
