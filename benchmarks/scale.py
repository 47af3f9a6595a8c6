"""How do time and memory of the point-in-time join grow from a year to a hundred times its rows?

Our search, by parts and with all rows in memory, DuckDB, Polars, and Spark as a cluster of two
workers, on the same files: the year, ten and a hundred times its rows, by later years and further
fleets. Each in a process of its own; at the year, every engine's rows give the features that
training has, bit by bit, and at every size all engines that end agree.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as parquet

from benchmarks.joins import parts
from benchmarks.joins.task import KNOWN, Task
from benchmarks.joins.watched import LIMIT_DISK_GB, emptied, memory_limit_gb, watch
from benchmarks.model_servers import launch
from benchmarks.study import Raw, Watch, kept, published
from pipeline.__main__ import run_command
from pipeline.features.definitions import KNOWN_AT, NUMERIC, REQUEST
from pipeline.features.on_demand import derive_features
from pipeline.features.point_in_time import with_features
from pipeline.features.windows import NEVER, minutes
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, SkewFound, UsageError
from pipeline.shared.programs import installing

ENGINES = {
    "ours by parts": "embedded",
    "ours at once": "embedded_at_once",
    "DuckDB": "duckdb_asof",
    "Polars": "polars_asof",
    "Spark": "spark_window",
}
LAST_MONTH = "2013-12"
SECONDS = 1400.0
"""For all engines at all sizes: the last ones, Spark's largest, are stopped when they are over."""
UNITS = (
    "seconds: from the start of the engine's process to its end, its files written; "
    "peak_memory_gb: of all its processes; exponent: of the time over the rows, 1 is as fast a row"
)


def require_engines() -> None:
    """Refuse to measure without Spark.

    Raises:
        EnvironmentUnfit: its environment or Java is missing.
    """
    launch.require(("spark",))
    if shutil.which("java") is None:
        raise EnvironmentUnfit(f"Spark needs Java 17; `{installing(['java'])}` adds one")


def task_of(year: dict[str, pyarrow.Table], folder: Path, times: int) -> Task:
    """Write the parts of a size that are not there yet; the task of joining them."""
    values = {
        view: [n for n in table.column_names if n not in ("entity", "available_at", KNOWN)]
        for view, table in year.items()
        if view != "requests"
    }
    written = [str(parts.write(year, folder / "parts", name)) for name in parts.names(times)]
    out, scratch = folder / "out", folder / "scratch"
    return Task(written, values, str(out), str(scratch), round(memory_limit_gb() / 2, 1))


def run(engine: str, task: Task, folder: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Let an engine do a task within so long; what it cost, and sums of what it wrote."""
    emptied(Path(task.out))
    scratch = emptied(Path(task.scratch))
    task.write(folder / "task.json")
    python = str(launch.python("spark")) if engine == "Spark" else sys.executable
    command = [python, "-m", "benchmarks.joins.run", ENGINES[engine], str(folder / "task.json")]
    cost = asdict(watch(command, scratch, folder, max(1.0, seconds)))
    emptied(scratch)
    said = cost.pop("said")
    if cost["stopped"].startswith("ended"):
        print(said[-2000:], file=sys.stderr, flush=True)
    return cost | {"sums": {} if cost["stopped"] else sums(task)}


def sums(task: Task) -> dict[str, list[int]]:
    """By view: rows, matched rows, and the minutes by which what they match was older."""
    found = {}
    with duckdb.connect() as connection:
        for view in task.values:
            rows = connection.execute(
                f'SELECT count(*), count({KNOWN}), sum("at" - {KNOWN}) FROM read_parquet(?)',
                [f"{task.target(view)}/*.parquet"],
            ).fetchone()
            found[view] = [int(one or 0) for one in rows or ()]
    return found


def features(raw: Raw, task: Task) -> pd.DataFrame:
    """The features that training would have from the rows that an engine has joined."""
    joined = {}
    for view, values in task.values.items():
        files = sorted(task.target(view).glob("*.parquet"))
        table = pyarrow.concat_tables([parquet.read_table(file) for file in files])
        rows = table.to_pandas().sort_values("id")
        known = rows[KNOWN].fillna(NEVER) if rows[KNOWN].dtype.kind == "f" else rows[KNOWN]
        joined[f"{view}_known_at"] = known.to_numpy().astype("int64")
        joined |= {name: rows[name].to_numpy() for name in values}
    request = {name: raw.asked[name].to_numpy() for name in REQUEST}
    at = minutes(raw.asked["predict_at"])
    return with_features(raw.asked, derive_features(joined, request, at, raw.config))


def differing(raw: Raw, task: Task) -> int:
    """How many values of the features differ from those of training."""
    ours, theirs = raw.honest, features(raw, task)
    return sum(
        int((~_same(ours[name].to_numpy(), theirs[name].to_numpy())).sum())
        for name in [*NUMERIC, *KNOWN_AT]
    )


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one == other) | (pd.isna(one) & pd.isna(other))


def exponent(rows: dict[str, int], cases: dict[str, Any]) -> dict[str, float]:
    """By which power of the rows the time grows, from each size to the largest that ended."""
    ended = [size for size, case in cases.items() if not case["stopped"]]
    last = ended[-1] if ended else ""
    return {
        f"{size} to {last}": round(
            math.log(cases[last]["seconds"] / cases[size]["seconds"])
            / math.log(rows[last] / rows[size]),
            3,
        )
        for size in ended[:-1]
    }


def measured(raw: Raw, sizes: list[int], folder: Path, watch_: Watch) -> dict[str, Any]:
    """Every engine at every size, the smallest first; one that was stopped does no larger one."""
    year = parts.first(raw)
    found: dict[str, dict[str, Any]] = {name: {} for name in ENGINES}
    rows, agreed = {}, {}
    for times in sizes:
        task = task_of(year, folder, times)
        rows[str(times)] = len(task.parts) * len(raw.asked)
        watch_.said(f"{times} times the rows: {len(task.parts)} parts written")
        for name, cases in found.items():
            if any(case["stopped"] for case in cases.values()):
                continue
            case = run(name, task, folder, SECONDS - watch_.seconds())
            told = case.pop("sums")
            if told:
                expected = agreed.setdefault(str(times), told)
                if told != expected:
                    raise SkewFound(f"{name} at {times}: {told}, others: {expected}")
            if times == 1 and told:
                case["features_differing"] = differing(raw, task)
            cases[str(times)] = case
            watch_.said(f"{name} at {times}: {case['seconds']} s {case['stopped']}")
    return {
        "requests": rows,
        "view_rows": {
            size: sum(t.num_rows for n, t in year.items() if n != "requests") * count
            for size, count in ((s, rows[s] // len(raw.asked)) for s in rows)
        },
        "engines": {
            name: {"sizes": cases, "exponent": exponent(rows, cases)}
            for name, cases in found.items()
        },
        "sums": agreed,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and write benchmarks/scale.json; a month or some sizes alone are not recorded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--quick", action="store_true", help="a month; records nothing")
    parser.add_argument("--sizes", nargs="+", type=int, choices=list(parts.SHAPES))
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen.quick, chosen.sizes or ([1] if chosen.quick else list(parts.SHAPES)))
    except (PipelineError, UsageError) as refusal:
        print(f"scale: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code


def _run(quick: bool, sizes: list[int]) -> int:
    require_engines()
    watch_, load = Watch(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        if (free := shutil.disk_usage(name).free / 1e9) < LIMIT_DISK_GB and max(sizes) > 10:
            raise EnvironmentUnfit(
                f"{name} has {free:.0f} GB free, {LIMIT_DISK_GB:.0f} GB are needed; name another "
                "folder: TMPDIR=/elsewhere make measure M=scale"
            )
        raw = published("2013-01" if quick else LAST_MONTH)
        watch_.said("raw tables accepted")
        found = measured(raw, sizes, Path(name).resolve(), watch_)
    found |= {
        "units": UNITS,
        "processors": os.cpu_count(),
        "memory_limit_gb": round(memory_limit_gb(), 1),
        "load_before": round(load, 2),
        "seconds": watch_.seconds(),
    }
    if not quick and sizes == list(parts.SHAPES):
        kept("scale", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
