"""What the pages say about predicting earlier is what benchmarks/horizon.json measured."""

import json
from itertools import pairwise

import pandas as pd
import pytest

from benchmarks import horizon
from benchmarks.study import Raw
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.usecase.chosen import SECTIONS
from tests.features import oracle
from tests.features.oracle import flight
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/horizon.json"))
HORIZONS, LIVE = FOUND["horizons"], FOUND["live_horizon"]
EARLIER = [f"{hours}h" for hours in horizon.HOURS if hours > int(LIVE[:-1])]
LEAK = json.loads(tree.read("benchmarks/leak.json"))


@pytest.fixture(scope="module")
def raw():
    """A flight late at 06:00Z on May 20 and the asked one at 14:00Z, by hand."""
    flights = oracle.flights(flight("05-20 06:00", 60, 60), flight("05-20 14:00", flight=99))
    return Raw(flights, oracle.weather("05-20 04:00", "05-20 10:00"), load(FeaturesConfig))


@pytest.mark.parametrize(
    ("hours", "departed", "observed"),
    [(4, True, 4), (7, True, 4), (8, False, 4), (9, False, None)],
)
def test_an_earlier_prediction_knows_less(raw, hours, departed, observed):
    row = horizon.known(raw, hours).iloc[-1]
    at = pd.Timestamp("2013-05-20 14:00Z") - pd.Timedelta(hours=hours)
    assert row["predict_at"] == at
    assert pd.notna(row["origin_known_at"]) == departed
    hour = row["weather_known_at"].hour - 1 if pd.notna(row["weather_known_at"]) else None
    assert hour == observed


def test_the_slack_of_an_aircraft_is_counted_to_the_departure_whatever_the_horizon(raw):
    slack = [horizon.known(raw, hours)["aircraft_slack"].iloc[-1] for hours in (4, 2)]
    assert slack[0] == slack[1] == 300


def test_the_live_horizon_is_the_features_as_the_project_makes_them(raw):
    assert horizon.known(raw, int(LIVE[:-1])).equals(raw.honest)


def test_the_longest_horizon_is_the_longest_that_the_config_allows(raw):
    values = raw.config.model_dump()
    SECTIONS[FeaturesConfig].model_validate(values | {"horizon_minutes": max(horizon.HOURS) * 60})
    with pytest.raises(ValueError, match="horizon_minutes"):
        SECTIONS[FeaturesConfig].model_validate(
            values | {"horizon_minutes": max(horizon.HOURS) * 60 + 1}
        )


def test_every_horizon_was_recorded_on_the_flights_of_the_leak_study():
    assert list(HORIZONS) == [f"{hours}h" for hours in horizon.HOURS]
    assert FOUND["scored"] == LEAK["scored"]
    assert FOUND["learned"] == LEAK["learned"]


def test_the_live_horizon_has_the_scores_of_the_honest_join():
    for model in HORIZONS[LIVE].values():
        assert {name: model[name] for name in ("roc_auc", "log_loss")} == (
            LEAK["joins"]["point_in_time"]["offline"]
        )


def test_each_hour_earlier_costs_accuracy_though_the_model_is_trained_for_it():
    own = [HORIZONS[f"{hours}h"]["own_model"] for hours in horizon.HOURS]
    assert all(early["roc_auc"] < late["roc_auc"] for early, late in pairwise(own))
    assert all(early["log_loss"] > late["log_loss"] for early, late in pairwise(own))
    assert all(HORIZONS[name]["own_model"]["minus_live"]["low"] > 0 for name in EARLIER)


@pytest.mark.parametrize("name", EARLIER)
def test_a_model_that_is_asked_too_early_is_worse_than_one_trained_for_that_moment(name):
    own, live = HORIZONS[name]["own_model"], HORIZONS[name]["live_model"]
    assert own["log_loss"] < live["log_loss"]
    assert own["roc_auc"] > live["roc_auc"]


def test_it_takes_less_than_a_minute_and_a_half():
    assert FOUND["seconds"] < 90
