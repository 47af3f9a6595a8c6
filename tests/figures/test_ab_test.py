"""What the page says of A/B tests is what benchmarks/ab_test.json measured, by exact functions."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import ab_test
from benchmarks.ab_test import ALPHA, DAYS, POWER, Sums, Trial
from tests.rules import tree

pytestmark = pytest.mark.answer("ab-test")
FOUND = json.loads(tree.read("benchmarks/ab_test.json"))
ALARMS, ARMS = FOUND["false_alarms"], FOUND["arms"]
WITHIN = 4 * np.sqrt(ALPHA * (1 - ALPHA) / FOUND["runs"])
"""Four standard errors of a share of ALPHA."""


def noise(days=DAYS, a_day=60, storm=0.0, effect=0.0):
    """A trial whose days differ by `storm`, and whose challenger costs `effect` less."""
    chance = np.random.default_rng(0)
    day = np.repeat(np.arange(days), a_day)
    costs = chance.normal(0, 1, len(day)) + storm * chance.normal(0, 1, days)[day]
    less = costs - effect + chance.normal(0, 0.01, len(day))
    return Trial(day, {"cost": costs}, {"cost": less}, {"cost": costs})


# The functions do what they say.


@pytest.mark.parametrize(
    ("late", "risk", "cost"),
    [(1, 0.2, 1.0), (1, 0.5, 0.0), (0, 0.5, ab_test.NEEDLESS), (0, 0.2, 0.0)],
)
def test_acting_costs_a_missed_delay_or_a_needless_warning(late, risk, cost):
    assert ab_test.acting_cost(np.array([late]), np.array([risk])) == cost


def test_warning_from_the_limit_on_is_the_cheaper_bet():
    limit = ab_test.WARN_FROM
    assert limit * 1 == pytest.approx((1 - limit) * ab_test.NEEDLESS)


def test_an_arm_of_the_computed_size_finds_the_effect_as_often_as_promised(record_property):
    size, rng = round(ab_test.arm_size(1.0, 0.2)), np.random.default_rng(0)
    pairs = [(rng.normal(0, 1, size), rng.normal(0.2, 1, size)) for _ in range(2000)]
    found = np.mean([stats.ttest_ind(a, b).pvalue < ALPHA for a, b in pairs])
    record_property("power of 2,000 tests of the computed size", round(float(found), 3))
    assert found == pytest.approx(POWER, abs=4 * np.sqrt(POWER * (1 - POWER) / 2000))


def test_days_grow_with_the_inverse_square_of_the_effect():
    effect = {"point": -0.02, "low": -0.04, "high": -0.01}
    assert ab_test.days_by_effect(100, effect) == {"least": 25, "most": 400}
    assert ab_test.days_by_effect(100, effect | {"high": 0.01})["most"] is None
    assert ab_test.days_by_effect(100, effect | {"high": 0.0})["most"] is None


def test_z_is_welchs_after_each_day():
    trial, treated = noise(days=3), np.random.default_rng(1).random(180) < 0.5
    outcome = trial.champion["cost"]
    found = Sums.of(trial.day, treated, outcome, 3).z()
    for last in range(3):
        of = trial.day <= last
        right = stats.ttest_ind(outcome[of & treated], outcome[of & ~treated], equal_var=False)
        assert found[last] == pytest.approx(right.statistic)


def test_a_covariate_takes_off_what_it_explains():
    chance = np.random.default_rng(0)
    known = chance.normal(0, 1, 20_000)
    assert ab_test.reduced(known + chance.normal(0, 1, 20_000), known) == pytest.approx(
        0.5, abs=0.02
    )


def test_days_dealt_and_flights_tested_alarm_where_days_differ_and_nowhere_else():
    calm, stormy = (ab_test.false_alarms(noise(storm=s), "cost", 150) for s in (0.0, 2.0))
    assert calm["days dealt, flights tested"] < 0.15
    assert stormy["days dealt, flights tested"] > 0.5
    assert stormy["days dealt, days tested"] < 0.15
    assert stormy["one look at the end"] < 0.15


def test_a_shadow_finds_what_a_test_does_not():
    found = ab_test.power(noise(days=56, effect=0.02), "cost", 40)
    assert found["56 days"] == {"test": pytest.approx(0.05, abs=0.15), "shadow": 1.0}


def test_a_growing_share_moves_nobody_and_a_new_salt_at_each_step_does():
    names = [f"2013-05-{1 + n % 28:02}/UA/{n // 28}/EWR" for n in range(2800)]
    found = ab_test.sticky(names, [name.split("/", 1)[1] for name in names])
    assert found["changed_arm"] == 0
    assert found["changed_arm_with_a_salt_a_step"] > 0.3
    assert found["numbers"] == 100
    assert found["numbers_that_met_both"] > 0.9
    assert found["arms_a_number_meets_if_it_is_the_key"] == 1


def test_both_models_judge_the_same_flights():
    flights = pd.DataFrame({"late": [1, 0, 1], "month": [5, 5, 6], "day": [1, 2, 1]})
    risk = {"champion": np.array([0.2, 0.5, 0.9]), "challenger": np.array([0.9, 0.1, 0.9])}
    trial = ab_test.trial_of(flights, risk)
    assert trial.day.tolist() == [0, 1, 2]
    assert trial.champion["cost"].tolist() == [1, ab_test.NEEDLESS, 0]
    assert trial.challenger["cost"].tolist() == [0, 0, 0]
    assert trial.before["cost"] == pytest.approx([0.2, 0.25, 0.05])


# What was recorded.


def test_one_look_and_planned_looks_keep_what_they_promise():
    assert abs(ALARMS["one look at the end"] - ALPHA) < WITHIN
    assert ALARMS["four planned looks, group-sequential"] < ALPHA + WITHIN
    assert ALARMS["a look each day, always-valid"] < ALPHA + WITHIN
    assert abs(ALARMS["days dealt, days tested"] - ALPHA) < 2 * WITHIN


def test_peeking_and_counting_flights_of_dealt_days_do_not(record_property):
    record_property(
        "of tests without a difference that daily looks call one",
        ALARMS["a look each day, p below .05"],
    )
    assert ALARMS["a look each day, p below .05"] > 4 * ALPHA
    assert ALARMS["days dealt, flights tested"] > 10 * ALPHA


@pytest.mark.parametrize("metric", ab_test.METRICS)
def test_the_fresher_model_is_better_and_a_test_needs_several_times_a_shadows_days(metric):
    found = FOUND["metrics"][metric]
    assert found["difference"]["high"] < 0
    assert found["days"] > 4 * found["days_of_a_shadow"]
    assert found["days_by_effect"] == ab_test.days_by_effect(found["days"], found["difference"])
    assert found["days"] > found["days_with_covariate"] > 0.8 * found["days"]
    a_day = FOUND["flights"] / FOUND["days"] / 2
    assert found["days"] == pytest.approx(found["flights_an_arm"] / a_day, rel=0.01)


@pytest.mark.parametrize("metric", ab_test.METRICS)
def test_power_grows_with_days_and_a_shadow_has_more(metric):
    power = FOUND["power"][metric]
    assert list(power) == ["7 days", "14 days", "28 days", "56 days"]
    for kind in ("test", "shadow"):
        assert [one[kind] for one in power.values()] == sorted(one[kind] for one in power.values())
    assert all(one["shadow"] > one["test"] for one in power.values())


def test_no_flight_changed_its_arm_while_the_share_grew():
    assert ARMS["changed_arm"] == 0
    assert ARMS["changed_arm_with_a_salt_a_step"] > 0.4
    assert ARMS["numbers_that_met_both"] > 0.7
