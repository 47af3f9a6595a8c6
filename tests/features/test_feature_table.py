import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.features.build import run
from pipeline.features.definitions import REQUEST_KEY
from pipeline.features.feature_table import ROWS, read
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import INGEST, VALIDATE, Manifest, Snapshot, snapshot_path
from pipeline.shared.errors import ArtifactMissing, FeatureRejected, LeakFound, TooLittleData
from pipeline.shared.files import file_hash, write_json, write_parquet

pytestmark = pytest.mark.answer("point-in-time")


@pytest.fixture
def stage(tmp_path, monkeypatch, published):
    """An empty project in which the first four days of January and of February were accepted."""
    shutil.copytree("configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    snapshots = []
    for table, rows in published.items():
        for month in (1, 2):
            path = snapshot_path(VALIDATE, table, f"2013-0{month}")
            some = rows[(rows["month"] == month) & (rows["day"] <= 4)]
            write_parquet(path, some)
            told = {"table": table, "month": f"2013-0{month}", "rows": len(some)}
            told |= {"path": str(snapshot_path(INGEST, table, told["month"]))}
            told |= {"content_hash": "c" * 64, "file_hash": file_hash(path)}
            snapshots.append(Snapshot(first="", last="", **told))
    manifest = Manifest(source="", as_of="2013-02", files={}, snapshots=snapshots)
    write_json(INGEST / "manifest.json", manifest.model_dump())
    return tmp_path


def test_the_stage_writes_one_row_per_accepted_flight_by_time(stage, published):
    run()
    rows = pd.read_parquet(ROWS)
    accepted = published["flights"].query("month <= 2 and day <= 4")
    assert rows["sched_dep_utc"].is_monotonic_increasing
    assert len(rows.merge(accepted, on=REQUEST_KEY)) == len(rows) == len(accepted)


@pytest.mark.answer
def test_shuffled_snapshots_give_the_same_bytes(stage):
    run()
    before = file_hash(ROWS)
    for path in VALIDATE.glob("*/*.parquet"):
        write_parquet(path, pd.read_parquet(path).sample(frac=1, random_state=7))
    run()
    assert file_hash(ROWS) == before


@pytest.mark.answer
def test_a_snapshot_that_was_not_accepted_is_asked_for(stage):
    snapshot_path(VALIDATE, "weather", "2013-02").unlink()
    with pytest.raises(ArtifactMissing, match=r"2013-02\.parquet is missing; `make validate`"):
        run()


def test_a_window_holds_its_first_and_last_day(stage):
    run()
    rows = read(Window(first="2013-01-02", last="2013-02-01"))
    days = sorted(set(rows["month"] * 100 + rows["day"]))
    assert days == [102, 103, 104, 201]


def test_rows_labelled_at_the_cut_or_later_are_left_out(stage):
    run()
    window = Window(first="2013-01-01", last="2013-02-04")
    everything = read(window)
    cut = everything["late_known_at"].sort_values().iloc[1000]
    assert len(read(window, cut)) == (everything["late_known_at"] < cut).sum() <= 1000


@pytest.mark.parametrize("last", ["2013-02-05", "2013-06-30"])
def test_a_window_beyond_what_has_arrived_is_refused(stage, last):
    run()
    with pytest.raises(
        TooLittleData, match=f"to {last}; .* holds .* rows from 20130101 to 20130204"
    ):
        read(Window(first="2013-02-01", last=last))


def test_a_window_in_which_nothing_is_labelled_yet_is_refused(stage):
    run()
    window = Window(first="2013-02-01", last="2013-02-04")
    with pytest.raises(TooLittleData, match=f"0 flights from {window.first} to {window.last}"):
        read(window, pd.Timestamp("2013-02-01", tz="UTC"))


def test_stored_rows_that_know_the_future_are_refused(stage):
    run()
    rows = pd.read_parquet(ROWS)
    write_parquet(ROWS, rows.assign(aircraft_known_at=rows["late_known_at"]))
    with pytest.raises(LeakFound, match="aircraft features"):
        read(Window(first="2013-01-01", last="2013-02-04"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("wind_speed", 1048.36), ("origin_late_7d", 25.0), ("humid", -1.0), ("sched_minute", 1440.0)],
)
def test_a_value_that_a_feature_cannot_mean_is_refused_by_name(stage, name, value):
    run()
    rows = pd.read_parquet(ROWS)
    rows.loc[7, name] = value
    write_parquet(ROWS, rows)
    with pytest.raises(FeatureRejected, match=rf"{name} of 1 of {len(rows):,} rows lies outside"):
        read(Window(first="2013-01-01", last="2013-02-04"))


def test_a_missing_value_is_nothing_implausible(stage):
    run()
    rows = pd.read_parquet(ROWS)
    rows["wind_speed"] = np.float32("nan")
    write_parquet(ROWS, rows)
    assert read(Window(first="2013-01-01", last="2013-02-04"))["wind_speed"].isna().all()
