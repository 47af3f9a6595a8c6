import json
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.decision import Decision, Position, plan_hash
from pipeline.shared.config.rollout import RolloutConfig
from tests.rollout.edge import LAST, NOW, PLAN, SAME, START, STEPS, bad, requests, whole

pytestmark = pytest.mark.answer("canary-decides")

CLEAN = requests()
RATES = ["errors", "slow", "missing", "stale", "fallback"]
FAULTS = {
    "errors": {"code": 503, "logged": False, "risk": float("nan")},
    "slow": {"seconds": 0.5},
    "missing": {"missing": True},
    "stale": {"stale": True},
    "fallback": {"release": "v1"},
}


def judge(observed, at=NOW, start=START, plan=PLAN):
    return decide_canary(plan, start, observed, at)


def alarms(decision):
    return [metric.name for metric in decision.metrics if metric.alarmed]


def trips(decision):
    return [breaker.name for breaker in decision.breakers if breaker.tripped]


def changed(**canary):
    values = PLAN.model_dump()
    return RolloutConfig.model_validate(values | {"canary": values["canary"] | canary})


# Clean data pass, step by step.


@pytest.mark.parametrize("start", [START, SAME])
@pytest.mark.answer("safe-rollout")
def test_a_clean_canary_goes_on_at_every_step_and_is_promoted_at_the_last(start):
    seen = whole()
    for number, expected in enumerate(["advance", "advance", "promote"]):
        at = Position(step=number, days=3 * number, days_at_step=3)
        decision = judge(seen[seen["step"] <= number], at, start)
        assert (decision.outcome, alarms(decision), trips(decision)) == (expected, [], [])


def test_no_request_at_all_is_no_reason_to_go_on():
    decision = judge(CLEAN[:0])
    assert decision.outcome == "hold"
    assert {metric.estimate for metric in decision.metrics} == {None}
    assert decision.reasons[0] == "0 requests of the smaller arm in step 0, needed 30"


@pytest.mark.answer("safe-rollout")
def test_a_step_needs_its_days_however_many_requests_came():
    decision = judge(CLEAN, Position(step=0, days=0.9, days_at_step=0.9))
    assert (decision.outcome, decision.reasons) == ("hold", ["0.9 days in step 0, needed 1"])


def test_a_step_needs_requests_of_its_own_in_both_arms():
    few = pd.concat([requests(step=0), requests(700, step=1)])
    at = Position(step=1, days=4, days_at_step=3)
    lacking = judge(few, at)
    smaller = few[few["step"] == 1]["arm"].value_counts().min()
    assert lacking.outcome == "hold"
    assert lacking.reasons[0] == f"{smaller} requests of the smaller arm in step 1, needed 400"
    assert lacking.metric("errors").seen == smaller
    assert judge(pd.concat([few, requests(200, step=1, seed=2)]), at).outcome == "advance"


# Every guard alone, and only it.


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("least", [True, False])
def test_each_rate_alarms_alone_and_just_at_the_number_that_its_alpha_asks_for(name, least):
    needed = 9 if name in ("errors", "slow") else 11
    decision = judge(bad(CLEAN, "challenger", needed - (not least), **FAULTS[name]))
    assert alarms(decision) == ([name] if least else [])
    assert decision.outcome == ("rollback" if least else "advance")
    assert trips(decision) == []


@pytest.mark.parametrize("name", RATES)
def test_a_fault_that_the_control_has_too_is_not_the_challengers(name):
    to = FAULTS[name] if name != "fallback" else {"release": "v0"}
    both = bad(bad(CLEAN, "challenger", 20, **to), "control", 20, **to)
    assert judge(both).outcome == "advance"


@pytest.mark.parametrize("name", RATES)
def test_a_fault_of_the_control_alone_stops_nothing(name):
    to = FAULTS[name] if name != "fallback" else {"release": "v2"}
    assert judge(bad(CLEAN, "control", 40, **to)).outcome == "advance"


@pytest.mark.parametrize("code", [0, 199, 300, 404, 422, 500, 503])
def test_whatever_is_no_success_is_an_error(code):
    decision = judge(bad(CLEAN, "challenger", 20, code=code))
    assert alarms(decision) == ["errors"]
    assert decision.reasons[0].startswith("errors: challenger 20 of 1,")
    assert "control 0 of 1," in decision.reasons[0]


def test_a_request_without_a_time_was_not_fast():
    assert alarms(judge(bad(CLEAN, "challenger", 20, seconds=float("nan")))) == ["slow"]
    never = judge(CLEAN.assign(seconds=float("nan"))).metric("slow")
    assert never.challenger.bad == never.challenger.of == (CLEAN["arm"] == "challenger").sum()
    assert never.seen == 0


def test_a_rate_may_be_as_many_times_the_controls_as_the_plan_says():
    rails = PLAN.model_dump()["canary"]["guardrails"]
    lax = changed(guardrails=rails | {"errors": rails["errors"] | {"max_ratio": 3.0}})
    tripled = bad(bad(CLEAN, "challenger", 36, code=500), "control", 12, code=500)
    assert judge(tripled).outcome == "rollback"
    assert judge(tripled, plan=lax).outcome == "advance"
    assert alarms(judge(bad(CLEAN, "challenger", 36, code=500), plan=lax)) == ["errors"]


def test_the_score_stops_a_redeploy_of_the_same_model_and_only_that():
    mine = CLEAN["arm"] == "challenger"
    moved = CLEAN.assign(risk=CLEAN["risk"] + 0.05 * mine)
    assert alarms(judge(moved, start=SAME)) == ["score"]
    assert alarms(judge(moved.assign(risk=CLEAN["risk"] - 0.05 * mine), start=SAME)) == ["score"]
    retrained = judge(moved)
    assert retrained.outcome == "advance"
    assert retrained.metric("score").p is None
    assert retrained.metric("score").estimate == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("arm", ["challenger", "control"])
def test_unequal_arms_pause_and_never_pass(arm):
    chance = np.random.default_rng(1)
    lost = CLEAN[(CLEAN["arm"] != arm) | (chance.random(len(CLEAN)) < 0.7)]
    decision = judge(lost)
    assert (decision.outcome, alarms(decision)) == ("pause", ["sample_ratio"])


def test_a_worse_challenger_is_stopped_though_the_arms_are_unequal_too():
    lost = CLEAN[(CLEAN["arm"] == "challenger") | (CLEAN.index % 2 == 0)]
    decision = judge(bad(lost, "challenger", 20, code=500))
    assert decision.outcome == "rollback"
    assert alarms(decision) == ["errors", "sample_ratio"]
    assert len(decision.reasons) == 2


# Breakers: no sample size, no control.


def first_of(frame, arm, many, **to):
    changed = frame.copy()
    for name, value in to.items():
        changed.loc[np.flatnonzero(frame["arm"] == arm)[:many], name] = value
    return changed


@pytest.mark.parametrize(("failed", "expected"), [(15, "rollback"), (14, "advance")])
def test_three_in_four_of_twenty_requests_in_a_row_failing_is_the_end(failed, expected):
    """The control fails as often, so that nothing but the breaker could say it."""
    seen = first_of(first_of(CLEAN, "challenger", failed, code=0), "control", failed, code=0)
    decision = judge(seen)
    assert decision.outcome == expected
    assert trips(decision) == (["failed of 20 in a row"] if failed == 15 else [])


def test_failures_that_are_not_within_twenty_requests_do_not_trip_the_breaker():
    spread = bad(bad(CLEAN, "challenger", 30, code=500), "control", 30, code=500)
    assert judge(spread).outcome == "advance"


def test_the_breaker_needs_no_more_than_the_failures_themselves():
    few = CLEAN[CLEAN["arm"] == "challenger"][:15].assign(code=0)
    assert judge(few).outcome == "rollback"


@pytest.mark.answer("safe-rollout")
def test_a_challenger_that_is_gone_is_the_end_though_nothing_was_seen():
    decision = judge(CLEAN[:0], NOW.model_copy(update={"alive": False}))
    assert (decision.outcome, trips(decision)) == ("rollback", ["challenger process gone"])


@pytest.mark.parametrize("risk", [-0.01, 1.01, float("nan"), float("inf")])
def test_one_answer_that_is_no_probability_is_the_end(risk):
    decision = judge(bad(CLEAN, "challenger", 1, risk=risk))
    assert (decision.outcome, trips(decision)) == ("rollback", ["answers that are no probability"])
    assert judge(bad(CLEAN, "control", 1, risk=risk)).outcome == "advance"


LOST = {"logged": False, "risk": float("nan"), "parity": float("nan")}
"""What is known of an answer that the servers' log lacks."""


@pytest.mark.parametrize("arm", ["challenger", "control"])
@pytest.mark.answer("safe-rollout")
def test_an_answer_that_the_log_lacks_is_no_risk_that_is_none(arm):
    decision = judge(bad(CLEAN, arm, 10, **LOST))
    assert (decision.outcome, alarms(decision), trips(decision)) == ("advance", [], [])


@pytest.mark.parametrize("arm", ["challenger", "control"])
def test_too_many_answers_that_the_log_lacks_pause_and_roll_nothing_back(arm):
    rule, answers = PLAN.canary.unlogged, int((CLEAN["arm"] == arm).sum())
    allowed = max(rule.fewest, int(rule.share * answers))
    assert judge(bad(CLEAN, arm, allowed, **LOST)).outcome == "advance"
    decision = judge(bad(CLEAN, arm, allowed + 1, **LOST))
    assert decision.outcome == "pause"
    told = f"{allowed + 1} of {answers} answers of the {arm} are not in the servers' log"
    assert decision.reasons[0].startswith(told)


def test_a_server_whose_answers_are_never_logged_never_passes():
    seen = whole()
    mine = seen["arm"] == "challenger"
    blind = seen.assign(
        logged=~mine, risk=seen["risk"].mask(mine), parity=seen["parity"].mask(mine)
    )
    assert judge(blind, LAST).outcome == "pause"


def test_evidence_of_before_that_says_nothing_of_the_log_is_judged_as_it_was():
    old = CLEAN.drop(columns="logged")
    assert judge(old) == judge(CLEAN)
    assert trips(judge(bad(old, "challenger", 1, risk=float("nan")))) == [
        "answers that are no probability"
    ]


@pytest.mark.parametrize("risk", [0.0, 1.0])
def test_a_risk_of_zero_or_one_is_a_probability(risk):
    assert trips(judge(bad(CLEAN, "challenger", 1, risk=risk))) == []


@pytest.mark.parametrize(("many", "expected"), [(2, "advance"), (3, "rollback")])
def test_two_answers_may_be_unlike_the_recomputed_ones_and_three_are_the_end(many, expected):
    decision = judge(bad(CLEAN, "challenger", many, parity=2e-5))
    assert decision.outcome == expected
    assert trips(judge(bad(CLEAN, "challenger", 20, parity=1e-5))) == []
    assert trips(judge(bad(CLEAN, "control", 20, parity=1.0))) == []


# No control, no judgement.


def test_a_control_of_another_time_is_no_control():
    """All of the control's requests, then all of the challenger's: as before and after."""
    mine = CLEAN["arm"] == "challenger"
    before = pd.concat([CLEAN[~mine], bad(CLEAN, "challenger", 30, code=500)[mine]])
    decision = judge(before.assign(at=np.arange(float(len(before)))))
    assert decision.outcome == "pause"
    assert "are one arm's, by chance at most 40" in decision.reasons[0]


def test_without_a_control_there_is_no_answer():
    mine = CLEAN[CLEAN["arm"] == "challenger"]
    assert judge(mine).outcome == "pause"
    assert judge(mine[:20]).outcome == "hold"


@pytest.mark.answer("safe-rollout")
def test_a_breaker_needs_no_control():
    alone = CLEAN[CLEAN["arm"] == "challenger"].assign(code=0)
    assert judge(alone).outcome == "rollback"


def test_a_flight_in_both_arms_means_that_the_arms_are_not_sticky():
    other = CLEAN[:1].assign(arm={"challenger": "control"}.get(CLEAN["arm"][0], "challenger"))
    decision = judge(pd.concat([CLEAN, other]))
    assert decision.outcome == "pause"
    assert decision.reasons == ["1 flights were in both arms, allowed 0: arms must be sticky"]


# Who counts.


@pytest.mark.parametrize("arm", ["tester", "champion", None, ""])
def test_testers_and_other_traffic_are_nobodys_arm(arm):
    others = requests(seed=9).assign(arm=arm, code=500, parity=1.0, risk=7.0)
    mixed = pd.concat([others[:1500], CLEAN, others[1500:]])
    assert judge(mixed) == judge(CLEAN)


def test_a_retry_is_the_same_flight_once_more():
    failing = bad(CLEAN, "challenger", 5, code=500)
    retried = failing.loc[failing.index.repeat(np.where(failing["code"] == 500, 4, 1))]
    assert judge(retried) == judge(failing)
    assert judge(retried).metric("errors").challenger.bad == 5


def test_a_flight_counts_as_its_first_request_did():
    again = bad(CLEAN, "challenger", 20, code=500)
    assert judge(pd.concat([CLEAN, again])).outcome == "advance"
    assert judge(pd.concat([again, CLEAN])).outcome == "rollback"


@pytest.mark.parametrize("flag", [None, True])
def test_an_unanswered_request_is_an_error_and_nothing_else(flag):
    to = {"code": 0, "risk": float("nan"), "missing": flag, "stale": flag, "release": ""}
    decision = judge(bad(CLEAN.astype({"missing": object, "stale": object}), "challenger", 8, **to))
    asked = decision.metric("errors").challenger.of
    assert [decision.metric(n).challenger.of for n in RATES[2:]] == [asked - 8] * 3
    assert (decision.outcome, trips(decision)) == ("advance", [])
    assert decision.metric("errors").challenger.bad == 8
    assert [decision.metric(name).challenger.bad for name in RATES[1:]] == [0] * 4


# What was not seen does not pass.

BLIND = {
    "slow": {"seconds": float("nan")},
    "missing": {"missing": None},
    "stale": {"stale": float("nan")},
}


@pytest.mark.parametrize("name", BLIND)
def test_a_required_metric_that_saw_nothing_never_lets_pass(name):
    blind = whole().assign(**BLIND[name])
    decision = judge(blind, LAST)
    assert decision.outcome == "hold"
    assert f"{name} seen 0 times in the arm that shows less, needed 1200" in decision.reasons
    late = judge(blind, LAST.model_copy(update={"days": 14}))
    assert late.outcome == "inconclusive"
    assert late.reasons[0] == "14 days of at most 14 in step 2"


def test_a_metric_that_is_not_required_may_be_blind():
    rails = PLAN.model_dump()["canary"]["guardrails"]
    lax = changed(guardrails=rails | {"stale": rails["stale"] | {"required": False}})
    assert judge(whole().assign(stale=None), LAST, plan=lax).outcome == "promote"


def test_parity_that_was_not_compared_never_lets_pass():
    decision = judge(whole().assign(parity=float("nan")), LAST)
    assert decision.outcome == "hold"
    assert decision.reasons == ["0 answers compared with recomputed ones, needed 1200"]


def test_a_redeploy_whose_risks_nobody_sees_never_passes():
    seen = whole()
    blind = seen.assign(risk=seen["risk"].where(seen["arm"] == "challenger"))
    decision = judge(blind, LAST, SAME)
    assert decision.outcome == "hold"
    assert decision.reasons == ["score seen 0 times in the arm that shows less, needed 1200"]
    assert judge(blind, LAST, START).outcome == "promote"


@pytest.mark.answer("safe-rollout")
def test_the_last_day_ends_a_canary_that_is_not_done():
    few = requests(100)
    assert judge(few, Position(step=1, days=13.9, days_at_step=9)).outcome == "hold"
    assert judge(few, Position(step=1, days=14, days_at_step=9)).outcome == "inconclusive"
    assert judge(CLEAN, Position(step=0, days=14, days_at_step=14)).outcome == "inconclusive"
    assert judge(whole(), LAST.model_copy(update={"days": 14})).outcome == "promote"


# Evidence is kept, and does not depend on when one looks.


def test_an_alarm_of_an_earlier_step_is_not_forgotten():
    failed = bad(requests(step=0), "challenger", 20, code=500)
    calm = [bad(requests(step=k), "control", 40, code=500) for k in (1, 2)]
    decision = judge(pd.concat([failed, *calm]), LAST)
    assert decision.outcome == "rollback"
    assert decision.metric("errors").low < 0.5


def test_bad_requests_of_two_steps_add_up():
    parts = [bad(requests(step=step), "challenger", 5, code=500) for step in (0, 1)]
    assert judge(pd.concat(parts), Position(step=1, days=3, days_at_step=2)).outcome == "rollback"


def test_the_answer_does_not_depend_on_how_often_one_looks():
    """The first look that rolls back is the first after the request that a later look names."""
    seen = bad(CLEAN, "challenger", 20, first=3, code=500)
    named = judge(seen).metric("errors").alarmed_at
    mine = np.cumsum(seen["arm"] == "challenger")
    for size in range(0, 1500, 50):
        stopped = judge(seen[:size]).outcome == "rollback"
        assert stopped is bool(size and mine[size - 1] >= named)


# Reports and records.


def test_slices_are_reported_and_never_decide():
    decision = judge(bad(CLEAN, "challenger", 8, code=500, origin="EWR"))
    assert decision.outcome == "advance"
    by_name = {rates.name: rates for rates in decision.slices}
    assert list(by_name) == [
        *("origin EWR", "origin JFK", "origin LGA"),
        *("hour_band 00-08", "hour_band 09-12"),
    ]
    assert by_name["origin EWR"].bad["errors"] == (8, 0)
    assert by_name["origin JFK"].bad["errors"] == (0, 0)
    assert sum(rates.challenger + rates.control for rates in decision.slices) == 2 * len(CLEAN)


def test_a_decision_that_was_written_is_read_as_the_same_and_made_again():
    seen = bad(CLEAN, "challenger", 20, code=500, risk=float("nan"), parity=float("nan"))
    decision = judge(seen, start=SAME)
    written = json.dumps(json.loads(decision.model_dump_json()))
    read = Decision.model_validate_json(written)
    assert read == decision
    assert decide_canary(PLAN, read.start, seen, read.at) == read


def test_the_order_of_columns_and_the_index_do_not_matter_and_nothing_is_changed():
    seen = bad(CLEAN, "challenger", 6, code=500)
    before = seen.copy()
    other = seen[sorted(seen.columns)].set_index(np.arange(len(seen))[::-1])
    assert judge(other) == judge(seen)
    assert seen.equals(before)


def test_a_plan_is_named_by_its_values():
    same = RolloutConfig.model_validate_json(PLAN.model_dump_json())
    assert plan_hash(same) == plan_hash(PLAN) == judge(CLEAN).plan
    assert plan_hash(changed(max_days=13)) != plan_hash(PLAN)


def test_every_alarm_has_a_part_of_alpha_and_together_they_spend_it():
    decision = judge(CLEAN, start=SAME)
    assert {m.name: m.alpha for m in decision.metrics} == PLAN.canary.alphas
    assert sum(m.alpha for m in decision.metrics) == pytest.approx(PLAN.canary.total_alpha)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"total_alpha": 0.04}, r"the alphas add up to 0\.\d+, total_alpha is 0.04"),
        ({"steps": [dict(STEPS[1]), dict(STEPS[0])]}, r"weights \[25, 5\] do not rise"),
        ({"fast_track": [dict(STEPS[1]), dict(STEPS[0])]}, r"weights \[25, 5\] do not rise"),
        ({"steps": [dict(STEPS[0]) | {"set_weight": 51}]}, "less than or equal to 50"),
        ({"max_days": 5}, "the steps take 6.0 days, max_days is 5.0"),
        ({"breakers": {"failing": {"failed": 21, "of": 20}}}, "21 failures are more than 20"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        changed(**change)


def test_the_work_of_a_decision_grows_no_faster_than_its_requests():
    """Counted in calls, which do not depend on the machine."""

    def calls(rows: int) -> int:
        many = requests(rows).assign(code=np.where(np.arange(rows) % 97 == 0, 500, 200))
        judge(many)
        count = 0

        def called(_frame: object, event: str, _arg: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(called)
        try:
            judge(many)
        finally:
            sys.setprofile(None)
        return count

    some, twice, four_times = (calls(rows) for rows in (10_000, 20_000, 40_000))
    assert twice < 2.2 * some
    assert four_times < 2.2 * twice


def test_a_refresh_on_the_fast_track_has_steps_of_its_own_and_all_else_alike():
    plan = PLAN
    fast = plan.on_fast_track()
    assert fast.canary.steps == plan.canary.fast_track != plan.canary.steps
    assert sum(step.days for step in fast.canary.steps) <= 1
    assert fast.model_copy(update={"canary": plan.canary}) == plan
    assert fast.canary.model_copy(update={"steps": plan.canary.steps}) == plan.canary
    assert plan_hash(fast) != plan_hash(plan)
