"""The checks of the triggers of retraining."""

from typing import Any

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.retrain.policy import RetrainingSignals
from pipeline.shared.config.retrain import Policy
from pipeline.shared.yaml_files import parse

POLICY = Policy.model_validate(
    parse((ROOT / "configs/retrain.yaml").read_text(encoding="utf-8"))["policy"]
    | {"max_age_days": 60, "max_fresh_labels": 90_000, "min_fresh_labels": 5_000}
)
QUIET: dict[str, Any] = {
    "at": "2013-09-30T12:00Z",
    "champion": "a" * 64,
    "trained_until": "2013-09-01",
    "served_since": "2013-09-05",
    "fresh_labels": 20_000,
    "outcome": "quiet",
    "outcome_reasons": [],
    "excess": -0.004,
    "gap": 0.001,
    "labels_stale": False,
    "labels_age_hours": 2.0,
    "broken": [],
    "skew": 0,
    "prediction_psi": 0.31,
    "drift": "quiet",
}


def _decide(subject, **changes: object) -> Any:
    return subject.decide_retraining(RetrainingSignals.model_validate(QUIET | changes), [], POLICY)


@check(3)
def test_drift_alone_trains_nothing(subject):
    """The season moves the inputs, and nobody loses by it."""
    seen = _decide(subject, drift="alert")
    expect(seen.action, "hold", [("retrain", "the inputs moved, and nobody has lost by it")])
    expect(seen.triggers, [])


@check(1)
def test_the_hold_says_that_drift_is_no_reason(subject):
    """So that a person sees that it was looked at."""
    words = " ".join(_decide(subject, drift="alert").reasons)
    holds("0.310" in words, "the PSI 0.310 among the reasons", words)


@check(2)
def test_a_fallen_outcome_trains_with_and_without_drift(subject):
    """What users lose is the reason, not what the inputs do."""
    fallen = {"outcome": "alert", "outcome_reasons": ["log loss"], "excess": 0.03}
    seen = [_decide(subject, drift=drift, **fallen) for drift in ("quiet", "alert")]
    expect([one.action for one in seen], ["retrain", "retrain"])
    expect([one.triggers for one in seen], [["outcome"], ["outcome"]])


@check(2)
def test_a_diagnosis_trains(subject):
    """A refit was tried, and it helps."""
    found = {"diagnosis": "covariate shift", "diagnosed_act": "retrain", "drift": "alert"}
    seen = _decide(subject, **found)
    expect([seen.action, seen.triggers], ["retrain", ["diagnosis"]])


@check(1, hidden=True)
def test_age_and_volume_train_as_before(subject):
    """The calendar and the new labels."""
    old = _decide(subject, trained_until="2013-07-01")
    many = _decide(subject, fresh_labels=95_000)
    expect([old.triggers, many.triggers], [["schedule"], ["volume"]])


@check(1, hidden=True)
def test_broken_data_come_first(subject):
    """Whatever else calls."""
    seen = _decide(subject, broken=["impossible values"], drift="alert", outcome="alert")
    expect(seen.action, "block")
