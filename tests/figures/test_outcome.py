"""What the pages say about late labels and proxies is what benchmarks/outcome.json measured."""

import json

import pytest

from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/outcome.json"))
YEAR = json.loads(tree.read("benchmarks/year.json"))["champion_april_to_december"]
PROXIES, ALERT = FOUND["proxies"], FOUND["outcome_alert"]
AGREEMENT = FOUND["agreement"]


def test_the_months_have_the_scores_of_the_study_of_the_year():
    assert FOUND["scored"]["flights"] == YEAR["flights"]
    assert round(FOUND["scored"]["roc_auc"]["point"], 4) == YEAR["roc_auc"]
    for month, found in FOUND["by_month"].items():
        assert round(found["log_loss"], 4) == YEAR[month]["log_loss"]
        assert round(found["roc_auc"], 4) == YEAR[month]["roc_auc"]


def test_every_interval_holds_its_point():
    for found in FOUND["by_month"].values():
        for interval in found["intervals"].values():
            assert interval["low"] < interval["point"] < interval["high"]


@pytest.mark.parametrize("hour", FOUND["unfinished_day"]["by_hour"])
def test_labels_known_so_far_are_surely_biased_low_and_those_of_due_flights_are_not(hour):
    found = FOUND["unfinished_day"]["by_hour"][hour]
    assert found["naive_of_due"]["high"] < 0
    assert set(found["due_of_due"].values()) == {0}


def test_the_bias_at_noon_is_there_in_every_month():
    months = FOUND["unfinished_day"]["naive_of_due_at_12_by_month"]
    assert list(months) == list(FOUND["by_month"])
    assert all(found["high"] < 0 for found in months.values())


def test_counting_due_flights_does_not_repair_the_mix_of_the_day():
    by_hour = FOUND["unfinished_day"]["by_hour"]
    assert all(found["due_of_left"]["high"] < 0 for found in by_hour.values())


def test_a_day_of_flags_leads_its_label_file_by_a_few_hours_at_most():
    assert 4 < FOUND["lead_hours"]["flag"]["min"] < FOUND["lead_hours"]["flag"]["max"] < 7


def test_the_flag_alone_rings_all_the_time():
    found = PROXIES["flag"]
    assert found["bias"]["excess"]["low"] > load(MonitorConfig).outcome.max_excess_loss
    assert found["alert"]["already"] >= ALERT["episodes"] - 1
    assert found["alert"]["days_false"] > 100


def test_the_flag_by_risk_does_not_ring_when_it_should():
    assert PROXIES["flag_by_risk"]["alert"]["days_missed"] > ALERT["days_firing"] / 2


def test_the_models_own_expectation_can_never_ring():
    assert PROXIES["own_risk"]["alert"]["own_episodes"] == 0
    assert PROXIES["own_risk"]["correlation"]["excess"] is None


def test_early_labels_follow_the_outcome_best():
    early = PROXIES["early_labels_by_risk"]["correlation_of_windows"]["excess"]
    others = ("flag", "flag_by_risk", "flag_less_its_offset")
    assert early > 0.98
    assert all(PROXIES[name]["correlation_of_windows"]["excess"] < 0.7 for name in others)


def test_clean_labels_agree_with_the_flags_and_flipped_ones_never_do():
    rule = load(MonitorConfig).outcome
    assert (AGREEMENT["limit"], AGREEMENT["balanced_limit"]) == (
        rule.min_agreement,
        rule.min_balanced_agreement,
    )
    assert AGREEMENT["min"] > rule.min_agreement
    assert AGREEMENT["balanced_min"] > rule.min_balanced_agreement
    assert AGREEMENT["false_alarms"] == 0
    assert AGREEMENT["poisoned"]["all flipped"]["caught_by_either"] == 1


def test_the_plain_share_does_not_see_labels_that_all_say_punctual_and_the_balanced_one_does():
    found = AGREEMENT["poisoned"]["all told punctual"]
    assert found["caught_by_agreement"] < 0.05 < 0.8 < found["caught_by_either"]


def test_a_hundred_thousand_events_are_folded_well_below_a_second():
    assert FOUND["fold"]["events"] == 100_000
    assert FOUND["fold"]["seconds"] < 0.7
