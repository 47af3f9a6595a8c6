"""How does our server compare with the model servers of the field, and with none at all?

`mlflow models serve`, KServe's own server, BentoML, LitServe, MLServer, a bare ASGI application as
the floor, and ours with features in the request and from the online store: the same model and rows,
the same client, one processor for the client and one for all servers, in alternating rounds of one
run. Each has one worker and otherwise its own defaults.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import WARM, ask
from benchmarks.model_servers import launch
from benchmarks.model_servers.launch import CLIENT, Program, pinned, running
from benchmarks.model_servers.rounds import Rounds
from benchmarks.model_servers.ways import BATCH, NAMES, agree, ways
from benchmarks.study import kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.registry import versions
from pipeline.registry.release_loader import export
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import PipelineError, UsageError

FULL = {"rounds": 12, "seconds": 0.8, "starts": 3}
QUICK = {"rounds": 1, "seconds": 0.2, "starts": 1}
UNITS = (
    "milliseconds: from sending a request of one row to its whole answer, of those answered with "
    "200; requests_a_second: median of the rounds; errors: requests that were not answered with "
    "200; rows_a_second: of a batch, median of the rounds; cold_start_seconds: from the "
    "command to the first answer, median; memory_mb: of all processes after the rounds; ratios: "
    "how many times as many requests our path answers, median of the rounds' own ratios, and "
    "quartiles; client_busy: processor seconds a second of the client, 1 is its limit"
)


def say(what: str) -> None:
    """Progress, on the other channel."""
    print(f"peers: {what}", file=sys.stderr, flush=True)


def started(first: dict[str, bytes], of: dict[str, Program], times: int) -> dict[str, float]:
    """The seconds from a command to the first answer, each server alone, in turn."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(times):
        for name in list(first)[:: 1 if number % 2 else -1]:
            with running(of[name], first[name]) as server:
                found[name].append(server.seconds)
            say(f"start {number + 1} of {times}: {name} answers after {server.seconds:.1f} s")
    return {name: round(float(np.median(seconds)), 2) for name, seconds in found.items()}


def measured(names: list[str], size: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Every figure of the benchmark."""
    registry, digest = load(RegisterConfig), export("champion")
    model = versions.model_of(registry, versions.version_of_release(registry, digest)).resolve()
    of, (asked, batch) = launch.programs(digest, model, folder), ways(names)
    first = {way.server: way.requests[0] for way in asked.values()}
    with pinned(CLIENT), contextlib.ExitStack() as stack:
        starts = started(first, of, size["starts"])
        servers = {name: stack.enter_context(running(of[name], one)) for name, one in first.items()}
        agree(asked, servers)
        rounds = Rounds(asked, servers, (str(model), batch), size["seconds"])
        for way in asked.values():
            ask(servers[way.server].port, way.requests, 8, 1.0)  # caches
        for number in range(size["rounds"]):
            say(f"round {number + 1} of {size['rounds']}")
            rounds.run(number)
        kinds = {name: (server.memory_mb(), server.processes()) for name, server in servers.items()}
    figures = {
        name: {"cold_start_seconds": starts[name], "memory_mb": memory, "processes": processes}
        for name, (memory, processes) in kinds.items()
    }
    return rounds.record() | {"servers": figures}


def conditions(size: dict[str, Any], load_before: float) -> dict[str, Any]:
    """What the figures were measured with and on."""
    return {
        "units": UNITS,
        "versions": launch.versions(),
        "processors": os.cpu_count(),
        "pinned": launch.PINS,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(load_before, 2),
        "rounds": size["rounds"],
        "seconds_a_round": size["seconds"],
        "warm_seconds": WARM,
        "batch_rows": BATCH,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and write benchmarks/peers.json; `--quick` sends few requests and records nothing."""
    try:
        return _run(arguments)
    except (PipelineError, UsageError) as refusal:
        print(f"peers: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument(
        "--quick", action="store_true", help="few requests; prints, records nothing"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    chosen = parser.parse_args(arguments)
    if set(chosen.only) != set(NAMES) and not chosen.quick:
        raise UsageError(
            f"{len(set(chosen.only))} of {len(NAMES)} servers are no comparison to record; "
            "add --quick, or leave --only out"
        )
    launch.require(tuple(name for name in launch.APART if name in chosen.only))
    size = QUICK if chosen.quick else FULL
    began, before = time.perf_counter(), os.getloadavg()[0]
    os.chdir(ROOT)
    with launch.own_state("peers") as folder:
        found = measured(chosen.only, size, folder)
    found["conditions"] = conditions(size, before)
    found["seconds"] = round(time.perf_counter() - began, 1)
    if not chosen.quick:
        kept("peers", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
