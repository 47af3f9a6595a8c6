from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.rollout.analysis.decision import Decision
from pipeline.rollout.analysis.shadow import ShadowComparison, compare_pairs, decide_shadow
from pipeline.shared.config.rollout import RolloutConfig
from tests.rollout.edge import PLAN

pytestmark = pytest.mark.answer("which-rollout")

LOOKS = PLAN.shadow.looks


def days(mean, spread=0.004, number=28, **changes):
    """Days whose mean and spread are just these, in a fixed wild order."""
    wave = np.tile([1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 0.0], 20)[:number]
    return pd.DataFrame({"rows": 900, "worse_by": mean + spread * wave}).assign(**changes)


def outcome(table, refresh=True):
    return decide_shadow(PLAN, table, refresh).outcome


@pytest.mark.parametrize("number", [0, 1, 6])
@pytest.mark.parametrize("mean", [-1.0, 0.0, 1.0])
def test_before_the_first_look_nothing_is_decided(mean, number):
    decision = decide_shadow(PLAN, days(mean, number=number), refresh=True)
    assert (decision.outcome, decision.metrics) == ("hold", [])
    assert decision.reasons == [f"{number} days with labels, next look at 7"]


@pytest.mark.parametrize(
    ("mean", "refresh", "expected"),
    [
        (0.02, True, "rollback"),
        (0.02, False, "rollback"),
        (-0.02, True, "advance"),
        (-0.02, False, "advance"),
        (0.0, True, "advance"),
        (0.004, True, "advance"),
        (0.004, False, "inconclusive"),
        (0.0055, False, "inconclusive"),
    ],
)
@pytest.mark.answer("safe-rollout")
def test_the_last_look_ends_in_one_of_three_answers(mean, refresh, expected):
    assert outcome(days(mean), refresh) == expected


def test_surely_worse_than_the_one_margin_is_stopped_though_it_is_within_the_other():
    decision = decide_shadow(PLAN, days(0.007, 0.0005), refresh=True)
    worse, passes, _ = decision.metrics
    assert worse.alarmed
    assert passes.alarmed
    assert decision.outcome == "rollback"


def test_no_worse_is_not_better_and_better_needs_a_margin_of_nothing():
    def better(mean):
        return decide_shadow(PLAN, days(mean), refresh=True).metric("better").alarmed

    assert not better(0.0)
    assert not better(0.003)
    assert better(-0.05)


def test_between_looks_the_last_look_speaks():
    noisy = days(0.0, 0.05, 20)
    decision = decide_shadow(PLAN, noisy, refresh=True)
    assert decision.outcome == "hold"
    assert {metric.seen for metric in decision.metrics} == {14}
    assert decision.reasons[-1] == "20 days with labels, next look at 21"


def test_what_an_early_look_decided_stands_whatever_came_after():
    late = days(0.5, number=28)
    late.loc[7:, "worse_by"] = -0.5
    decision = decide_shadow(PLAN, late, refresh=True)
    assert decision.outcome == "rollback"
    assert decision == decide_shadow(PLAN, late[:13], refresh=True).model_copy(
        update={"reasons": decision.reasons}
    )


def test_a_wave_that_the_first_look_may_not_believe_is_believed_later():
    table = days(0.0125, 0.006, 28)
    assert [outcome(table[:look]) for look in LOOKS] == ["hold", "rollback", "rollback", "rollback"]


def test_days_without_flights_or_loss_are_left_out_and_told():
    table = days(0.02, number=9)
    table.loc[2, "worse_by"] = float("nan")
    table.loc[4, "rows"] = 0
    decision = decide_shadow(PLAN, table, refresh=True)
    assert decision.metric("worse").seen == 7
    assert decision.metric("worse").challenger.of == 7 * 900
    assert decision.reasons[-1] == "2 of 9 days without flights or loss left out"
    assert decide_shadow(PLAN, table[:8], refresh=True).outcome == "hold"


def test_identical_models_pass_at_the_first_look_and_are_not_called_better():
    decision = decide_shadow(PLAN, days(0.0, 0.0), refresh=False)
    assert (decision.outcome, decision.metric("passes").seen) == ("advance", 7)
    assert not decision.metric("better").alarmed
    assert outcome(days(0.006, 0.0)) == "rollback"


def test_the_interval_has_the_ends_that_were_tested():
    decision = decide_shadow(PLAN, days(0.004, 0.01), refresh=False)
    worse, passes, _ = decision.metrics
    x = days(0.004, 0.01)["worse_by"]
    error = x.std() / np.sqrt(28)
    assert worse.low == pytest.approx(x.mean() - stats.t.isf(0.0427, 27) * error, abs=1e-5)
    assert passes.high == pytest.approx(x.mean() + stats.t.isf(0.0220, 27) * error, abs=1e-5)
    assert worse.estimate == pytest.approx(x.mean(), rel=1e-5)


def test_a_decision_that_was_written_is_read_as_the_same_and_made_again():
    decision = decide_shadow(PLAN, days(0.01), refresh=False)
    read = Decision.model_validate_json(decision.model_dump_json())
    assert read == decision == decide_shadow(PLAN, days(0.01), read.refresh)


def test_looks_rise():
    values = PLAN.model_dump()
    values["shadow"]["looks"] = [14, 7]
    with pytest.raises(ValueError, match=r"looks \[14, 7\] do not rise"):
        RolloutConfig.model_validate(values)


# At once, without labels.


def pairs(rows=400, **changes):
    risk = np.linspace(0.1, 0.9, rows)
    return pd.DataFrame(
        {
            "at": np.arange(rows, dtype="float64"),
            "challenger_code": 200,
            "champion_code": 200,
            "challenger_seconds": 0.02,
            "champion_seconds": 0.01,
            "challenger_risk": risk,
            "champion_risk": risk,
        }
    ).assign(**changes)


def codes(rows, failed):
    return np.where(np.arange(rows) < failed, 500, 200)


def test_the_same_model_says_the_same():
    found = compare_pairs(PLAN, pairs())
    assert (found.pairs, found.both_answered, found.equal, found.ks) == (400, 400, 1, 0)
    assert (found.moved_mean, found.moved, found.failed_alone) == (0, [0, 0, 0], (0, 0))
    assert found.seconds == ([0.02] * 3, [0.01] * 3)
    assert found.enough


@pytest.mark.answer("canary-decides")
def test_a_stall_that_fails_or_slows_many_pairs_at_once_is_one_event():
    table = pairs(challenger_code=codes(400, 30))
    assert compare_pairs(PLAN, table).fails_more
    stall = compare_pairs(PLAN, table.assign(at=np.where(table["at"] < 30, 0.001, 1) * table["at"]))
    assert (stall.failed_alone, stall.failure_events) == ((30, 0), (1, 0))
    assert not stall.fails_more


def test_the_slower_side_is_told_by_blocks_of_time():
    apart = compare_pairs(PLAN, pairs(20))
    assert (apart.slower_blocks, apart.p_slower < 1e-3) == ((20, 0), True)
    at_once = compare_pairs(PLAN, pairs(20).assign(at=np.arange(20) / 100))
    assert (at_once.slower_blocks, at_once.p_slower) == ((1, 0), pytest.approx(2 / 3, abs=0.01))
    equal = compare_pairs(PLAN, pairs(20, champion_seconds=0.02))
    assert (equal.slower_blocks, equal.p_slower) == ((0, 0), 1.0)


def test_a_moved_risk_is_seen_pair_by_pair_and_as_a_distribution():
    table = pairs()
    found = compare_pairs(PLAN, table.assign(challenger_risk=table["champion_risk"] + 0.1))
    assert found.equal == 0
    assert found.moved_mean == pytest.approx(0.1)
    expected = stats.ks_2samp(table["champion_risk"] + 0.1, table["champion_risk"]).statistic
    assert found.ks == pytest.approx(expected, abs=1e-5)


def test_the_same_risks_for_other_flights_show_only_pair_by_pair(
    record_property: Callable[[str, object], None],
):
    table = pairs()
    found = compare_pairs(
        PLAN, table.assign(challenger_risk=table["champion_risk"].to_numpy()[::-1])
    )
    assert found.ks == 0
    assert found.moved_mean == pytest.approx(0.4, abs=0.01)
    record_property("mean move of the risks, pair by pair", found.moved_mean)
    record_property("distance of the distributions of the same risks (KS)", found.ks)


@pytest.mark.parametrize(("failed", "more"), [(8, False), (9, True)])
@pytest.mark.answer("safe-rollout")
def test_failures_count_where_one_of_the_two_had_them_alone(failed, more):
    found = compare_pairs(PLAN, pairs(challenger_code=codes(400, failed)))
    assert (found.failed_alone, found.fails_more) == ((failed, 0), more)
    both = pairs(challenger_code=codes(400, 200), champion_code=codes(400, 200))
    assert compare_pairs(PLAN, both).failed_alone == (0, 0)
    assert not compare_pairs(PLAN, both).fails_more


def test_too_few_pairs_are_said_to_be_too_few_and_none_compare_nothing():
    assert not compare_pairs(PLAN, pairs(199)).enough
    none = compare_pairs(PLAN, pairs(50, challenger_code=0))
    assert (none.both_answered, none.seconds, none.risk, none.ks) == (0, None, None, None)
    assert compare_pairs(PLAN, pairs()[:0]).pairs == 0


def test_a_risk_that_is_none_is_compared_with_nothing():
    table = pairs()
    table.loc[:9, "challenger_risk"] = float("nan")
    found = compare_pairs(PLAN, table)
    assert found.moved_mean == 0
    assert ShadowComparison.model_validate_json(found.model_dump_json()) == found
