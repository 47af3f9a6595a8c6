import numpy as np
import pandas as pd
import pytest

from pipeline.flights.slices import slices
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from tests.builders import CARRIERS, feature_rows

pytestmark = pytest.mark.answer("model-validation")

ROWS = feature_rows(1_200)


@pytest.fixture(scope="module")
def masks():
    return slices(ROWS.assign(sched_hour=np.arange(1_200) % 24), load(EvaluateConfig).slices)


@pytest.mark.parametrize("kind", ["origin", "hour", "carrier"])
def test_every_flight_is_in_exactly_one_slice_of_a_kind(masks, kind):
    counted = sum(mask.astype(int) for name, mask in masks.items() if name.startswith(kind))
    assert set(counted) == {1}


def test_hours_fall_into_the_bands_that_begin_with_them(masks):
    hours = np.arange(1_200) % 24
    assert set(hours[masks["hour 00-08"]]) == set(range(9))
    assert set(hours[masks["hour 09-12"]]) == {9, 10, 11, 12}
    assert set(hours[masks["hour 21-23"]]) == {21, 22, 23}


def test_carriers_without_a_name_of_their_own_are_pooled(masks):
    assert set(ROWS["carrier"][masks["carrier other"]]) == {"VX", "HA"}
    named = {name.removeprefix("carrier ") for name in masks if name.startswith("carrier")}
    assert named == {*CARRIERS, "other"}


def test_a_storm_begins_above_the_share_of_the_config():
    rows = ROWS.assign(system_dep_late_3h=np.array([0.39, 0.4, 0.41] * 400))
    rule = load(EvaluateConfig).slices
    assert slices(rows, rule)["storm"].tolist() == [False, False, True] * 400


def test_an_aircraft_that_was_not_seen_is_not_in_the_slice_of_known_ones(masks):
    assert (masks["aircraft known"] == ROWS["aircraft_known_at"].notna()).all()
    assert 0 < masks["aircraft known"].sum() < len(ROWS)


def test_a_slice_without_flights_is_left_out():
    rows = ROWS.assign(origin="JFK", aircraft_known_at=pd.NaT)
    found = slices(rows, load(EvaluateConfig).slices)
    assert [name for name in found if name.startswith("origin")] == ["origin JFK"]
    assert "aircraft known" not in found


def test_no_slice_looks_at_the_outcome(masks):
    turned = ROWS.assign(sched_hour=np.arange(1_200) % 24, late=1 - ROWS["late"])
    found = slices(turned, load(EvaluateConfig).slices)
    assert {name: mask.tolist() for name, mask in found.items()} == {
        name: mask.tolist() for name, mask in masks.items()
    }
