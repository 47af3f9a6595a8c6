"""Four Mondays of the loop, and what the real policy decides."""

import json
from typing import Any

from exercises.workbench.checking import ROOT
from pipeline.retrain.policy import (
    Attempt,
    RetrainingDecision,
    RetrainingSignals,
    decide_retraining,
)
from pipeline.shared.config.retrain import Policy
from pipeline.shared.yaml_files import parse

POLICY = Policy.model_validate(
    parse((ROOT / "configs/retrain.yaml").read_text(encoding="utf-8"))["policy"]
)
BASE: dict[str, Any] = {
    "champion": "a" * 64,
    "trained_until": "2013-06-09",
    "served_since": "2013-06-14",
    "fresh_labels": 30_000,
    "outcome": "quiet",
    "outcome_reasons": [],
    "excess": 0.002,
    "gap": 0.004,
    "labels_stale": False,
    "labels_age_hours": 2.0,
    "broken": [],
    "skew": 0,
    "prediction_psi": 0.06,
    "drift": "quiet",
}
FALLEN = {
    "outcome": "alert",
    "outcome_reasons": ["log loss is +0.0310 above its own expectation, limit 0.02"],
    "excess": 0.031,
}
MONDAYS: dict[str, dict[str, Any]] = {
    "A": {
        "at": "2013-07-15T12:00Z",
        "trained_until": "2013-07-10",
        "drift": "alert",
        "prediction_psi": 0.34,
    },
    "B": {
        "at": "2013-07-22T12:00Z",
        "trained_until": "2013-07-10",
        **FALLEN,
        "broken": ["37 impossible values of wind_speed"],
    },
    "C": {"at": "2013-07-29T12:00Z", "trained_until": "2013-07-25", **FALLEN},
    "D": {
        "at": "2013-08-05T12:00Z",
        "trained_until": "2013-07-25",
        **FALLEN,
        "fresh_labels": 38_000,
    },
}
ATTEMPT = Attempt(
    at="2013-07-31T13:00Z", as_of="2013-07-30", result="refused by the gate", trained=True
)


def decision(name: str) -> RetrainingDecision:
    """The policy's decision of a Monday."""
    attempts = [ATTEMPT] if name == "D" else []
    return decide_retraining(signals(name), attempts, POLICY)


def signals(name: str) -> RetrainingSignals:
    """The signals of a Monday."""
    return RetrainingSignals.model_validate(BASE | MONDAYS[name])


def files() -> dict[str, str]:
    """The Mondays as a person gets them, with the attempts before each."""
    rows = {
        name: {
            "signals": signals(name).model_dump(mode="json"),
            "attempts": [ATTEMPT.model_dump(mode="json")] if name == "D" else [],
        }
        for name in MONDAYS
    }
    return {"evidence/checks.json": json.dumps(rows, indent=1) + "\n"}
