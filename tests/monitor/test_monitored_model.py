"""Who is watched, on which days, and what its losses of days unseen rest on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import FEATURES
from pipeline.flights.names import flight_names
from pipeline.monitor.monitored_model import (
    CACHE,
    labelled_before,
    month_after,
    month_window,
    out_of_fold,
)
from pipeline.monitor.monitored_model import load_champion as the_watched
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.errors import RegistryRefused, WrongMonth
from tests.builders import feature_rows
from tests.monitor import months
from tests.shared import project

pytestmark = pytest.mark.answer("which-drift")


@pytest.mark.parametrize(
    ("month", "first", "last"),
    [
        ("2013-02", "2013-02-01", "2013-02-28"),
        ("2013-12", "2013-12-01", "2013-12-31"),
    ],
)
def test_a_month_is_a_window_of_its_days(month, first, last):
    window = month_window(month, load(MonitorConfig))
    assert (window.first, window.last) == (first, last)


def test_without_a_month_the_configured_window_is_watched():
    config = load(MonitorConfig)
    assert month_window(None, config) == config.window


@pytest.mark.parametrize(
    "month", ["", "2012-12", "2014-01", "2013-13", "2013-4", "2013-04-01", "April", "2013-04 ", "*"]
)
def test_what_is_no_month_of_the_year_is_refused_with_one_that_is(month):
    with pytest.raises(WrongMonth, match=r"is not a month .*`make monitor MONTH=2013-04`"):
        month_window(month, load(MonitorConfig))


@pytest.mark.parametrize(
    ("day", "month"),
    [("2013-02-28", "2013-03"), ("2013-03-15", "2013-04"), ("2013-01-01", "2013-02")],
)
def test_the_month_after_a_day_has_no_day_up_to_it(day, month):
    assert month_after(day) == month


def test_a_label_that_came_at_the_instant_itself_was_not_known_before_it():
    rows = feature_rows(60, days=1)
    at = rows["late_known_at"].sort_values().iloc[30]
    kept = labelled_before(rows, at)
    assert kept["late_known_at"].max() < at
    assert kept.index.tolist() == list(range(len(kept)))


@pytest.mark.slow
def test_without_a_champion_there_is_nobody_to_watch_and_the_refusal_says_what_to_run(started):
    with pytest.raises(RegistryRefused, match=r"has no champion to monitor in .*`make champion`"):
        the_watched()


@pytest.mark.slow
@pytest.mark.parametrize("first", ["2013-01-08", "2013-02-01", "2013-02-28"])
def test_a_day_of_training_is_refused_and_a_month_that_is_new_is_named(registered, first):
    with pytest.raises(WrongMonth, match=r"up to 2013-02-28, and .*`make monitor MONTH=2013-03`"):
        the_watched(first)


@pytest.mark.slow
def test_the_champion_is_watched_from_the_day_after_its_training_on(registered):
    champion = the_watched("2013-03-01")
    assert (champion.window.first, champion.window.last) == ("2013-01-08", "2013-02-28")
    assert champion.trained_until == pd.Timestamp("2013-03-01T00:00Z")
    assert champion.scorer.version == "1"
    assert champion.scorer.model.features == FEATURES


@pytest.mark.slow
def test_the_reference_are_the_flights_that_it_learned_from(registered):
    champion = months.the_champion()
    assert champion.reference["late_known_at"].max() < champion.trained_until
    assert set(champion.reference["month"]) == {1, 2}
    left_out = 3_120 - len(champion.reference)
    assert 0 < left_out < 60  # flights of the last evening


# Days unseen.


def small():
    rows = feature_rows(1_200, days=20)
    return rows.assign(name=flight_names(rows))


def config(**changes):
    whole = load(TrainConfig)
    boosting = whole.boosting.model_copy(update={"max_iter": 15, "min_samples_leaf": 20} | changes)
    return whole.model_copy(update={"boosting": boosting})


@pytest.mark.long
def test_a_risk_never_rests_on_a_label_of_its_own_day():
    rows, names = small(), FEATURES[:8]
    before = out_of_fold(rows, config(), names)
    day = rows["name"].str[:10]
    for poisoned in ("2013-01-08", "2013-01-20"):
        changed = rows.assign(late=rows["late"].where(day != poisoned, 1 - rows["late"]))
        after = out_of_fold(changed, config(), names)
        assert np.array_equal(after[day == poisoned], before[day == poisoned])
        assert not np.array_equal(after[day != poisoned], before[day != poisoned])


def test_what_names_the_day_says_nothing_of_days_unseen():
    rows = small()
    day = rows["day"].to_numpy()
    luck = np.random.default_rng(0).random(32) < 0.5
    told = rows.assign(distance=day.astype("float32"), late=luck[day].astype("int8"))
    risk = out_of_fold(told, config(), ["distance"])
    right = ((risk > 0.5) == told["late"]).mean()
    assert right < 0.8


def test_every_flight_has_a_risk_between_0_and_1():
    risk = out_of_fold(small(), config(), FEATURES)
    assert risk.min() > 0
    assert risk.max() < 1


@pytest.mark.slow
def test_the_risk_of_days_unseen_is_worse_than_what_the_model_says_of_its_own(registered):
    champion = months.the_champion()
    late = champion.reference["late"].to_numpy()
    own = champion.scorer.model.predict(champion.reference)
    loss = [-np.log(np.where(late == 1, r, 1 - r)).mean() for r in (own, champion.out_of_fold_risk)]
    assert loss[0] < loss[1]


def kept():
    return sorted(path.name for path in Path(CACHE).glob("unseen-*.parquet"))


@pytest.fixture
def once(registered):
    """A project in which the risk of days unseen was asked for; what was kept now says 0.5."""
    rows = len(months.the_champion().out_of_fold_risk)
    (name,) = kept()
    pd.DataFrame({"risk": np.full(rows, 0.5)}).to_parquet(CACHE / name)
    return name


@pytest.mark.slow
def test_the_risk_of_days_unseen_is_made_once(once):
    assert set(months.the_champion().out_of_fold_risk) == {0.5}
    assert kept() == [once]


@pytest.mark.slow
def test_another_recipe_makes_it_anew(once):
    project.configure("train", **{"boosting.max_iter": 12})
    assert set(months.the_champion().out_of_fold_risk) != {0.5}


@pytest.mark.slow
def test_other_data_make_it_anew(once):
    rows = months.arrive()
    months.told(rows.assign(late=rows["late"].where(rows.index != 5, 1 - rows["late"])))
    assert set(months.the_champion().out_of_fold_risk) != {0.5}


@pytest.mark.slow
def test_another_champion_makes_it_anew(once):
    from dataclasses import replace

    assert set(replace(months.the_champion(), digest="0" * 64).out_of_fold_risk) != {0.5}
