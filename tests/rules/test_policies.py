"""What the pages claim of the loop's year holds in what was measured, and no more than that."""

import json
from collections.abc import Callable

import pytest

from benchmarks.policies import alarms, firsts, monday, mondays
from docs.pages import find
from tests.rules import tree

pytestmark = pytest.mark.answer("when-to-retrain")

LOOP, POLICIES, CANDIDATES = (
    json.loads(tree.read(f"benchmarks/{name}.json")) for name in ("loop", "policies", "candidates")
)


def test_the_loop_surely_beats_a_champion_that_is_never_retrained(
    record_property: Callable[[str, object], None],
):
    assert LOOP["against_never"]["high"] < 0
    assert LOOP["against_never"]["weeks"] >= 39
    record_property(
        "log loss against never retraining, the upper end, in the recorded year",
        LOOP["against_never"]["high"],
    )


def test_it_surely_beats_monthly_retraining_without_a_gate():
    assert POLICIES["policies"]["monthly"]["loop"]["high"] < 0


def test_what_the_gate_and_the_rollout_cost_against_weekly_retraining_is_not_hidden():
    assert POLICIES["policies"]["weekly"]["loop"]["point"] <= 0.001
    page = find("closed-loop")
    place = "benchmarks/policies.json:policies.weekly.loop"
    assert page.figures["weekly"] == place
    assert place in page.numbers.values()


def test_no_promotion_hurt_and_those_that_were_worse_are_counted(
    record_property: Callable[[str, object], None],
):
    promoted = [attempt for attempt in LOOP["attempts"] if attempt["result"] == "promoted"]
    assert LOOP["promotions"] == len(promoted) >= 30
    worse = {a["on"]: a["after"] for a in promoted if a["after"] and a["after"]["low"] > 0}
    assert sorted(worse) == sorted(LOOP["surely_harmful"])
    assert [on for on, after in worse.items() if after["point"] > 0.002] == []
    record_property("promotions of the recorded year that were surely worse, by little", len(worse))


def test_a_challenger_that_was_compared_was_not_worse():
    compared = [a for a in LOOP["attempts"] if "not worse than champion" in a["gate"]]
    for attempt in compared:
        assert attempt["gate"]["not worse than champion"] <= 0, attempt["on"]


def test_every_decision_comes_out_again_from_the_journal():
    assert LOOP["not_decided_again"] == []
    assert LOOP["checks"]["retrain"] == len(LOOP["attempts"])


def test_the_year_takes_no_longer_and_no_more_memory_than_it_may():
    assert LOOP["seconds"] <= 60 * 60
    assert LOOP["peak_gb"] < 4


def test_both_records_are_of_the_same_year():
    assert POLICIES["loop_journal"] == LOOP["journal"]


@pytest.mark.parametrize("window", ["30 days", "60 days", "90 days"])
def test_forgetting_surely_costs_something_in_this_year(window):
    assert POLICIES["windows"][window]["against_all"]["low"] > 0


def test_nothing_that_surely_harms_would_go_live():
    assert CANDIDATES["surely_harmful"]
    assert CANDIDATES["of_these_live"] == []


def test_clean_rows_are_stopped_by_no_guard():
    assert CANDIDATES["clean_stopped_by_guards"] == []


def test_some_of_what_harms_passes_the_gate_and_is_stopped_by_a_guard():
    told = [of for case in CANDIDATES["cases"].values() for of in case.values()]
    blind = [of for of in told if of["against_clean"]["low"] > 0 and of["guards_that_refuse"]]
    assert any(of["gate"]["the first champion"] for of in blind)


def test_alarms_are_counted_by_weeks():
    found = alarms(["2013-06-18", "2013-06-19", "2013-07-01"], ["2013-06-17", "2013-06-24"])
    assert (found["right"], found["false"], found["missed"]) == (
        ["2013-06-17"],
        ["2013-07-01"],
        ["2013-06-24"],
    )
    assert monday("2013-06-23") == "2013-06-17"


def test_simpler_policies_train_on_their_days():
    assert firsts()[0] == "2013-05-01"
    assert len(firsts()) == 8
    assert mondays()[0] == "2013-04-08"
