"""What the feature store costs, offline and online.

The historical join of the whole year by the path that training uses, against Feast's own joins and
a bare Polars as-of join, all on the same requests in one run; online reads; a materialized day.
"""

import gc
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Raw, kept, published
from pipeline.__main__ import run_command
from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, VIEWS
from pipeline.features.feast_repository import keys_of, lifetime, store_table
from pipeline.features.online_store import open_store, store_requests
from pipeline.features.point_in_time import historical
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import RowsLost
from pipeline.shared.files import write_parquet
from pipeline.shared.secrets import Address

REQUESTS = [300, 1_000, 3_000]
"""How many requests Feast's joins are given: their work grows with requests times rows."""
DASK_REQUESTS = 300
DAY = pd.Timestamp("2013-07-10 04:00Z")
"""The start of the day that is materialized and then read from; an ordinary Wednesday."""


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long some work takes, and what it gives."""
    gc.collect()
    started = time.perf_counter()
    given = work()
    return time.perf_counter() - started, given


def say(what: str) -> None:
    """Progress, on the other channel."""
    print(f"store: {what}", file=sys.stderr, flush=True)


def training_path(raw: Raw) -> dict[str, float]:
    """The whole year by the path that training uses, in a process of its own for its memory."""
    own = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=own) as process:
        views, join, rows, peak = process.submit(_joined, replace(raw)).result()
    return {
        "requests": rows,
        "seconds_for_the_rows_of_the_views": round(views, 2),
        "seconds_for_the_join": round(join, 2),
        "seconds": round(views + join, 2),
        "peak_memory_gb": round(peak, 2),
    }


def _joined(raw: Raw) -> tuple[float, float, int, float]:
    """Seconds for the views and for the join, rows, and the memory of a process that does both."""
    asked = raw.asked
    views = seconds(lambda: windows.views(raw.flights, raw.weather, raw.config))
    join = seconds(lambda: historical(asked, views[1], raw.config))
    return views[0], join[0], len(join[1]), _memory()


def _memory() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def polars_join(asked: pd.DataFrame, folder: Path) -> tuple[float, int]:
    """A bare as-of join of the same rows: no lifetime, nothing derived."""
    import polars

    views = {
        view: polars.read_parquet(folder / f"{view}.parquet")
        .drop("created")
        .sort("event_timestamp")
        for view in VIEWS
    }
    told = pd.DataFrame(store_requests(asked)).assign(
        event_timestamp=asked["predict_at"].dt.as_unit("us").array
    )
    left = polars.from_pandas(told).with_row_index("row")

    def work() -> Any:
        joined = left.sort("event_timestamp")
        for view, rows in views.items():
            by = keys_of(view)
            joined = joined.join_asof(rows, on="event_timestamp", by=by, check_sortedness=False)
        return joined.sort("row")

    took, joined = seconds(work)
    return took, len(joined)


def joins(raw: Raw, folder: Path, serve: ServeConfig) -> dict[str, Any]:
    """Every join on the same requests, drawn from the year."""
    found: dict[str, Any] = {}
    with open_store(raw.config, serve, folder) as store:
        for size in REQUESTS:
            asked = raw.asked.sample(size, random_state=size).sort_index()
            say(f"{size:,} requests by each join")
            ours, expected = seconds(lambda asked=asked: historical(asked, raw.views, raw.config))
            feast, given = seconds(lambda asked=asked: store.historical(asked))
            bare, _ = polars_join(asked, folder)
            names = [*NUMERIC, *KNOWN_AT]
            assert given[names].equals(expected[names]), "Feast's join differs from ours"
            found[f"{size}"] = {
                "training_seconds": round(ours, 3),
                "feast_duckdb_seconds": round(feast, 2),
                "polars_seconds": round(bare, 3),
                "feast_duckdb_to_training": round(feast / ours, 1),
            }
    bare, rows = polars_join(raw.asked, folder)
    ours, _ = seconds(lambda: historical(raw.asked, raw.views, raw.config))
    found["year"] = {
        "requests": rows,
        "training_seconds": round(ours, 2),
        "polars_seconds": round(bare, 2),
        "training_to_polars": round(ours / bare, 2),
    }
    return found


def dask_join(raw: Raw, folder: Path, serve: ServeConfig) -> dict[str, Any]:
    """Feast's default offline store on a few of the same requests: its time, and its lost rows."""
    from pipeline.features import feast_client as module

    asked = raw.asked.sample(DASK_REQUESTS, random_state=DASK_REQUESTS).sort_index()
    with open_store(raw.config, serve, folder) as store:
        duckdb, _ = seconds(lambda: store.historical(asked))
    kept, module.OFFLINE = module.OFFLINE, "dask"
    try:
        with open_store(raw.config, serve, folder) as store:
            took, lost = seconds(lambda: _refused(store, asked))
            ours, _ = seconds(lambda: historical(asked, raw.views, raw.config))
    finally:
        module.OFFLINE = kept
    back = re.search(r"gave (\d+) rows", lost)
    return {
        "requests": DASK_REQUESTS,
        "rows_back": int(back[1]) if back else DASK_REQUESTS,
        "refused": lost,
        "seconds": round(took, 1),
        "to_duckdb": round(took / duckdb),
        "training_seconds": round(ours, 3),
        "to_training": round(took / ours),
    }


def _refused(store: Any, asked: pd.DataFrame) -> str:
    try:
        store.historical(asked)
    except RowsLost as refusal:
        return str(refusal).partition(";")[0]
    return "no"


def online(raw: Raw, folder: Path, serve: ServeConfig) -> dict[str, Any]:
    """A day materialized, then each flight's vector read by itself, both ways."""
    day, asked = DAY, raw.asked
    longest = max(lifetime(view, raw.config) for view in VIEWS)
    with open_store(raw.config, serve, folder, empty=True) as store:
        first, _ = seconds(lambda: store.materialize(VIEWS, day - longest, day))
        end = day + pd.Timedelta(days=1)
        took, _ = seconds(lambda: store.materialize(VIEWS, day, end))
        today = asked[asked["predict_at"].between(end, end + pd.Timedelta(days=1))]
        told = store_requests(today)
        each = [{name: [of[i]] for name, of in told.items()} for i in range(len(today))]
        reads = {"direct": store.read, "by_feast": store.read_by_feast}
        milliseconds = {}
        for name, read in reads.items():
            for request in each[:50]:
                read(request)  # connections and caches
            taken = [1000 * seconds_of(read, request) for request in each]
            milliseconds[name] = {
                "p50": round(float(np.percentile(taken, 50)), 2),
                "p99": round(float(np.percentile(taken, 99)), 2),
            }
    return {
        "seconds_for_the_first_load": round(first, 2),
        "seconds_for_a_day": round(took, 2),
        "reads": len(each),
        "milliseconds": milliseconds,
    }


def seconds_of(read: Callable[[Any], Any], request: Any) -> float:
    """How long one read takes."""
    started = time.perf_counter()
    read(request)
    return time.perf_counter() - started


def main() -> int:
    """Measure, print, and write benchmarks/store.json."""
    started = time.perf_counter()
    say("the year through ingest and validate")
    raw = published("2013-12")
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        folder = Path(name) / "views"
        say(f"{len(raw.asked):,} requests by the path that training uses")
        found: dict[str, Any] = {"training": training_path(raw)}
        for view, rows in raw.views.items():
            write_parquet(folder / f"{view}.parquet", store_table(view, rows, raw.config))
        address = os.environ.get("PIPELINE_ONLINE_URL", f"sqlite:///{name}/online.db")
        serve = load(ServeConfig).model_copy(update={"online_url": Address(address)})
        say("one day online")
        found["online"] = online(raw, folder, serve)
        found["joins"] = joins(raw, folder, serve)
        say("Feast's default offline store")
        found["feast_default"] = dask_join(raw, folder, serve)
    found["seconds"] = round(time.perf_counter() - started, 1)
    kept("store", found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
