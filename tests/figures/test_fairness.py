"""What the page says of groups is what benchmarks/fairness.json measured, and how."""

import json

import numpy as np
import pytest

from benchmarks import fairness
from benchmarks.ab_test import WARN_FROM
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.paired_difference import difference
from tests.rules import tree

pytestmark = pytest.mark.answer("fairness")
FOUND = json.loads(tree.read("benchmarks/fairness.json"))
CARRIERS = FOUND["carrier"]


def planted(share, rows=20_000, seed=0):
    """Labels by calibrated risks whose mean is about a share."""
    chance = np.random.default_rng(seed)
    risk = chance.beta(4 * share, 4 * (1 - share), rows).clip(0.001, 0.999)
    return (chance.random(rows) < risk).astype(int), risk


def test_rates_are_of_late_and_of_punctual_flights():
    labels = np.array([1, 1, 0, 0, 0, 0])
    risk = np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.1])
    assert fairness.rates(labels, risk) == {"missed": 0.5, "needless": 0.25}
    at = np.array([WARN_FROM])
    assert fairness.rates(np.array([1, 0]), np.append(at, at))["missed"] == 0


def test_a_calibrated_group_s_mean_risk_is_its_late_share_in_the_same_order():
    labels, risk = planted(0.3)
    found = fairness.calibrated(labels, risk**2)
    assert found.mean() == pytest.approx(labels.mean())
    assert (np.diff(found[np.argsort(risk)]) >= 0).all()


def test_two_calibrated_groups_with_other_base_rates_have_other_error_rates(record_property):
    often, seldom = (fairness.rates(*planted(share)) for share in (0.4, 0.15))
    assert often["needless"] > 2 * seldom["needless"]
    assert often["missed"] < seldom["missed"]
    spread = CARRIERS["needless_calibrated"]
    record_property("needless warnings, the lowest of calibrated carriers", spread["min"])
    record_property("needless warnings, the highest of calibrated carriers", spread["max"])


def test_a_spread_is_the_lowest_and_the_highest():
    groups = {"a": {"late": 0.3}, "b": {"late": 0.1}, "c": {"late": 0.2}}
    assert fairness.spread(groups, "late") == {"min": 0.1, "max": 0.3}


def test_a_group_is_surely_off_if_its_interval_excludes_zero():
    def group(low, high, flights=1000):
        gap = {"point": (low + high) / 2, "low": low, "high": high}
        rates = dict.fromkeys(
            ("late", "missed", "needless", "missed_calibrated", "needless_calibrated"), 0.1
        )
        apart = {"point": -gap["point"], "low": -high - 0.01, "high": -low - 0.01}
        return {"flights": flights, "gap": gap, "less_all": apart, **rates}

    found = fairness.summary({"a": group(0.01, 0.03), "b": group(-0.02, 0.03, flights=3000)})
    assert found["surely_off"] == found["surely_apart"] == ["a"]
    assert found["worst_gap"]["point"] == 0.02
    assert found["mean_gap"] == pytest.approx((0.02 + 3 * 0.005) / 4, abs=1e-4)


def test_what_all_groups_share_is_no_distance_from_all():
    chance = np.random.default_rng(1)
    day = np.repeat(np.arange(60), 200)
    of = np.tile(np.arange(200) < 50, 60)
    shared = chance.normal(0.05, 0.05, 60)[day]
    error = shared + chance.normal(0, 0.1, len(day))
    bootstrap = load(EvaluateConfig).bootstrap
    alone = difference(error[of], day[of], bootstrap)
    alike = difference(fairness.less_all(of, error), day, bootstrap)
    assert alone.low > 0
    assert alike.low < 0 < alike.high
    other = error + np.where(of, 0.03, 0)
    apart = difference(fairness.less_all(of, other), day, bootstrap)
    assert apart.point == pytest.approx(other[of].mean() - other.mean())
    assert apart.low > 0


# What was recorded.


@pytest.mark.parametrize("kind", ["carrier", "origin"])
def test_the_summary_is_that_of_its_groups(kind):
    found = FOUND[kind]
    groups = found["by_group"]
    assert found["groups"] == len(groups)
    assert all(group["flights"] >= fairness.FEWEST for group in groups.values())
    for rate in ("late", "missed", "needless", "missed_calibrated", "needless_calibrated"):
        assert found[rate] == fairness.spread(groups, rate)
    assert fairness.summary(groups) == {k: v for k, v in found.items() if k != "by_group"}


def test_the_model_says_too_little_for_every_carrier():
    gaps = [group["gap"]["point"] for group in CARRIERS["by_group"].values()]
    assert CARRIERS["worst_gap"]["point"] <= CARRIERS["mean_gap"] < 0
    assert max(gaps) < 0


def test_base_rates_differ_and_so_do_error_rates_also_with_corrected_mean_risks():
    assert CARRIERS["late"]["max"] > 1.5 * CARRIERS["late"]["min"]
    for rate in ("needless", "needless_calibrated"):
        assert CARRIERS[rate]["max"] > 2 * CARRIERS[rate]["min"]
