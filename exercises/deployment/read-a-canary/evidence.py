"""The evidence of a canary, made by the analysis itself from requests of a fixed seed."""

import json

import numpy as np
import pandas as pd

from exercises.workbench.checking import ROOT
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.decision import Decision, Position, Start
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.yaml_files import parse

AT = Position(step=1, days=2.5, days_at_step=1.5)
"""The second step, after a day and a half of its two."""


def requests() -> pd.DataFrame:
    """Requests of two steps: the challenger lacks a view a little more often, and no arm fails."""
    rng = np.random.default_rng(41)
    many = 1100
    step = (np.arange(many) >= 120).astype(int)
    challenger = rng.random(many) < 0.5
    missing = rng.random(many) < np.where(challenger, 0.05, 0.01)
    return pd.DataFrame(
        {
            "flight": [f"2013-05-18/UA/{n + 1}/EWR" for n in range(many)],
            "arm": np.where(challenger, "challenger", "control"),
            "step": step,
            "at": np.arange(many) * 60.0,
            "code": 200,
            "seconds": 0.01 + 0.005 * rng.random(many),
            "release": np.where(challenger, "new-release", "old-release"),
            "logged": True,
            "risk": 0.1 + 0.3 * rng.random(many),
            "missing": missing,
            "stale": False,
            "parity": 0.0,
            "origin": "EWR",
            "hour_band": "from 09h",
        }
    )


def decision() -> Decision:
    """The decision of the real analysis, by the real plan."""
    plan = RolloutConfig.model_validate(
        parse((ROOT / "configs/rollout.yaml").read_text(encoding="utf-8"))
    )
    start = Start(challenger="new-release", control="old-release", slow_seconds=0.2)
    return decide_canary(plan, start, requests(), AT)


def files() -> dict[str, str]:
    """The record as a person gets it: without the outcome and its reasons."""
    record = decision().model_dump(mode="json", exclude={"outcome", "reasons", "slices"})
    for metric in record["metrics"]:
        del metric["alarmed"], metric["alarmed_at"]
    for breaker in record["breakers"]:
        del breaker["tripped"]
    return {"evidence/canary.json": json.dumps(record, indent=1) + "\n"}
