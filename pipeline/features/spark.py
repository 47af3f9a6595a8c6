"""Spark as the feature store's compute, if configs/serve.yaml names it: one JVM per open store.

The only module that imports pyspark, which is not in the lock: half a gigabyte that nothing else
needs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pipeline.shared.errors import ConfigError
from pipeline.shared.programs import installing

SPARK = "spark"


def demand_spark() -> None:
    """Refuse `compute: spark` where it cannot run.

    Raises:
        ConfigError: pyspark or Java is missing.
    """
    if find_spec("pyspark") is None:
        raise ConfigError(
            "configs/serve.yaml: compute is spark, and pyspark is not installed; "
            "`python -m uv pip install pyspark==4.3.0` adds it, or restore compute to duckdb"
        )
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise ConfigError(
            f"configs/serve.yaml: compute is spark, and no java is in "
            f"{'JAVA_HOME' if home else 'PATH'}; `{installing(['java'])}` adds "
            "one, or restore compute to duckdb"
        )


def spark_settings(folder: Path) -> dict[str, str]:
    """Spark's configuration: on this machine alone, with all its files below `folder`.

    One core: rows are materialized into one online store, and SQLite takes one writer.
    """
    java = {"java.io.tmpdir": folder, "derby.system.home": folder, "user.timezone": "UTC"}
    options = [*(f"-D{name}={value}" for name, value in java.items()), "-XX:-UsePerfData"]
    return {
        "spark.master": "local[1]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(options),
        "spark.local.dir": str(folder),
        "spark.ui.enabled": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }


@contextmanager
def session(folder: Path) -> Iterator[None]:
    """Start a Spark session, which Feast picks up; it and its JVM end with the block."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not None:
        yield  # the session belongs to an enclosing store, which ends it
        return
    conf = SparkConf(loadDefaults=False).setAll(list(spark_settings(folder).items()))
    unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    gateway = launch_gateway(conf, unheard)
    try:
        SparkContext._ensure_initialized(gateway=gateway)
        spark = SparkSession.builder.config(conf=conf).getOrCreate()
        spark.sparkContext.pythonExec = sys.executable  # its workers' default is any python3
        try:
            yield
        finally:
            spark.stop()
    finally:
        SparkContext._gateway = SparkContext._jvm = None
        gateway.shutdown()
        gateway.proc.stdin.close()  # the JVM ends with it
        gateway.proc.wait()
