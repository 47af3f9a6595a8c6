"""Proxies: each is held against the outcome before it stands for it."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import proxy_metrics
from pipeline.monitor.performance.performance import performance_status
from pipeline.monitor.performance.quality import Figures, figures
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.monitor.performance.feed import served

pytestmark = pytest.mark.answer("delayed-labels")
RULE, BOOTSTRAP = load(MonitorConfig).outcome, load(EvaluateConfig).bootstrap


@pytest.fixture(scope="module")
def past():
    """Forty days of flights with label, flag and risk."""
    requests, outcomes = served(days=40, a_day=200)
    return outcomes.assign(risk=requests["risk"], day=np.arange(8_000) // 200)


def test_the_flags_rates_are_the_late_shares_of_each_flag(past):
    found = proxy_metrics.FlagRates.of(past)
    for flag in (0, 1):
        share = past.loc[past["dep_late"] == flag, "late"].mean()
        assert found.rates[flag, 0] == pytest.approx(share)
    chance = found.chance(past["dep_late"].to_numpy(), past["risk"].to_numpy())
    assert chance.mean() == pytest.approx(past["late"].mean())


def test_the_flags_rates_by_risk_are_those_of_each_flag_and_tenth(past):
    found = proxy_metrics.FlagRates.of(past, 10)
    chance = found.chance(past["dep_late"].to_numpy(), past["risk"].to_numpy())
    tenth = pd.qcut(past["risk"], 10, labels=False)
    slowly = past.groupby([past["dep_late"], tenth])["late"].transform("mean")
    assert np.abs(chance - slowly).mean() < 0.003
    assert found.rates.shape == (2, 10)
    assert found.rates[1, 9] > found.rates[1, 0] > found.rates[0, 0]


def test_a_bin_that_was_never_seen_has_its_flags_share():
    few = pd.DataFrame(
        {"late": [0, 0, 1, 1], "dep_late": [0, 0, 1, 1], "risk": [0.1, 0.2, 0.8, 0.9]}
    )
    assert proxy_metrics.FlagRates.of(few, 2).rates.tolist() == [[0, 0], [1, 1]]


def test_with_labels_for_chances_the_daily_figures_are_the_outcomes(past):
    sums = proxy_metrics.daily(
        past["day"].to_numpy(), past["late"].to_numpy(), past["risk"].to_numpy()
    )
    found = proxy_metrics.rates(sums)
    for day, group in past.groupby("day"):
        real = figures(group["late"].to_numpy("float64"), group["risk"].to_numpy(), np.zeros(200))
        assert found.loc[day, "loss"] == pytest.approx(real.log_loss, abs=1e-6)
        assert found.loc[day, "excess"] == pytest.approx(real.excess, abs=1e-6)
        assert found.loc[day, "gap"] == pytest.approx(real.gap, abs=1e-6)


def test_the_models_own_risk_as_a_proxy_never_finds_anything(past):
    sums = proxy_metrics.daily(
        past["day"].to_numpy(), past["risk"].to_numpy(), past["risk"].to_numpy()
    )
    found = proxy_metrics.rates(sums)
    assert found[["excess", "gap"]].abs().to_numpy().max() < 1e-9
    assert not proxy_metrics.fires(proxy_metrics.trailing(sums, RULE), RULE).any()


def test_the_windows_are_the_means_of_all_flights_of_the_last_fourteen_days(past):
    sums = proxy_metrics.daily(
        past["day"].to_numpy(), past["late"].to_numpy(), past["risk"].to_numpy()
    )
    found = proxy_metrics.trailing(sums, RULE)
    assert found["gap"].notna().tolist() == [False] * 9 + [True] * 31
    last = past[past["day"] >= 26]
    assert found["gap"].iloc[-1] == pytest.approx(last["late"].mean() - last["risk"].mean())


@pytest.mark.parametrize("excess", [-0.5, 0.0, 0.02, 0.0201])
@pytest.mark.parametrize("gap", [-0.0301, -0.03, 0.0, 0.03, 0.0301])
def test_a_proxy_is_held_to_the_very_rule_of_the_outcome(excess, gap):
    window = pd.DataFrame({"excess": [excess], "gap": [gap]})
    counts = {"rows": 900, "labelled": 900, "days": 14, "late": 300, "coverage": 1}
    said, _ = performance_status(Figures(**counts, excess=excess, gap=gap), 14, RULE)
    assert bool(proxy_metrics.fires(window, RULE).iloc[0]) == (said == "alert")


@pytest.mark.parametrize(
    ("truth", "ours", "kind"),
    [
        ("0000110", "0001110", "earlier"),
        ("0000110", "0000110", "same"),
        ("0000110", "0000010", "later"),
        ("0000110", "0000000", "never"),
        ("0000110", "1111110", "already"),
        ("0000110", "1100000", "never"),
        ("0000110", "0110110", "earlier"),
    ],
)
def test_an_alert_is_met_earlier_later_or_never_and_one_that_always_rings_warns_of_nothing(
    truth, ours, kind
):
    found = proxy_metrics.against(*(np.array([c == "1" for c in days]) for days in (truth, ours)))
    kinds = ("earlier", "same", "later", "never", "already")
    assert {name: found[name] for name in kinds if found[name]} == {kind: 1}


def test_false_alarms_are_counted_by_day_and_by_episode():
    truth, ours = (np.array([c == "1" for c in d]) for d in ("0011000000", "1011001100"))
    found = proxy_metrics.against(truth, ours)
    assert (found["own_episodes"], found["false_episodes"]) == (3, 2)
    assert (found["days_both"], found["days_missed"], found["days_false"]) == (2, 0, 3)


def test_a_perfect_proxy_has_no_bias_full_correlation_and_the_same_alerts(past):
    worse = np.where(past["day"] > 20, 0.6 * past["risk"], past["risk"])
    sums = proxy_metrics.daily(past["day"].to_numpy(), past["late"].to_numpy(), worse)
    found = proxy_metrics.validated(sums, sums, RULE, BOOTSTRAP)
    assert {b["point"] for b in found["bias"].values()} == {0}
    assert set(found["correlation"].values()) == {1}
    assert found["alert"]["episodes"] == found["alert"]["same"] > 0


def test_a_flag_that_knows_nothing_of_the_risk_promises_more_loss_than_there_is(past):
    chance = proxy_metrics.FlagRates.of(past).chance(
        past["dep_late"].to_numpy(), past["risk"].to_numpy()
    )
    day, risk = past["day"].to_numpy(), past["risk"].to_numpy()
    ours, truth = (proxy_metrics.daily(day, c, risk) for c in (chance, past["late"].to_numpy()))
    found = proxy_metrics.validated(ours, truth, RULE, BOOTSTRAP)
    assert found["bias"]["excess"]["low"] > 0.01
    assert found["correlation"]["share"] > 0.7
