"""Spark, as a cluster of two workers on this machine: a union and a window, view by view.

Spark has no as-of join of its own. Rows and requests are ordered together by entity and instant,
and each request takes the last row before it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql.functions import col, last, lit, struct

from benchmarks.joins.task import KNOWN, Task

WORKERS, EXECUTOR_MB, PARTITIONS = 2, 3072, 64


def join(task: Task) -> None:
    """Join every view."""
    with _session(Path(task.scratch)) as spark:
        for view, values in task.values.items():
            _joined(spark, task, view, values).write.mode("overwrite").parquet(
                str(task.target(view))
            )
            spark.sparkContext._jvm.System.gc()  # the files of a shuffle go with what it was for


def _joined(spark: SparkSession, task: Task, view: str, values: list[str]) -> DataFrame:
    found = struct(KNOWN, *values)
    rows = spark.read.parquet(*task.files(view)).select(
        "entity", col("available_at").alias("at"), lit(None).cast("long").alias("id"),
        found.alias("found"),
    )  # fmt: skip
    asked = spark.read.parquet(*task.files("requests")).select(
        col(view).alias("entity"), "at", "id", lit(None).alias("found")
    )
    # Of the same minute, a row comes before a request: no id sorts first.
    window = (
        Window.partitionBy("entity")
        .orderBy("at", col("id").asc_nulls_first())
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    both = (
        rows.unionByName(asked)
        .withColumn("found", last("found", True).over(window))
        .where(col("id").isNotNull())
    )
    return both.select("id", "at", "found.*")


@contextmanager
def _session(folder: Path) -> Iterator[SparkSession]:
    """A cluster of processes of its own, on this machine only, with all its files in `folder`."""
    home = folder / "home"
    home.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        (home / part.name).symlink_to(part)  # its workers write beside these
    os.environ |= {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
    }
    settings: dict[str, Any] = {
        "spark.master": f"local-cluster[{WORKERS},1,{EXECUTOR_MB + 512}]",
        "spark.executor.memory": f"{EXECUTOR_MB}m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder} -XX:-UsePerfData",
        "spark.executor.extraJavaOptions": f"-Djava.io.tmpdir={folder} -XX:-UsePerfData",
        "spark.local.dir": str(folder / "local"),
        "spark.ui.enabled": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.shuffle.partitions": str(PARTITIONS),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
