"""Requests as the edge saw them: a clean canary, in which a test plants what it is about."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.rollout.analysis.decision import Position, Start
from pipeline.shared.config.rollout import RolloutConfig
from tests.rules import tree

PLAN = RolloutConfig.model_validate(tree.load("configs/rollout.yaml"))
START = Start(challenger="v2", control="v1", slow_seconds=0.1)
SAME = START.model_copy(update={"same_model": True})
STEPS = PLAN.canary.steps
LAST = Position(step=2, days=6, days_at_step=3)
NOW = Position(step=0, days=1, days_at_step=1)


def requests(rows: int = 3000, step: int = 0, seed: int = 0, **changes: Any) -> pd.DataFrame:
    """Requests of one step, a second apart, dealt to arms by a coin; `changes` replace columns."""
    chance = np.random.default_rng(seed)
    arm = np.where(chance.random(rows) < 0.5, "challenger", "control")
    frame = pd.DataFrame(
        {
            "flight": [f"{step}-{seed}-{i}" for i in range(rows)],
            "arm": arm,
            "day": 0,
            "step": step,
            "at": step * 1e6 + seed * 1e5 + np.arange(rows),
            "code": 200,
            "seconds": 0.01,
            "release": np.where(arm == "challenger", "v2", "v1"),
            "logged": True,
            "risk": chance.uniform(0.1, 0.5, rows),
            "missing": False,
            "stale": False,
            "parity": 0.0,
            "origin": chance.choice(["EWR", "JFK", "LGA"], rows),
            "hour_band": chance.choice(["00-08", "09-12"], rows),
        }
    )
    return frame.assign(**changes)


def bad(frame: pd.DataFrame, arm: str, many: int, first: int = 0, **to: Any) -> pd.DataFrame:
    """The same requests, with other values in every 25th of one arm's: so many, from one on."""
    of_arm = np.flatnonzero(frame["arm"] == arm)[first::25][:many]
    assert len(of_arm) == many
    changed = frame.copy()
    for name, value in to.items():
        changed.iloc[of_arm, changed.columns.get_loc(name)] = value
    return changed


def whole() -> pd.DataFrame:
    """A clean canary of all three steps."""
    return pd.concat([requests(step=step) for step in range(3)], ignore_index=True)
