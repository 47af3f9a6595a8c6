"""A day lived again gives what training reads; what arrives when decides what is served."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, VIEWS
from pipeline.features.feast_repository import store_table
from pipeline.features.online_store import MISSING, STALE, open_store
from pipeline.features.point_in_time import historical
from pipeline.flights import events
from pipeline.flights.features import AIRCRAFT
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.files import write_parquet
from pipeline.shared.secrets import Address
from simulation.feed import OnlineFeed, feed_of, replay_requests

pytestmark = [pytest.mark.slow, pytest.mark.answer("skew")]
NAMES = [*NUMERIC, *KNOWN_AT]
MORNING = ("2013-02-14 10:00Z", "2013-02-14 14:30Z")


class World:
    """Raw tables until February 15, the rows of every view on disk, a morning's requests."""

    def __init__(self, published, folder):
        self.config, self.folder = load(FeaturesConfig), folder
        self.flights = published["flights"].query("month == 1 or (month == 2 and day <= 15)")
        self.weather = published["weather"].query("month == 1 or (month == 2 and day <= 15)")
        self.views = windows.views(self.flights, self.weather, self.config)
        self.feed = feed_of(self.flights, self.weather, self.config)
        for view, rows in self.views.items():
            write_parquet(folder / f"{view}.parquet", store_table(view, rows, self.config))
        asked = windows.requests(self.flights, self.config)
        self.asked = asked[asked["predict_at"].between(*map(pd.Timestamp, MORNING))]
        self.trained = historical(self.asked, self.views, self.config)

    def lived(self, path, feed=None, asked=None):
        """What was served, and the store's counts."""
        serve = load(ServeConfig).model_copy(
            update={"online_url": Address(f"sqlite:///{path}/online.db")}
        )
        with open_store(self.config, serve, self.folder) as store:
            asked = self.asked if asked is None else asked
            frame = replay_requests(store, asked, feed or self.feed, self.config)
            return frame, store.counts


@pytest.fixture(scope="module")
def world(published, tmp_path_factory):
    return World(published, tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def lived(world, tmp_path_factory):
    return world.lived(tmp_path_factory.mktemp("online"))


def test_every_value_that_was_served_is_the_one_that_training_reads(
    world, lived, record_property: Callable[[str, object], None]
):
    served, _ = lived
    assert len(served) == len(world.trained) > 250
    ours, theirs = served.loc[world.trained.index, NAMES], world.trained[NAMES]
    assert ours.equals(theirs)
    differ = int((ours.ne(theirs) & ~(ours.isna() & theirs.isna())).sum().sum())
    assert differ == 0
    record_property("values of a real morning compared, served against trained", ours.size)
    record_property("values that differ, served against trained", differ)


def test_requests_come_back_by_time(world, lived):
    assert lived[0]["predict_at"].is_monotonic_increasing
    assert set(lived[0].index) == set(world.asked.index)


def test_nothing_fell_behind_and_nothing_came_late(lived):
    _, counts = lived
    assert {reason for _, reason in +counts} == {MISSING}


def test_what_is_missing_is_flagged_and_counted(lived):
    served, counts = lived
    missing = served["aircraft_flag"] == MISSING
    assert counts["aircraft", MISSING] == missing.sum() > 0
    assert served.loc[missing, AIRCRAFT].isna().all(axis=None)
    assert served.loc[~missing, "aircraft_slack"].notna().all()


def test_a_landing_is_served_from_its_next_minute_on(world, tmp_path):
    landing = world.feed.raw["aircraft"].query("aircraft_airborne == 0")
    start, end = windows.minutes(pd.Series(pd.to_datetime(list(MORNING))))
    landing = landing[landing["known_at"].between(start + 60, end - 60)]
    tail, at = landing.iloc[0][["entity", "known_at"]]
    template = world.asked[:1].assign(tailnum=tail)
    around = pd.concat([template] * 3, ignore_index=True).assign(
        predict_at=[windows.instant(int(at) + minute) for minute in (-1, 0, 1)]
    )
    served, _ = world.lived(tmp_path, asked=around)
    assert served["aircraft_airborne"].tolist()[1:] == [1.0, 0.0]
    assert served["aircraft_age"].tolist()[2] == 1.0


@pytest.mark.long
def test_an_hour_without_pushes_is_repaired_by_the_batch(world, tmp_path):
    """Nothing is pushed; at each full hour the rows on disk are materialized."""
    rows, raw = (
        {view: of[:0] for view, of in part.items()} for part in (world.feed.rows, world.feed.raw)
    )
    silent = OnlineFeed(rows, raw)
    on_the_hour = world.asked[world.asked["predict_at"].dt.minute == 0]
    served, _ = world.lived(tmp_path, silent, on_the_hour)
    expected = world.trained.loc[served.index, NAMES]
    assert served[NAMES].equals(expected)


@pytest.mark.long
def test_a_feed_of_no_weather_leaves_it_missing_and_not_old(world, tmp_path):
    first = world.asked["predict_at"].min() - pd.Timedelta(hours=8)
    known = world.weather[world.weather["observed_utc"] < first]
    for view in VIEWS:
        (tmp_path / f"{view}.parquet").symlink_to(world.folder / f"{view}.parquet")
    (tmp_path / "weather.parquet").unlink()
    rows = store_table("weather", events.weather_rows(known), world.config)
    write_parquet(tmp_path / "weather.parquet", rows)
    weather = feed_of(world.flights, known, world.config).raw["weather"]
    feed = OnlineFeed(world.feed.rows, {**world.feed.raw, "weather": weather})
    serve = load(ServeConfig).model_copy(
        update={"online_url": Address(f"sqlite:///{tmp_path}/online.db")}
    )
    with open_store(world.config, serve, tmp_path) as store:
        served = replay_requests(store, world.asked[:40], feed, world.config)
    assert (served["weather_flag"] == MISSING).all()
    assert served[["humid", "visib"]].isna().all(axis=None)
    assert (served["system_flag"] == "").all()
    assert STALE not in {reason for _, reason in +store.counts}
    assert np.isfinite(served["origin_late_7d"]).all()
