"""Each measure of a month of weather, against the published year and an independent oracle."""

import numpy as np
import pandas as pd
import pytest

from exercises.faults import FAULTS
from pipeline.flights import weather_consistency
from pipeline.flights.limits import FlightLimits
from pipeline.flights.weather_consistency import weather_measures
from pipeline.shared.config.loading import load
from tests.builders import weather

pytestmark = pytest.mark.answer("data-validation")

LIMITS = load(FlightLimits).consistency


@pytest.fixture(scope="module")
def september(published_year):
    rows = published_year["weather"]
    return rows[rows["month"] == 9].reset_index(drop=True)


def test_every_measure_has_a_limit_and_every_limit_a_measure(september):
    assert set(weather_measures(september)) == {*LIMITS.weather_rows, *LIMITS.weather_days}


def test_no_measure_depends_on_the_order_of_the_rows(september):
    found, shuffled = (
        weather_measures(september),
        weather_measures(september.sample(frac=1, random_state=0)),
    )
    for name, values in found.items():
        assert np.allclose(values, shuffled[name].sort_index(), equal_nan=True), name


def test_relative_humidity_is_that_of_published_tables():
    """Of the air at 68 F and dew points of 68, 50 and 32 F: 100, 52.5 and 26.1 per cent."""
    found = weather_consistency.relative_humidity(
        pd.Series([68.0, 68.0, 68.0]), pd.Series([68.0, 50.0, 32.0])
    )
    assert found.tolist() == pytest.approx([100, 52.5, 26.1], abs=0.2)


@pytest.mark.parametrize(
    ("noon", "late_by"),
    [("2013-02-11 17:10Z", 0.0), ("2013-11-03 16:40Z", 0.0), ("2013-06-14 17:56Z", 1.0)],
)
def test_the_sun_is_highest_at_solar_noon(noon, late_by):
    """February 11 and November 3 are the extremes of the equation of time, +14 and -16 minutes."""
    hour = weather_consistency.solar_hour(pd.DatetimeIndex([noon]))
    assert hour == pytest.approx([12 + late_by], abs=0.05)


def test_the_origin_that_is_an_hour_off_is_the_one_that_is_most_out_of_step(september):
    """The others are held against a mean that it is part of, and may leave the limit with it."""
    low, high = LIMITS.weather_days["origin_out_of_step"]
    clean = weather_consistency.weather_day_measures(september)["origin_out_of_step"]
    assert clean.dropna().between(low, high).all()
    hit = september["day"].between(5, 25).to_numpy()
    rows = FAULTS["sky of an hour later at JFK"].plant(september, hit, np.random.default_rng(0))
    found = weather_consistency.weather_day_measures(rows)["origin_out_of_step"]
    assert found.max() > high
    assert rows.loc[found.idxmax(), "origin"] == "JFK"


@pytest.mark.parametrize("hours", [-3, -2, -1, 1, 2, 3])
def test_the_sun_says_by_how_many_hours_a_month_is_off(september, hours):
    usual = weather_consistency.weather_day_measures(september)["hours_off_the_sun"].median()
    moved = september.assign(observed_utc=september["observed_utc"] + pd.Timedelta(hours=hours))
    found = weather_consistency.weather_day_measures(moved)["hours_off_the_sun"].median()
    assert found - usual == pytest.approx(hours, abs=0.1)


def test_a_day_with_a_lost_hour_is_still_read(september):
    holes = september[~((september["day"] == 7) & (september["hour"].isin([3, 4, 15])))]
    found = weather_consistency.weather_day_measures(holes.reset_index(drop=True))
    assert found["hours_off_the_sun"].notna().any()
    assert (
        found["hours_off_the_sun"].dropna().between(*LIMITS.weather_days["hours_off_the_sun"]).all()
    )


def test_values_that_stay_are_counted_where_every_origin_repeats_them():
    rows = weather()
    assert weather_consistency.weather_day_measures(rows)["same_as_hour_before"].max() == 0
    hit = (rows["day"] == 4) & (rows["hour"] == 5)
    before = rows[(rows["day"] == 4) & (rows["hour"] == 4)]
    values = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "visib"]
    rows.loc[hit, values] = before[values].to_numpy()
    found = weather_consistency.weather_day_measures(rows)["same_as_hour_before"]
    assert found[rows["day"] == 4].unique().tolist() == [1]
    assert found[rows["day"] != 4].max() == 0


@pytest.mark.parametrize(
    ("fault", "measure"),
    [
        ("sky of an hour later", "hours_off_the_sun"),
        ("sky of an hour before", "hours_off_the_sun"),
        ("sky of two hours later", "hours_off_the_sun"),
        ("sky of the day before", "same_as_day_before"),
        ("Celsius", "humidity_of_dew_point"),
        ("Celsius at LGA", "temp_apart"),
        ("pressure lost at JFK", "pressure_missing"),
        ("rain dealt anew", "rain_in_dry_air"),
    ],
)
def test_a_fault_that_no_column_shows_leaves_the_limits(september, fault, measure):
    hit = september["day"].between(10, 25).to_numpy()
    rows = FAULTS[fault].plant(september, hit, np.random.default_rng(0))
    low, high = LIMITS.weather_days[measure]
    before = weather_consistency.weather_day_measures(september)[measure].dropna()
    after = weather_consistency.weather_day_measures(rows)[measure].dropna()
    assert before.between(low, high).all()
    assert not after.between(low, high).all()
