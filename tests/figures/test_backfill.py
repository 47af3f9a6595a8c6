"""What the page says of backfills is what benchmarks/backfill.json measured, and how."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import backfill
from benchmarks.study import Raw
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from tests.features import oracle
from tests.features.oracle import flight
from tests.rules import tree

pytestmark = pytest.mark.answer("backfill")
FOUND = json.loads(tree.read("benchmarks/backfill.json"))["ways"]
NUMBER = 7
PRIOR = backfill.SHRINK * load(FeaturesConfig).prior["late"]


def raw(*flights):
    """Tables made by hand; the asked flight is at 14:00Z on May 20, predicted at 12:00Z."""
    asked = flight("05-20 14:00", flight=NUMBER)
    weather = oracle.weather("05-20 10:00")
    return Raw(oracle.flights(*flights, asked), weather, load(FeaturesConfig))


def value(tables, fill):
    """The asked flight's value, and when it was known."""
    row = backfill.FILLS[fill](tables).iloc[-1]
    return float(row[backfill.NAME]), row[backfill.KNOWN]


def mean(late, flights):
    return pytest.approx((late + PRIOR) / (flights + backfill.SHRINK))


LATE = flight("05-19 14:00", 0, 60, flight=NUMBER)
EVENING = flight("05-20 20:00", 0, 60, flight=NUMBER)
OTHER = flight("05-19 15:00", 0, 60, flight=8)


def test_as_known_counts_what_had_landed_before_the_prediction():
    found, known = value(raw(LATE, OTHER, EVENING), "as_known")
    assert found == mean(1, 1)
    assert known < pd.Timestamp("2013-05-20 12:00Z")


def test_as_known_knows_nothing_of_a_number_that_never_flew():
    found, known = value(raw(OTHER), "as_known")
    assert found == mean(0, 0)
    assert pd.isna(known)


@pytest.mark.parametrize("fill", ["todays_value", "todays_value_dated_back"])
def test_todays_value_holds_the_evening_and_the_flight_itself(fill):
    found, _ = value(raw(LATE, OTHER, EVENING), fill)
    assert found == mean(2, 3)


def test_the_true_instant_is_refused_and_the_one_that_is_dated_back_passes(record_property):
    tables = raw(LATE, EVENING)
    refused = backfill._judged(backfill.todays_value(tables))
    passed = backfill._judged(backfill.todays_value_dated_back(tables))
    assert refused["refused"]
    assert refused["rows"] == 3
    assert passed == {"refused": False, "rows": 0}
    record_property("rows refused under their true instant", FOUND["todays_value"]["guard"]["rows"])
    record_property(
        "of the same rows dated back", FOUND["todays_value_dated_back"]["guard"]["rows"]
    )


def test_a_comparison_with_what_was_served_finds_both():
    tables = raw(LATE, EVENING)
    served = backfill.as_known(tables)
    assert backfill.differing(backfill.as_known(tables), served) == 0
    for fill in ("todays_value", "todays_value_dated_back"):
        assert backfill.differing(backfill.FILLS[fill](tables), served) > 0.5


def test_a_fill_changes_no_other_feature():
    tables = raw(LATE, EVENING)
    for fill in backfill.FILLS.values():
        filled = fill(tables).drop(columns=[backfill.NAME, backfill.KNOWN])
        pd.testing.assert_frame_equal(filled, tables.honest)


def test_the_recipe_with_the_feature_has_one_input_more():
    tables = raw(LATE)
    recipe = backfill.Recipe.of(tables)
    more = backfill.WithNumber(recipe.train, recipe.bootstrap, recipe.asked)
    assert more.names == [*recipe.names, backfill.NAME]


# What was recorded.


def test_as_known_serves_what_it_shows_and_gains_something():
    honest = FOUND["as_known"]
    assert honest["offline"] == honest["served"]
    assert honest["differ"] == 0
    assert honest["served_minus_without"]["high"] < 0
    assert not honest["guard"]["refused"]


@pytest.mark.parametrize("way", ["todays_value", "todays_value_dated_back"])
def test_todays_value_shows_more_and_serves_less_than_no_feature_at_all(way):
    found = FOUND[way]
    assert found["offline"]["roc_auc"] > FOUND["as_known"]["offline"]["roc_auc"]
    assert found["served"]["roc_auc"] < FOUND["without"]["roc_auc"]
    assert found["served_minus_without"]["low"] > 0
    assert found["differ"] > 0.9


def test_only_a_truthful_instant_is_refused_by_the_guard():
    assert FOUND["todays_value"]["guard"]["refused"]
    assert not FOUND["todays_value_dated_back"]["guard"]["refused"]
    assert np.isfinite(FOUND["seconds_as_known"])
