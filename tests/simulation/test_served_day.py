"""What the commands refuse before they begin; what they do is in tests/flow/test_serve.py."""

import pandas as pd
import pytest

from pipeline.serve import materialize
from pipeline.serve.schedule import champion_of, midnight_after, requests_of
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import DayUnknown, RegistryRefused, ReleaseRefused, SkewFound
from simulation import served_day

pytestmark = pytest.mark.answer("skew")


@pytest.fixture(scope="module")
def flights(published):
    """Two months, of which the second ends on its fourth day."""
    return published["flights"].query("month == 1 or (month == 2 and day <= 4)")


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


@pytest.mark.parametrize(
    ("days", "expected"), [("2013-02-04", {(2, 4)}), ("2013-02", {(2, d) for d in (1, 2, 3, 4)})]
)
def test_a_day_or_a_month_is_told_by_new_yorks_dates(flights, config, days, expected):
    asked = requests_of(flights, config, days)
    assert set(zip(asked["month"], asked["day"], strict=True)) == expected


@pytest.mark.parametrize(
    "days",
    ["2013-02-05", "2013-03", "2013", "2013-2-4", "20130204", "", "2013-02-0", "2013-02-04x"],
)
def test_a_day_that_is_none_or_has_not_arrived_is_refused(flights, config, days):
    with pytest.raises(DayUnknown, match="2013-01-01 to 2013-02-04 have; `make retrain`"):
        requests_of(flights, config, days)


def test_the_last_day_ends_at_midnight_in_new_york(flights):
    assert midnight_after(flights) == pd.Timestamp("2013-02-05 05:00Z")


def test_a_flight_after_midnight_utc_is_of_its_own_day(flights, config):
    late = requests_of(flights, config, "2013-02-04")["sched_dep_utc"].max()
    assert late > pd.Timestamp("2013-02-05 00:00Z")


@pytest.mark.parametrize("text", ["yesterday", "2013-02-04T10:00", "2013-02-06T00:00Z", ""])
def test_an_instant_that_is_none_or_lies_ahead_is_refused(flights, text):
    with pytest.raises(DayUnknown, match="no instant up to 2013-02-05T05:00Z"):
        materialize._instant(text, midnight_after(flights))


def test_an_instant_may_be_told_in_any_zone(flights):
    given = materialize._instant("2013-02-04T05:00-05:00", midnight_after(flights))
    assert given == pd.Timestamp("2013-02-04 10:00Z")


@pytest.mark.slow
def test_nobody_is_served_without_a_champion(judged, config):
    with pytest.raises(RegistryRefused, match=r"no champion to serve with in .*; `make champion`"):
        champion_of(config)


@pytest.mark.slow
def test_a_champion_of_other_features_is_refused(registered, config):
    with pytest.raises(ReleaseRefused, match=r"trained with planted-1, .* serves flight_delay-"):
        champion_of(config)


def skew_of(**changes):
    told = {"days": "2013-02-04", "rows": 9, "features": 41, "mismatches": []}
    told |= {"offline_differs": 0}
    harm = {"roc_auc": (0.7, 0.8), "log_loss": (0.6, 0.5), "rows": 9}
    return served_day.SkewReport.model_validate(told | {"damage": harm} | changes)


def test_no_difference_is_said_with_what_was_compared():
    assert "0 of 9 flights x 41 features differ" in served_day._verdict(skew_of())


def test_a_difference_is_refused_with_its_name_and_its_damage():
    one = {"feature": "humid", "differ": 3, "served": 1, "trained": 2, "mistake": "stale by 6 h"}
    with pytest.raises(SkewFound) as refusal:
        served_day._verdict(skew_of(mismatches=[one]))
    assert "3 of 9 flights x 41 features differ; it looks like: stale by 6 h" in str(refusal.value)
    assert "ROC AUC 0.7000, 0.8000 without" in str(refusal.value)


def test_an_offline_store_that_differs_from_training_is_refused_too():
    with pytest.raises(SkewFound, match=r"2 of 9 .*: offline store against training"):
        served_day._verdict(skew_of(offline_differs=2))
