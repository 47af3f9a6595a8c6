"""Engines that join: the features of training bit by bit, the same rows at ten times the size."""

import shutil

import pytest

from benchmarks import scale
from benchmarks.joins import parts, watched
from benchmarks.model_servers import launch
from benchmarks.study import Raw
from pipeline.features.windows import minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import EnvironmentUnfit
from tests import needs
from tests.patience import PATIENCE, until
from tests.processes import runs

pytestmark = [pytest.mark.slow, pytest.mark.answer("hundred-times")]
HERE = [name for name in scale.ENGINES if name != "Spark"]


@pytest.fixture(scope="module")
def raw(published):
    """A fortnight of raw tables."""
    flights, weather = (published[n].query("month == 1 and day <= 14") for n in published)
    return Raw(flights.reset_index(drop=True), weather, load(FeaturesConfig))


@pytest.fixture(scope="module")
def year(raw):
    return parts.first(raw)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scale")


@pytest.mark.long
@pytest.mark.parametrize("engine", HERE)
def test_every_engine_gives_the_features_of_training(raw, year, folder, engine):
    task = scale.task_of(year, folder, 1)
    case = scale.run(engine, task, folder)
    assert case["stopped"] == ""
    assert scale.differing(raw, task) == 0
    assert 0 <= case["peak_memory_gb"] < 4  # looked at now and then: an engine may end between


@pytest.mark.long
def test_every_engine_joins_ten_times_the_rows_alike(raw, year, folder):
    task = scale.task_of(year, folder, 10)
    found = [scale.run(engine, task, folder)["sums"] for engine in HERE]
    assert found[1:] == found[:-1]
    asked = {rows for rows, _, _ in found[0].values()}
    assert asked == {10 * len(raw.asked)}


@pytest.mark.long
def test_another_value_is_found(raw, year, folder):
    task = scale.task_of(year, folder, 1)
    scale.run("DuckDB", task, folder)
    moved = raw.asked.assign(
        predict_at=raw.asked["predict_at"] - raw.asked["predict_at"].diff().max()
    )
    assert scale.differing(Raw(raw.flights, raw.weather, raw.config), task) == 0
    other = Raw(raw.flights, raw.weather, raw.config)
    other.__dict__["asked"] = moved
    assert scale.differing(other, task) > 0


def test_a_later_year_of_another_fleet_is_the_year_under_other_names(year, tmp_path):
    import pyarrow.parquet as parquet

    folder = parts.write(year, tmp_path, "3-2")
    moved = parquet.read_table(folder / "requests.parquet").to_pandas()
    first = year["requests"].to_pandas()
    weeks = 2 * parts.WEEKS * 7 * 24 * 60
    assert (moved["at"] - first["at"]).unique().tolist() == [weeks]
    assert moved["route"].astype(str).tolist() == [f"{one}~3" for one in first["route"]]
    unknown = first["aircraft"].astype(str) == ""
    assert (moved["aircraft"].astype(str)[unknown] == "").all()
    assert not set(moved["id"]) & set(first["id"])


def test_no_row_of_a_year_is_later_than_the_next_year_begins(raw):
    last = max(int(rows["available_at"].max()) for rows in raw.views.values())
    assert last - int(minutes(raw.asked["predict_at"]).min()) < parts.WEEKS * 7 * 24 * 60


def test_an_engine_over_a_limit_is_stopped_with_all_its_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(watched, "LIMIT_DISK_GB", 1e-6)
    (tmp_path / "rows").write_bytes(b"0" * 4096)
    command = ["bash", "-c", "sleep 1000 & echo $! > child; wait"]
    cost = watched.watch(command, tmp_path, tmp_path, PATIENCE)
    assert cost.stopped == "at 0 GB of disk"
    child = int((tmp_path / "child").read_text())
    until(lambda: not runs(child))  # it was killed, and dies once it gets a processor


def test_an_engine_over_its_time_is_stopped_and_said_to_be(tmp_path):
    cost = watched.watch(["sleep", "1000"], tmp_path, tmp_path, 2.0)
    assert cost.stopped == "after 2 s"


def test_an_engine_that_fails_is_no_measurement(tmp_path):
    cost = watched.watch(["bash", "-c", "echo why; exit 3"], tmp_path, tmp_path, PATIENCE)
    assert (cost.stopped, cost.said) == ("ended with 3", "why\n")


def test_the_exponent_is_the_power_of_the_rows():
    cases = {
        size: {"seconds": seconds, "stopped": stopped}
        for size, seconds, stopped in (("1", 2.0, ""), ("10", 20.0, ""), ("100", 9.0, "after 9 s"))
    }
    rows = {"1": 5, "10": 50, "100": 500}
    assert scale.exponent(rows, cases) == {"1 to 10": 1.0}
    assert scale.exponent(rows, {}) == {}


def test_without_spark_nothing_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "ENVIRONMENTS", tmp_path)
    with pytest.raises(EnvironmentUnfit, match=r"1 of 1 environments.*spark; `make peers`"):
        scale.require_engines()


@pytest.mark.answer  # a minute: no proof that one waits for
@pytest.mark.nightly
@needs.unless(shutil.which("java"), "java")
@needs.unless(launch.python("spark").exists(), "peers")
def test_spark_gives_the_features_of_training_from_two_workers(raw, year, folder):
    task = scale.task_of(year, folder, 1)
    case = scale.run("Spark", task, folder)
    assert case["stopped"] == ""
    assert scale.differing(raw, task) == 0
    larger = scale.task_of(year, folder, 10)
    assert scale.run("Spark", larger, folder)["sums"] == scale.run("DuckDB", larger, folder)["sums"]
