"""Polars: its as-of join, view by view, all rows of a view in memory."""

import polars

from benchmarks.joins.task import Task


def join(task: Task) -> None:
    """Join every view."""
    for view in task.values:
        asked = (
            polars.scan_parquet(task.files("requests"))
            .select("id", "at", polars.col(view).alias("entity"))
            .sort("at")
        )
        rows = polars.scan_parquet(task.files(view)).sort("available_at")
        joined = asked.join_asof(
            rows, left_on="at", right_on="available_at", by="entity", check_sortedness=False
        )
        joined.drop("entity", "available_at", strict=False).sink_parquet(
            task.target(view) / "all.parquet"
        )
