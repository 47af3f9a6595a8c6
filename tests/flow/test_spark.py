"""The store on Spark: the values that DuckDB gives, on this machine alone, nothing left over."""

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from pipeline.features import spark, windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, VIEWS
from pipeline.features.feast_repository import store_table
from pipeline.features.online_store import open_store
from pipeline.features.point_in_time import historical
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ConfigError
from pipeline.shared.files import write_parquet
from pipeline.shared.secrets import Address
from tests import needs
from tests.processes import below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.answer("feature-store")]
NAMES = [*NUMERIC, *KNOWN_AT]
UNTIL = pd.Timestamp("2013-01-14 17:00Z")
_JAVA, _PYSPARK = shutil.which("java"), find_spec("pyspark")
needs_spark = needs.unless(_JAVA and _PYSPARK, "pyspark" if _JAVA else "java")


class World:
    """Two weeks of raw tables, every view's rows on disk, and some hundred requests."""

    def __init__(self, published, folder):
        self.config, self.serve, self.folder = load(FeaturesConfig), load(ServeConfig), folder
        tables = (published[name].query("month == 1 and day <= 14") for name in published)
        flights, weather = tables
        self.views = windows.views(flights, weather, self.config)
        for view, rows in self.views.items():
            write_parquet(folder / f"{view}.parquet", store_table(view, rows, self.config))
        self.asked = windows.requests(flights, self.config).sample(300, random_state=1)

    def store(self, compute, online):
        told = {"online_url": Address(f"sqlite:///{online}/online.db"), "compute": compute}
        return open_store(self.config, self.serve.model_copy(update=told), self.folder)


@pytest.fixture(scope="module")
def world(published, tmp_path_factory):
    return World(published, tmp_path_factory.mktemp("rows"))


def online(folder: Path) -> dict[str, list[tuple]]:
    """Every row of every table of the online store; when it was written is left out."""
    columns = "entity_key, feature_name, value, event_ts, created_ts"
    with closing(sqlite3.connect(folder / "online-flights.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(connection.execute(f"SELECT {columns} FROM [{name}]"), key=repr)
            for (name,) in names
        }


def java() -> dict[int, list[str]]:
    """The JVMs below this process, with their arguments."""
    children = {one.pid: one.command.split() for one in below(os.getpid())}
    return {pid: words for pid, words in children.items() if Path(words[0]).name == "java"}


@needs_spark
def test_spark_gives_what_duckdb_and_training_give_and_leaves_nothing(
    world, tmp_path, capfd, monkeypatch
):
    homes = {name: tmp_path / name for name in ("duckdb", "spark")}
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    joined = {}
    for compute, home in homes.items():
        home.mkdir()
        with world.store(compute, home) as store:
            assert bool(java()) == (compute == "spark")
            with world.store(compute, tmp_path / "within"):
                assert len(java()) == (compute == "spark")
            joined[compute] = store.historical(world.asked)
            store.materialize(VIEWS, UNTIL - pd.Timedelta(days=10), UNTIL)
            assert set(store.watermarks().values()) == {windows.minutes(pd.Series([UNTIL]))[0]}
    assert joined["spark"].equals(joined["duckdb"])
    trained = historical(world.asked, world.views, world.config)
    assert joined["spark"][NAMES].equals(trained[NAMES])
    ours = online(homes["duckdb"])
    assert online(homes["spark"]) == ours
    assert all(len(rows) > 1 for rows in ours.values())
    assert java() == {}
    assert list(here.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_spark_listens_to_this_machine_only_and_writes_below_its_folder(tmp_path):
    told = spark.spark_settings(tmp_path)
    assert {told[f"spark.driver.{name}"] for name in ("host", "bindAddress")} == {"127.0.0.1"}
    assert told["spark.ui.enabled"] == "false"
    assert told["spark.sql.session.timeZone"] == "UTC"
    places = [told["spark.local.dir"], told["spark.sql.warehouse.dir"]]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)


@pytest.mark.parametrize("lacks", ["pyspark", "java"])
def test_spark_without_what_it_needs_is_refused_before_anything_is_written(
    lacks, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(spark, "find_spec", lambda name: None if name == lacks else sys)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with (
        pytest.raises(ConfigError, match=rf"compute is spark, and .*{lacks}.*; `.*duckdb"),
        world.store("spark", tmp_path / "state"),
    ):
        pass
    assert not (tmp_path / "state").exists()
