"""Each mistake is found by its name, and by no other."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import LABEL, NUMERIC, PROXY, ROLLING, VIEWS
from pipeline.features.point_in_time import historical
from pipeline.flights.features import WEATHER
from pipeline.serve.skew import UNEXPLAINED, Mismatch, Raw, damage, describe, mismatches
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.files import write_parquet

pytestmark = pytest.mark.answer("skew")
DAY = "month == 2 and day == 14"
SHARES = [w.name for w in ROLLING if w.value in (LABEL, PROXY)]
HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def raw(published):
    """The raw tables of two weeks of February: enough for values that differ from hour to hour."""
    flights, weather = (
        published[table].query("month == 2 and 2 <= day <= 15") for table in ("flights", "weather")
    )
    return Raw(flights.reset_index(drop=True), weather, load(FeaturesConfig))


@pytest.fixture(scope="module")
def trained(raw):
    """The flights of one day as training has them."""
    return features(raw, windows.requests(raw.events, raw.config))


def features(raw, asked):
    views = windows.views(raw.events, raw.context, raw.config)
    return historical(asked.query(DAY), views, raw.config).reset_index(drop=True)


def served(frame, flag=""):
    """A table as the replay gives it: with a flag for every view."""
    return frame.assign(**{f"{view}_flag": flag for view in VIEWS})


def found(frame, trained, raw):
    return {m.feature: m.mistake for m in mismatches(served(frame), trained, raw)}


def test_what_is_the_same_to_the_bit_is_no_mismatch(trained, raw):
    assert mismatches(served(trained), trained, raw) == []


def test_a_single_bit_of_a_single_flight_is_a_mismatch(
    trained, raw, record_property: Callable[[str, object], None]
):
    frame = trained.copy()
    value = frame.loc[7, "origin_late_7d"]
    frame.loc[7, "origin_late_7d"] = np.nextafter(value, np.float32(1))
    (mismatch,) = mismatches(served(frame), trained, raw)
    assert (mismatch.feature, mismatch.differ) == ("origin_late_7d", 1)
    record_property(
        f"of {trained[NUMERIC].size:,} values found to differ, by one bit", mismatch.differ
    )


def test_a_value_that_was_missing_and_is_served_is_a_mismatch(trained, raw):
    frame = trained.assign(aircraft_age=trained["aircraft_age"].fillna(1.0))
    (mismatch,) = mismatches(served(frame), trained, raw)
    assert (mismatch.served, mismatch.trained) == (1.0, None)
    assert mismatch.mistake == UNEXPLAINED


def test_percent_for_a_fraction_is_named(trained, raw):
    frame = trained.assign(**{name: trained[name].mul(100) for name in SHARES})
    assert found(frame, trained, raw) == dict.fromkeys(SHARES, "percent for fraction")


def test_zero_for_a_missing_value_is_named(trained, raw):
    frame = trained.copy()
    frame[NUMERIC] = frame[NUMERIC].fillna(0)
    names = set(found(frame, trained, raw).items())
    holes = [name for name in NUMERIC if trained[name].isna().any()]
    assert names == {(name, "zero for missing") for name in holes}


def test_an_hour_told_in_utc_is_named(trained, raw):
    utc = trained["sched_dep_utc"].dt
    frame = trained.assign(
        sched_minute=(utc.hour * 60 + utc.minute).astype("float32"),
        day_of_week=utc.dayofweek.astype("float32"),
    )
    assert found(frame, trained, raw) == dict.fromkeys(
        ["sched_minute", "day_of_week"], "UTC for local time"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("hours", "name"), [(0.25, "15 min"), (1, "1 h"), (6, "6 h"), (24, "24 h")]
)
def test_a_store_that_stood_still_is_named_with_its_hours(trained, raw, hours, name):
    asked = windows.requests(raw.events, raw.config)
    earlier = asked.assign(predict_at=asked["predict_at"] - hours * HOUR)
    then = features(raw, earlier)
    rolling = [w.name for w in ROLLING]
    frame = trained.assign(**{feature: then[feature] for feature in rolling})
    names = found(frame, trained, raw)
    assert set(names.values()) == {f"stale by {name}"}
    assert set(names) <= set(rolling)


def test_flights_that_have_not_landed_are_named(trained, raw):
    early = raw.events.assign(dep_utc=raw.events["sched_dep_utc"])
    early["arr_utc"] = early["sched_dep_utc"]
    gone = raw.events["dep_delay"].isna() | raw.events["arr_delay"].isna()
    kept = raw.events[~gone]  # by hand: of these each outcome is known when it was scheduled
    small = Raw(kept.reset_index(drop=True), raw.context, raw.config)
    views = windows.views(early[~gone].reset_index(drop=True), raw.context, raw.config)
    asked = windows.requests(small.events, raw.config).query(DAY)
    honest = windows.views(small.events, raw.context, raw.config)
    rows = {view: views[view] if view != "aircraft" else honest[view] for view in VIEWS}
    frame, truth = (
        historical(asked, tables, raw.config).reset_index(drop=True) for tables in (rows, honest)
    )
    names = found(frame, truth, small)
    assert set(names.values()) == {"flights not yet landed"}
    assert "system_dep_late_1h" in names


def test_noise_is_named_nothing(trained, raw):
    noise = np.random.default_rng(1).normal(size=len(trained)).astype("float32")
    frame = trained.assign(humid=trained["humid"] + noise)
    assert found(frame, trained, raw) == {"humid": UNEXPLAINED}


def test_a_mistake_in_half_of_the_flights_is_not_named_as_if_in_all(trained, raw):
    half = trained.index < len(trained) // 2
    name = SHARES[0]
    frame = trained.assign(**{name: trained[name].where(half, trained[name] + 0.001)})
    assert found(frame, trained, raw) == {name: UNEXPLAINED}


def test_two_mistakes_at_once_are_each_named(trained, raw):
    frame = trained.assign(
        system_late_24h=trained["system_late_24h"] * 100,
        aircraft_age=trained["aircraft_age"].fillna(0),
    )
    assert found(frame, trained, raw) == {
        "system_late_24h": "percent for fraction",
        "aircraft_age": "zero for missing",
    }


def test_what_was_withheld_is_no_mystery(trained, raw):
    frame = served(trained.assign(**dict.fromkeys(WEATHER, np.float32("nan"))))
    frame["weather_flag"] = "stale"
    names = {m.feature: m.mistake for m in mismatches(frame, trained, raw)}
    assert set(names.values()) == {"withheld as stale"}


def test_what_was_not_withheld_is_not_excused_by_another_view(trained, raw):
    frame = served(trained.assign(humid=trained["humid"] + 1))
    frame["aircraft_flag"] = "stale"
    assert [m.mistake for m in mismatches(frame, trained, raw)] == [UNEXPLAINED]


def test_a_value_that_was_served_all_the_same_was_not_withheld(trained, raw):
    frame = served(trained.assign(humid=trained["humid"] + 1))
    frame["weather_flag"] = "stale"
    assert [m.mistake for m in mismatches(frame, trained, raw)] == [UNEXPLAINED]


def test_the_most_frequent_mismatch_comes_first(trained, raw):
    frame = trained.assign(humid=trained["humid"] + 1)
    frame.loc[3, "visib"] = -1
    assert [m.feature for m in mismatches(served(frame), trained, raw)] == ["humid", "visib"]


def test_damage_says_what_was_served_first():
    labels, honest = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    hurt = damage(labels, 1 - honest, honest)
    assert hurt.roc_auc == (0.0, 1.0)
    assert hurt.log_loss[0] > hurt.log_loss[1] > 0
    assert hurt.rows == 4


def test_a_mismatch_is_told_with_both_values():
    one = Mismatch(feature="humid", differ=3, served=None, trained=51.5, mistake="a guess")
    assert "humid" in (line := describe([one], 9).splitlines()[-1])
    assert line.split() == ["humid", "3", "missing", "51.5", "a", "guess"]


def test_the_parts_of_a_comparison_can_be_stored(trained, tmp_path):
    write_parquet(tmp_path / "served.parquet", served(trained))
    assert len(pd.read_parquet(tmp_path / "served.parquet")) == len(trained)
