"""Each measure of a month of flights, against the published year and an independent oracle."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from exercises.faults import FAULTS
from pipeline.flights import flight_consistency
from pipeline.flights.flight_consistency import OtherMonths, flight_measures
from pipeline.flights.limits import FlightLimits
from pipeline.shared.config.loading import load
from tests.builders import flights

pytestmark = pytest.mark.answer("data-validation")

LIMITS = load(FlightLimits).consistency


@pytest.fixture(scope="module")
def september(published_year):
    rows = published_year["flights"]
    return rows[rows["month"] == 9].reset_index(drop=True)


@pytest.fixture(scope="module")
def known(published_year):
    rows = published_year["flights"]
    return OtherMonths.from_months(group for _, group in rows[rows["month"] < 9].groupby("month"))


def test_every_measure_has_a_limit_and_every_limit_a_measure(september, known):
    assert set(flight_measures(september, known)) == {*LIMITS.flight_rows, *LIMITS.flight_days}


def test_where_nothing_is_known_only_the_month_itself_is_asked(september):
    missing = {*LIMITS.flight_rows, *LIMITS.flight_days} - set(flight_measures(september, None))
    assert missing == {
        *("distance_gap", "aircraft_of_others", "aircraft_of_others_by_carrier"),
        *("routes_not_known", "flight_numbers_not_known", "air_time_ratio"),
    }
    assert OtherMonths.from_months([]) is None


@pytest.mark.long
def test_no_measure_depends_on_the_order_of_the_rows(september, known):
    shuffled = september.sample(frac=1, random_state=0)
    for name, values in flight_measures(september, known).items():
        again = flight_measures(shuffled, known)[name].sort_index()
        assert np.allclose(values, again, equal_nan=True), name


def test_a_clock_that_passes_midnight_has_no_gap():
    row = (
        flights(rows=31)
        .iloc[[0]]
        .assign(sched_dep_time=2350, hour=23, minute=50, dep_delay=20.0, dep_time=10.0)
    )
    assert flight_consistency.row_measures(row, None)["dep_clock_gap"].tolist() == [0]
    late = flight_consistency.row_measures(row.assign(dep_time=11.0), None)["dep_clock_gap"]
    early = flight_consistency.row_measures(row.assign(dep_time=2355.0), None)["dep_clock_gap"]
    assert (late.tolist(), early.tolist()) == ([1], [-15])


def test_the_rank_correlation_of_a_day_is_spearmans(september):
    found = flight_consistency.day_measures(september, None)["delay_rank_correlation"]
    flown = september.dropna(subset=["dep_delay", "arr_delay"])
    for day in (1, 12, 30):
        rows = flown[flown["day"] == day]
        oracle = stats.spearmanr(rows["dep_delay"], rows["arr_delay"]).statistic
        assert found[september["day"] == day].unique() == pytest.approx([oracle])


def test_an_aircraft_is_elsewhere_where_its_flights_overlap():
    rows = flights(rows=31 * 60).assign(tailnum=[f"N{n}" for n in range(31 * 60)])
    share = flight_consistency.day_measures(rows, None)["aircraft_elsewhere"]
    assert share.max() == 0
    first = rows.index[(rows["day"] == 3) & rows["arr_utc"].notna()][:2]
    rows.loc[first, "tailnum"] = "N1"
    rows.loc[first, "dep_utc"] = pd.Timestamp("2013-01-03 12:00Z").as_unit("us")
    rows.loc[first, "arr_utc"] = pd.Timestamp("2013-01-03 14:00Z").as_unit("us")
    share = flight_consistency.day_measures(rows, None)["aircraft_elsewhere"]
    flown = rows[(rows["day"] == 3) & rows["arr_utc"].notna()]
    assert share[rows["day"] == 3].unique() == pytest.approx([1 / len(flown)])


def test_an_origin_without_flights_on_a_day_is_seen_though_it_has_no_row(september):
    rows = september[~((september["origin"] == "LGA") & (september["day"] == 10))]
    found = flight_consistency.volumes(rows.reset_index(drop=True))["origin_volume"]
    assert found.min() == 0


def test_a_share_of_few_flights_says_nothing():
    found = flight_measures(flights(rows=62), OtherMonths.from_months([flights()]))
    assert [name for name in LIMITS.flight_days if found[name].notna().any()] == []


def test_a_month_is_held_against_the_months_before_it_and_the_reference(published_year):
    """Aircraft that changed hands are known to both carriers from then on."""
    rows = published_year["flights"]
    by_month = dict(iter(rows.groupby("month")))
    alone = OtherMonths.from_months([by_month[1]])
    both = OtherMonths.from_months([by_month[1], by_month[11]])
    assert alone is not None
    assert both is not None
    assert alone.aircraft < both.aircraft
    assert alone.routes < both.routes


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "measure"),
    [
        ("AA, DL and MQ rotated", "aircraft_of_others"),
        ("F9, HA and YV rotated", "aircraft_of_others_by_carrier"),
        ("destinations dealt anew", "routes_not_known"),
        ("all outcomes dealt anew", "aircraft_elsewhere"),
        ("outcomes of the day before", "same_as_another_day"),
        ("arrival delays negated", "late_both_ways"),
        ("mornings of EWR lost", "part_of_day_volume_3"),
    ],
)
def test_a_fault_of_a_week_that_no_column_shows_leaves_the_limits(september, known, fault, measure):
    hit = september["day"].between(8, 14).to_numpy()
    rows = FAULTS[fault].plant(september, hit, np.random.default_rng(0))
    low, high = LIMITS.flight_days[measure]
    before = flight_measures(september, known)[measure].dropna()
    after = flight_measures(rows, known)[measure].dropna()
    assert before.between(low, high).all()
    assert not after.between(low, high).all()
