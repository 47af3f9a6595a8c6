from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.retrain.policy import (
    Attempt,
    PolicyCheck,
    RetrainingSignals,
    decide_retraining,
    differing_decisions,
    is_check_day,
)
from pipeline.shared.config.loading import load
from pipeline.shared.config.retrain import RetrainConfig

pytestmark = pytest.mark.answer("when-to-retrain")

POLICY = load(RetrainConfig).policy
MONDAY = pd.Timestamp("2013-06-17 10:00", tz="UTC")


def signals(**changes):
    quiet = {
        "at": "2013-06-17T10:00Z",
        "champion": "1",
        "trained_until": "2013-06-11",
        "served_since": "2013-06-13",
        "fresh_labels": 20_000,
        "outcome": "quiet",
        "outcome_reasons": [],
        "excess": 0.001,
        "gap": -0.002,
        "labels_stale": False,
        "labels_age_hours": 0.0,
        "broken": [],
        "skew": 0,
        "prediction_psi": 0.05,
        "drift": "quiet",
    }
    return RetrainingSignals.model_validate(quiet | changes)


ALERT = {"outcome": "alert", "outcome_reasons": ["log loss is +0.0300 above its own, limit 0.02"]}
BROKEN = {"broken": ["flights a day: 0.2, limit 0.5"]}


def attempt(on, result="promoted", trained=True):
    return Attempt(at=f"2013-{on}T10:00Z", as_of=f"2013-{on}", result=result, trained=trained)


TEN = ("04-29", "05-06", "05-13", "05-20", "05-27", "05-30", "06-03", "06-06", "06-10")
"""With one before them as many trainings as the budget has."""
WORSE = {"point": 0.002, "low": 0.0001, "high": 0.0041, "days": 28}

CASES = {
    "nothing calls for it": ({}, [], "hold", []),
    "the outcome fell": (ALERT, [], "retrain", ["outcome"]),
    "too few labels say how the outcome is": ({"outcome": "not known"}, [], "hold", []),
    "drift alone": ({"drift": "alert", "prediction_psi": 0.59}, [], "hold", []),
    "a diagnosis says that a refit helps": (
        {"diagnosis": "covariate shift", "diagnosed_act": "retrain"},
        [],
        "retrain",
        ["diagnosis"],
    ),
    "a diagnosis says hold": ({"diagnosis": "no shift", "diagnosed_act": "hold"}, [], "hold", []),
    "the champion's labels are 7 days old": (
        {"trained_until": "2013-06-10"},
        [],
        "retrain",
        ["schedule"],
    ),
    "they are 6 days old": ({"trained_until": "2013-06-11"}, [], "hold", []),
    "as many new labels as the limit": ({"fresh_labels": 60_000}, [], "retrain", ["volume"]),
    "one fewer": ({"fresh_labels": 59_999}, [], "hold", []),
    "too few new labels": (ALERT | {"fresh_labels": 4_999}, [], "hold", ["outcome"]),
    "just enough new labels": (ALERT | {"fresh_labels": 5_000}, [], "retrain", ["outcome"]),
    "6 days after a promotion": (ALERT, [attempt("06-11")], "hold", ["outcome"]),
    "7 days after a promotion": (ALERT, [attempt("06-10")], "retrain", ["outcome"]),
    "6 days after a refusal": (
        ALERT,
        [attempt("06-11", "refused by the gate")],
        "hold",
        ["outcome"],
    ),
    "7 days after a refusal": (
        ALERT,
        [attempt("06-10", "refused by the gate")],
        "retrain",
        ["outcome"],
    ),
    "broken data, though the outcome fell": (ALERT | BROKEN, [], "block", ["outcome"]),
    "broken data, and nothing else": (BROKEN, [], "block", []),
    "answers that rest on other features": (ALERT | {"skew": 1}, [], "block", ["outcome"]),
    "a label feed that is late": (
        ALERT | {"labels_stale": True, "labels_age_hours": 58.0},
        [],
        "block",
        ["outcome"],
    ),
    "no label ever came": ({"labels_stale": True, "labels_age_hours": None}, [], "block", []),
    "a diagnosis that a refit does not mend": (
        ALERT | {"diagnosis": "concept shift", "diagnosed_act": "escalate"},
        [],
        "escalate",
        ["outcome"],
    ),
    "refused, and the relation has moved": (
        ALERT | {"diagnosis": "concept shift", "diagnosed_act": "hold"},
        [attempt("05-27", "refused by the gate")],
        "escalate",
        ["outcome"],
    ),
    "the refreshes made it surely worse": (
        {"refreshed": WORSE, "trained_until": "2013-06-10"},
        [],
        "escalate",
        ["schedule"],
    ),
    "the refreshes may have made it worse": (
        {"refreshed": WORSE | {"low": -0.0001}, "trained_until": "2013-06-10"},
        [],
        "retrain",
        ["schedule"],
    ),
    "promoted, and the relation has moved": (
        ALERT | {"diagnosis": "concept shift", "diagnosed_act": "hold"},
        [attempt("05-27")],
        "retrain",
        ["outcome"],
    ),
    "the budget is spent": (
        ALERT,
        [attempt(on, "refused by the gate") for on in ("04-23", *TEN)],
        "escalate",
        ["outcome"],
    ),
    "the first of ten was 56 days ago": (
        ALERT,
        [attempt(on, "refused by the gate") for on in ("04-22", *TEN)],
        "retrain",
        ["outcome"],
    ),
    "attempts that trained nothing cost nothing": (
        ALERT,
        [attempt(on, "refused data", False) for on in ("04-23", *TEN)],
        "retrain",
        ["outcome"],
    ),
}


@pytest.mark.parametrize(("changes", "before", "action", "triggers"), CASES.values(), ids=CASES)
def test_decide(changes, before, action, triggers):
    decision = decide_retraining(signals(**changes), before, POLICY)
    assert (decision.action, decision.triggers) == (action, triggers)
    assert decision.reasons
    assert all(decision.reasons)


def test_drift_without_loss_is_named_as_no_reason():
    (reason,) = decide_retraining(signals(drift="alert", prediction_psi=0.587), [], POLICY).reasons
    assert "drift alone (PSI 0.587) is no reason to train" in reason


@pytest.mark.parametrize("case", ["6 days after a promotion", "too few new labels"])
def test_what_forbids_it_is_told_with_both_numbers(case):
    changes, before, *_ = CASES[case]
    (reason,) = decide_retraining(signals(**changes), before, POLICY).reasons
    assert ("6 days" in reason and "7" in reason) or ("4,999" in reason and "5,000" in reason)


def test_an_outcome_that_is_not_to_call_does_not():
    off = POLICY.model_copy(update={"outcome_alert": False, "max_age_days": None})
    assert decide_retraining(signals(**ALERT, trained_until="2013-01-31"), [], off).action == "hold"


def test_the_policy_is_asked_on_its_weekday():
    days = [MONDAY + pd.Timedelta(days=n) for n in range(7)]
    assert [is_check_day(day, POLICY) for day in days] == [True, *[False] * 6]


def random_signals(rng, day, trained_until):
    return signals(
        at=f"{day:%Y-%m-%dT%H:%MZ}",
        trained_until=trained_until,
        fresh_labels=int(rng.integers(0, 80_000)),
        outcome=str(rng.choice(["alert", "quiet", "not known"])),
        outcome_reasons=["the loss is high"],
        skew=int(rng.random() < 0.05),
        labels_stale=bool(rng.random() < 0.05),
        drift=str(rng.choice(["quiet", "warn", "alert"])),
        prediction_psi=float(rng.random()),
    )


@pytest.mark.parametrize("seed", range(30))
def test_over_a_year_nothing_is_trained_too_soon_too_often_or_on_broken_data(
    seed, record_property: Callable[[str, object], None]
):
    rng, attempts, trained_until = np.random.default_rng(seed), [], "2013-03-31"
    broken = []
    for day in pd.date_range("2013-04-08 10:00", "2013-12-30 10:00", freq="7D", tz="UTC"):
        found = random_signals(rng, day, trained_until)
        decision = decide_retraining(found, list(attempts), POLICY)
        assert decision == decide_retraining(found, list(attempts), POLICY)
        if found.skew or found.labels_stale:
            assert decision.action == "block"
            broken.append(decision.action)
        if decision.action != "retrain":
            continue
        if attempts:
            since = (day - pd.Timestamp(attempts[-1].at)).days
            assert since >= 7
        recent = [a for a in attempts if (day - pd.Timestamp(a.at)).days < POLICY.budget.days]
        assert sum(a.trained for a in recent) < POLICY.budget.trainings
        result = str(rng.choice(["promoted", "refused by the gate", "taken out"]))
        attempts.append(attempt(f"{day:%m-%d}", result))
        trained_until = f"{day:%Y-%m-%d}" if result == "promoted" else trained_until
    assert attempts
    trained = broken.count("retrain")
    record_property("trainings on broken data, in any of 30 years of random signals", trained)


def asked(**changes):
    found, before = signals(**ALERT), [attempt("05-27")]
    whole = {"signals": found, "attempts": before, "policy": POLICY}
    whole["decision"] = decide_retraining(found, before, POLICY)
    return PolicyCheck.model_validate(whole | changes)


def test_a_decision_comes_out_again_from_what_was_written_down():
    assert differing_decisions([asked(), asked()]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"signals": signals()},
        {"attempts": [attempt("06-12")]},
        {"policy": POLICY.model_copy(update={"cooldown_days": 28})},
        {"decision": decide_retraining(signals(), [], POLICY)},
        {"policy": POLICY.model_copy(update={"retry_days": 15})},  # decides alike, by other rules
    ],
    ids=["signal", "attempt", "policy", "decision", "rules"],
)
def test_a_decision_that_does_not_come_out_again_is_named(changes):
    assert differing_decisions([asked(), asked(**changes)]) == ["2013-06-17T10:00Z"]
