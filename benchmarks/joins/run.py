"""An engine in a process of its own: `python -m benchmarks.joins.run duckdb_asof task.json`."""

import importlib
import sys

from benchmarks.joins.task import Task

if __name__ == "__main__":
    importlib.import_module(f"benchmarks.joins.{sys.argv[1]}").join(Task.read(sys.argv[2]))
