"""The acceptance checks of escalating in place of a third attempt."""

from typing import Any

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.retrain.policy import Attempt, RetrainingSignals
from pipeline.shared.config.retrain import Policy
from pipeline.shared.yaml_files import parse

POLICY = Policy.model_validate(
    parse((ROOT / "configs/retrain.yaml").read_text(encoding="utf-8"))["policy"]
    | {"cooldown_days": 14, "retry_days": 7, "min_fresh_labels": 5_000}
    | {"budget": {"trainings": 8, "days": 60}, "max_age_days": 120}
)
FALLEN: dict[str, Any] = {
    "at": "2013-10-24T12:00Z",
    "champion": "a" * 64,
    "trained_until": "2013-09-01",
    "served_since": "2013-09-05",
    "fresh_labels": 40_000,
    "outcome": "alert",
    "outcome_reasons": ["log loss is +0.0300 above its own expectation, limit 0.02"],
    "excess": 0.03,
    "gap": 0.01,
    "labels_stale": False,
    "labels_age_hours": 2.0,
    "broken": [],
    "skew": 0,
    "prediction_psi": 0.05,
    "drift": "quiet",
}


def _decide(subject, *results: str, **changes: object) -> Any:
    days = ("10-03", "10-10", "10-17")[-len(results) :] if results else ()
    attempts = [
        Attempt.model_validate(
            {"at": f"2013-{d}T12:00Z", "as_of": f"2013-{d}", "result": r, "trained": True}
        )
        for d, r in zip(days, results, strict=True)
    ]
    return subject.decide_retraining(
        RetrainingSignals.model_validate(FALLEN | changes), attempts, POLICY
    )


@check(4)
def test_two_bad_models_in_a_row_call_a_person(subject):
    """Refused by the gate, or taken out of the traffic, in any order."""
    pairs = [("refused by the gate", "taken out"), ("taken out", "refused by the gate")]
    pairs.append(("refused by the gate", "refused by the gate"))
    expect([_decide(subject, *pair).action for pair in pairs], ["escalate"] * 3)


@check(1)
def test_the_reason_says_since_when(subject):
    """The day of the first of them."""
    words = " ".join(_decide(subject, "refused by the gate", "taken out").reasons)
    holds("2013-10-10" in words, "2013-10-10", words)


@check(2)
def test_one_bad_model_is_tried_again(subject):
    """After its wait, as before."""
    expect(_decide(subject, "refused by the gate").action, "retrain")


@check(2)
def test_a_good_model_in_between_counts(subject):
    """The last two are not both bad."""
    seen = _decide(subject, "refused by the gate", "promoted", "refused by the gate")
    expect(seen.action, "retrain")


@check(2, hidden=True)
def test_data_that_were_refused_do_not_count(subject):
    """A broken feed and a failed job say nothing of the model."""
    for last in ("refused data", "failed", "inconclusive"):
        expect(_decide(subject, "refused by the gate", last).action, "retrain", why=last)


@check(2, hidden=True)
def test_without_a_trigger_nobody_is_called(subject):
    """Nothing is wrong, so nothing is tried."""
    quiet = {"outcome": "quiet", "outcome_reasons": [], "excess": 0.0}
    seen = _decide(subject, "refused by the gate", "taken out", **quiet)
    expect(seen.action, "hold")


@check(1, hidden=True)
def test_broken_data_still_come_first(subject):
    """No person can judge a model on them."""
    seen = _decide(subject, "refused by the gate", "taken out", broken=["impossible values"])
    expect(seen.action, "block")
