"""What the pages say about the whole year is what benchmarks/year.json measured."""

import json

from tests.rules import tree

YEAR = json.loads(tree.read("benchmarks/year.json"))
CHAMPION = YEAR["champion_april_to_december"]
MONTHS = {name: value for name, value in CHAMPION.items() if name.startswith("2013-")}


def test_the_champion_reaches_what_it_must_on_the_nine_months_after_its_training():
    assert CHAMPION["flights"] == 255_987
    assert CHAMPION["roc_auc"] >= 0.755
    assert CHAMPION["log_loss"] <= 0.490


def test_a_year_of_features_fits_ten_seconds_and_two_gigabytes():
    assert YEAR["seconds_for_the_year"]["features"] <= 10
    assert YEAR["peak_memory_gb"] <= 2


def test_the_largest_drift_of_the_year_comes_with_the_lowest_loss():
    drifted = max(MONTHS, key=lambda month: MONTHS[month]["prediction_psi"])
    assert drifted == "2013-09"
    assert drifted == min(MONTHS, key=lambda month: MONTHS[month]["log_loss"])


def test_an_interval_over_days_is_several_times_wider_than_one_over_flights():
    assert YEAR["half_width_of_the_interval_april"]["ratio"] >= 3


def test_monotone_constraints_cost_no_accuracy_and_repair_the_direction():
    found = YEAR["monotone_constraints"]
    assert found["with"]["log_loss"] <= found["without"]["log_loss"]
    assert found["with"]["risk_falls_with_wind"] == 0 < found["without"]["risk_falls_with_wind"]


def test_default_settings_call_half_of_the_inputs_drifted_even_within_training():
    assert min(YEAR["share_drifted_by_default_settings"].values()) >= 0.5
