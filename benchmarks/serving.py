"""What an answer over HTTP costs, beside `mlflow models serve`.

Our server with features from the online store and with features in the request, against `mlflow
models serve` with the same registered model on the same rows, in alternating rounds of one run; and
our server without its log and its metrics. One process each; the client is as thin as Python allows
and shares the machine's processors with them, so rounds are short, many, and in changing order.
"""

import contextlib
import json
import multiprocessing
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from benchmarks.study import kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features import windows
from pipeline.features.build import read_accepted
from pipeline.features.definitions import FEATURES, matrix
from pipeline.features.feature_table import ROWS
from pipeline.registry.release_loader import export
from pipeline.serve.schedule import midnight_after
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.files import read_parquet

SECONDS, ROUNDS, FLIGHTS = 0.4, 40, 500
CONCURRENCY = (1, 8)
UNITS = (
    "milliseconds: from sending a request of one row to having read its answer, connections kept "
    "open; requests_a_second: median of the rounds; ratios: median of the rounds' own ratios, each "
    "with its quartiles"
)


BARE, WHOLE = signal.SIGUSR1, signal.SIGUSR2
"""What tells our server to leave log and metrics out, and to have them again."""
SETTLED = 0.15
"""Seconds before a round, in which what the last one logged is written."""


@dataclass(frozen=True)
class Server:
    """A server at a port, the requests that it is sent, as bytes, and what it is told before."""

    port: int
    requests: list[bytes]
    pid: int = 0
    told: int = 0

    def settle(self) -> None:
        """Let it be as it should be in a round, and at rest."""
        if self.pid:
            os.kill(self.pid, self.told)
        time.sleep(SETTLED)


def say(what: str) -> None:
    """Progress, on the other channel."""
    print(f"serving: {what}", file=sys.stderr, flush=True)


def request(path: str, body: Any) -> bytes:
    """A request as it goes over the wire."""
    content = orjson.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


def answer(connection: socket.socket) -> bytes:
    """An answer to its end; anything but 200 is a failure of the benchmark."""
    found = b""
    while (end := found.find(b"\r\n\r\n")) < 0:
        found += connection.recv(65_536)
    head = found[:end].lower()
    assert b" 200 " in head[:20], found[:500]
    size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    while len(found) < end + 4 + size:
        found += connection.recv(65_536)
    return found[end + 4 :]


def taken(server: Server, seconds: float, first: int = 0) -> list[float]:
    """How long each request took, one after the other on one connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found, until = [], time.perf_counter() + seconds
        while (started := time.perf_counter()) < until:
            connection.sendall(server.requests[(first + len(found)) % len(server.requests)])
            answer(connection)
            found.append(time.perf_counter() - started)
        return found


def round_of(server: Server, concurrency: int) -> list[float]:
    """What every request of a round took, so many at a time."""
    found: list[list[float]] = [[] for _ in range(concurrency)]
    server.settle()

    def client(place: int) -> None:
        found[place] = taken(server, SECONDS, place * 37)

    threads = [threading.Thread(target=client, args=[place]) for place in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for many in found for one in many]


def compared(servers: dict[str, Server]) -> dict[str, dict[int, list[list[float]]]]:
    """Every server in turn, in rounds, at every concurrency."""
    found: dict[str, dict[int, list[list[float]]]] = {
        n: {c: [] for c in CONCURRENCY} for n in servers
    }
    for server in servers.values():
        taken(server, 1)  # connections and caches
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        for concurrency in CONCURRENCY:
            order = list(servers) if number % 2 else list(servers)[::-1]
            for name in order:
                found[name][concurrency].append(round_of(servers[name], concurrency))
    return found


def figures(rounds: list[list[float]]) -> dict[str, Any]:
    """Percentiles over all rounds, and the rate of the median round."""
    every = 1000 * np.concatenate(rounds)
    rates = [len(one) / SECONDS for one in rounds]
    return {
        "milliseconds": {f"p{q}": round(float(np.percentile(every, q)), 3) for q in (50, 99)},
        "requests_a_second": round(float(np.median(rates))),
        "requests": len(every),
    }


def ratio(one: list[list[float]], other: list[list[float]], quantile: float = 0.5) -> float:
    """How many times as many requests one server answers in a round as the other."""
    ratios = [len(a) / len(b) for a, b in zip(one, other, strict=True)]
    return round(float(np.quantile(ratios, quantile)), 3)


def asked() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last flights that arrived, as the schedule has them, and as training's table has them."""
    flights, _ = read_accepted()
    table = windows.requests(flights, load(FeaturesConfig)).tail(FLIGHTS)
    keys = ["year", "month", "day", "carrier", "flight", "origin"]
    return table, table[keys].merge(read_parquet(ROWS, "features"), "left", keys)


def flights_of(schedule: pd.DataFrame) -> list[dict[str, Any]]:
    """Flights as a request for features from the store has them."""
    names = ["carrier", "flight", "origin", "dest", "block_minutes", "distance", "tailnum"]
    whole = schedule[names].astype({"distance": "int64"}).astype(object)
    told = whole.where(whole.notna(), None).to_dict("records")
    instants = schedule["sched_dep_utc"].dt.strftime("%Y-%m-%dT%H:%MZ")
    return [{**f, "scheduled_departure": at} for f, at in zip(told, instants, strict=True)]


def vectors(rows: pd.DataFrame) -> list[list[float]]:
    """Rows of features; MLflow's server takes no missing value, so no server is sent one."""
    return list(np.nan_to_num(matrix(rows, FEATURES)).astype("float64").tolist())


def bodies() -> dict[str, list[bytes]]:
    """One row a request, as each server wants it."""
    schedule, rows = asked()
    name = load(RegisterConfig).model_name
    values = vectors(rows)
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, len(FEATURES)]}
    infer = f"/v2/models/{name}-features/infer"
    return {
        "online": [request("/predict", {"flights": [one]}) for one in flights_of(schedule)],
        "features": [request(infer, {"inputs": [{**tensor, "data": row}]}) for row in values],
        "mlflow": [request("/invocations", {"inputs": {"inputs": [row]}}) for row in values],
    }


def switched(digest: str, port: int) -> None:
    """Our server, whose log and metrics are left out from one signal to the other.

    One process and not two: those that do the same differ by more than what is measured here.
    """
    from pipeline.serve.handler import Handler
    from pipeline.serve.metrics import Metrics
    from pipeline.serve.server import serve

    parts = [(Handler, "_log_items"), (Handler, "_log_rows"), (Metrics, "request")]
    kept = [(owner, name, getattr(owner, name)) for owner, name in parts]

    def switch(told: int, _: object) -> None:
        for owner, name, part in kept:
            setattr(owner, name, part if told == WHOLE else lambda *_: None)

    signal.signal(BARE, switch)
    signal.signal(WHOLE, switch)
    serve(digest, port)


def free() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int, path: str) -> None:
    """Until a server answers."""
    ask = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    for _ in range(600):
        with (
            contextlib.suppress(OSError, AssertionError),
            socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        ):
            connection.sendall(ask)
            if b" 200 " in connection.recv(100):
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing answers at 127.0.0.1:{port}")


@contextlib.contextmanager
def running(digest: str) -> Iterator[dict[str, int]]:
    """Our server and MLflow's: the port of each, and the process of ours."""
    ports = {"ours": free(), "mlflow": free()}
    registry = load(RegisterConfig)
    context = multiprocessing.get_context("spawn")
    own = context.Process(target=switched, args=(digest, ports["ours"]))
    own.start()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", f"models:/{registry.model_name}@champion", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(ports["mlflow"])]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {
        **os.environ,
        "PATH": path,
        "MLFLOW_TRACKING_URI": registry.tracking_url.get_secret_value(),
    }
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, env=settings, stdout=said, stderr=said, start_new_session=True
        ) as theirs,
    ):
        try:
            for name, path in {"ours": "/v2", "mlflow": "/ping"}.items():
                wait_for(ports[name], path)
            yield {**ports, "pid": own.pid or 0}
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it had ended
                os.killpg(theirs.pid, 15)
            own.terminate()
            own.join()


def agree(servers: dict[str, Server]) -> None:
    """Whether both servers give the same risk for the same row; a comparison of others is none."""
    for ours, theirs in zip(
        servers["features"].requests[:20], servers["mlflow"].requests[:20], strict=True
    ):
        told = []
        for server, content in (("features", ours), ("mlflow", theirs)):
            with socket.create_connection(("127.0.0.1", servers[server].port)) as connection:
                connection.sendall(content)
                told.append(json.loads(answer(connection)))
        one = told[0]["outputs"][0]["data"][0]
        other = told[1]["predictions"]["probabilities"][0][1]
        assert abs(one - other) < 1e-7, (one, other)


def measured(digest: str) -> dict[str, Any]:
    """Every figure of the benchmark."""
    content = bodies()
    with running(digest) as ports:
        servers = {
            f"{path}{name}": Server(ports["ours"], content[path], ports["pid"], told)
            for path in ("online", "features")
            for name, told in (("", WHOLE), ("_bare", BARE))
        }
        servers["mlflow"] = Server(ports["mlflow"], content["mlflow"])
        agree(servers)
        rounds = compared(servers)
    found: dict[str, Any] = {
        name: {f"at_{c}": figures(by[c]) for c in CONCURRENCY} for name, by in rounds.items()
    }
    found["ratios"] = {
        f"at_{c}": {
            "features_to_mlflow": ratio(rounds["features"][c], rounds["mlflow"][c]),
            "online_to_mlflow": ratio(rounds["online"][c], rounds["mlflow"][c]),
            "features_to_bare": ratio(rounds["features"][c], rounds["features_bare"][c]),
            "online_to_bare": ratio(rounds["online"][c], rounds["online_bare"][c]),
            **{
                f"{name}_to_bare_quartiles": [
                    ratio(rounds[name][c], rounds[f"{name}_bare"][c], q) for q in (0.25, 0.75)
                ]
                for name in ("features", "online")
            },
        }
        for c in CONCURRENCY
    }
    return found


def main() -> int:
    """Measure, print, and write benchmarks/serving.json."""
    started, before = time.perf_counter(), os.getloadavg()[0]
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="serving-") as name:
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{name}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{Path(name).resolve()}/log.db"
        flights, _ = read_accepted()
        say(f"a store that is complete to {midnight_after(flights):%Y-%m-%d %H:%M}Z")
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = measured(export("champion"))
    found["conditions"] = {
        "units": UNITS,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(before, 2),
        "rounds": ROUNDS,
        "seconds_a_round": SECONDS,
        "flights": FLIGHTS,
    }
    found["seconds"] = round(time.perf_counter() - started, 1)
    kept("serving", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
