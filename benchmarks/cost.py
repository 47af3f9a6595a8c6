"""What do training and serving cost, in processor seconds and bytes, and what idles?

Processor time is counted and not time that passes, so that other work on the machine does not
count. A retraining is the stages from the published files to a verdict; serving is a million
predictions by each path; storage is what the champion, its data and the log take. A price makes
money of it: PRICE is an assumption, and the only number here that is not measured.
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from psutil import Process

from benchmarks.serving import Server, bodies, free, taken, wait_for
from benchmarks.study import Watch, kept
from benchmarks.year import timed
from exercises.scratch import ROOT, scratch
from pipeline.__main__ import run_command
from pipeline.features.feature_table import ROWS
from pipeline.records.request_log import last_id
from pipeline.registry.release_loader import export, export_folder
from pipeline.serve.batch import FIGURES, batch
from pipeline.serve.server import serve
from pipeline.shared.contracts import INGEST
from pipeline.shared.files import read_json, read_parquet

STAGES = ("ingest", "validate", "features", "train", "evaluate")
SECONDS, IDLE_SECONDS, DAY = 6.0, 10.0, 86_400
DAY_FLIGHTS = 336_776 / 365
"""Flights that leave New York on a mean day of the year."""
PRICE = 0.04
"""Dollars a processor and hour, assumed: about what a shared one of a cloud costs."""
MILLION = 1_000_000
UNITS = (
    "processor_seconds; requests_a_second: of one client; bytes; idle: of a server that nobody "
    "asks; dollars: at the assumed price"
)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def retraining() -> dict[str, float]:
    """Processor seconds of each stage, from the published files to a verdict, in a scratch copy."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="cost-") as name:
        folder = scratch(Path(name))
        for stage in STAGES:
            before = _spent()
            timed(folder, stage)
            found[stage] = round(_spent() - before, 1)
    return found | {"all": round(sum(found.values()), 1)}


def processor(server: Process) -> float:
    """The processor seconds that a process has used so far."""
    return float(sum(server.cpu_times()[:2]))


def a_million(port: int, requests: list[bytes], server: Process) -> dict[str, int]:
    """Processor seconds of the server for a million requests of one row, and their rate."""
    taken(Server(port, requests), 1.0)  # connections and caches
    before = processor(server)
    answered = len(taken(Server(port, requests), SECONDS))
    return {
        "processor_seconds_a_million": round(MILLION * (processor(server) - before) / answered),
        "requests_a_second": round(answered / SECONDS),
    }


def serving(log: Path) -> dict[str, Any]:
    """Both online paths of one server, its idling, and the log that it leaves."""
    port, content = free(), bodies()
    own = multiprocessing.get_context("spawn").Process(
        target=serve, args=(export("champion"), port)
    )
    own.start()
    try:
        wait_for(port, "/v2")
        server = Process(own.pid)
        found: dict[str, Any] = {
            name: a_million(port, content[name], server) for name in ("features", "online")
        }
        before = processor(server)
        time.sleep(IDLE_SECONDS)
        idle = (processor(server) - before) * DAY / IDLE_SECONDS
        found["idle"] = {
            "processor_seconds_a_day": round(idle),
            "memory_mb": round(server.memory_info().rss / 1e6),
        }
    finally:
        own.terminate()
        own.join()
    found["log_bytes_a_prediction"] = round(
        _size(log.parent, "log.db*") / last_id(f"sqlite:///{log}")
    )
    return found


def _size(folder: Path, pattern: str = "**/*") -> int:
    files = [path for path in folder.glob(pattern) if path.is_file()]
    assert files, f"{folder} has no {pattern}: what is not there costs nothing"
    return sum(path.stat().st_size for path in files)


def storage(folder: Path) -> dict[str, int]:
    """Bytes of data and features a flight and of the online store; the champion's release in kB."""
    rows = len(read_parquet(ROWS, "features"))
    return {
        "snapshots_a_flight": round(_size(INGEST, "*/*.parquet") / rows),
        "features_a_flight": round(ROWS.stat().st_size / rows),
        "release_kb": round(_size(export_folder(export("champion"))) / 1000),
        "online_store": _size(folder, "online*.db*"),
    }


def dollars(found: dict[str, Any]) -> dict[str, float]:
    """The same in money, at PRICE a processor and hour."""
    a_second = PRICE / 3600
    return {
        "price_an_hour": PRICE,
        "a_retraining": round(a_second * found["retraining"]["all"], 5),
        "a_million_online": round(a_second * found["online"]["processor_seconds_a_million"], 4),
        "a_million_in_a_batch": round(a_second * found["batch_seconds_a_million"], 6),
        "a_processor_that_waits_a_day": round(24 * PRICE, 2),
    }


def busy(found: dict[str, Any]) -> float:
    """The share of a day for which the year's mean flights of a day keep one processor busy."""
    return round(DAY_FLIGHTS * found["online"]["processor_seconds_a_million"] / MILLION / DAY, 6)


def measured(folder: Path, watch: Watch) -> dict[str, Any]:
    """Every figure of the benchmark; store and log are in `folder`."""
    found: dict[str, Any] = {"retraining": retraining()}
    watch.said("a retraining")
    command = [sys.executable, "-m", "pipeline", "materialize"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found |= serving(folder / "log.db")
    watch.said("a server, asked and idle")
    batch()
    found["batch_seconds_a_million"] = read_json(FIGURES, "batch")["online"]["seconds_a_million"]
    watch.said("a batch")
    found["storage"] = storage(folder)
    found |= {"flights_a_day": round(DAY_FLIGHTS), "busy_share_of_a_day": busy(found)}
    return found | {"dollars": dollars(found)}


def main() -> int:
    """Measure, print, and write benchmarks/cost.json."""
    print("cost: a retraining, a million predictions, what is stored", flush=True)
    watch = Watch()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="cost-") as name:
        folder = Path(name).resolve()
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{folder}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{folder}/log.db"
        found = measured(folder, watch)
    found |= {"units": UNITS, "seconds": watch.seconds()}
    kept("cost", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
