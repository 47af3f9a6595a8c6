"""DuckDB: its ASOF join, one statement a view, on all files at once."""

import duckdb

from benchmarks.joins.task import Task


def join(task: Task) -> None:
    """Join every view; what does not fit into memory goes to the scratch folder."""
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{task.memory_gb:.1f}GB'")
        connection.execute(f"SET temp_directory = '{task.scratch}'")
        connection.execute("SET preserve_insertion_order = false")
        for view, values in task.values.items():
            columns = ", ".join(f'v."{name}"' for name in ["known_at", *values])
            connection.execute(
                f"""COPY (
                    SELECT r.id, r."at", {columns}
                    FROM (SELECT id, "at", "{view}" AS entity FROM read_parquet(?)) r
                    ASOF LEFT JOIN read_parquet(?) v
                    ON r.entity = v.entity AND r."at" >= v.available_at
                ) TO '{task.target(view)}/all.parquet' (FORMAT parquet)""",
                [task.files("requests"), task.files(view)],
            )
