"""The checks of arms that have to be concurrent."""

import numpy as np
import pandas as pd

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.rollout.analysis.decision import Position, Start
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.yaml_files import parse

START = Start(challenger="new-release", control="old-release", slow_seconds=0.2)
AT = Position(step=0, days=1.5, days_at_step=1.5)
MAX_RUN = 40
"""Of the plan: more in a row are no coin."""


def _plan() -> RolloutConfig:
    return RolloutConfig.model_validate(
        parse((ROOT / "configs/rollout.yaml").read_text(encoding="utf-8"))
    )


def _requests(challenger: np.ndarray, **changes: object) -> pd.DataFrame:
    many = len(challenger)
    frame = pd.DataFrame(
        {
            "flight": [f"2013-05-18/UA/{n + 1}/EWR" for n in range(many)],
            "arm": np.where(challenger, "challenger", "control"),
            "step": 0,
            "at": np.arange(many) * 60.0,
            "code": 200,
            "seconds": 0.01,
            "release": np.where(challenger, "new-release", "old-release"),
            "logged": True,
            "risk": np.random.default_rng(3).random(many),
            "missing": False,
            "stale": False,
            "parity": 0.0,
            "origin": "EWR",
            "hour_band": "from 09h",
        }
    )
    return frame.assign(**changes)


def _coin(many: int = 400) -> np.ndarray:
    return np.random.default_rng(8).random(many) < 0.5


def _in_turns(many: int = 600, hour: int = 50) -> np.ndarray:
    """A coin, with an hour of one arm and an hour of the other within."""
    arm = _coin(many)
    arm[300 : 300 + hour], arm[300 + hour : 300 + 2 * hour] = True, False
    return arm


def _outcome(subject, observed: pd.DataFrame) -> object:
    return subject.decide_canary(_plan(), START, observed, AT)


@check(3)
def test_arms_of_two_hours_pause_the_canary(subject):
    """An hour of the challenger's flights, then one of the control's."""
    seen = _outcome(subject, _requests(_in_turns()))
    turns = [
        ("advance", "50 in a row are one arm's: the two are not concurrent"),
        ("rollback", "arms of two hours cannot be compared, for better or worse"),
    ]
    expect(seen.outcome, "pause", turns)


@check(2)
def test_what_chance_does_is_no_flaw(subject):
    """A fair coin gives some in a row, in every canary."""
    seen = _outcome(subject, _requests(_coin()))
    expect(seen.outcome, "advance", why="; ".join(seen.reasons))


@check(2)
def test_a_flaw_comes_before_an_alarm(subject):
    """An alarm of arms that cannot be compared means nothing."""
    arm = _in_turns()
    seen = _outcome(subject, _requests(arm, stale=arm & (np.arange(600) % 2 == 0)))
    expect(seen.outcome, "pause", [("rollback", "the alarm is of two hours, not of two models")])


@check(2, hidden=True)
def test_a_run_of_the_control_counts_too(subject):
    """One arm's, whichever it is."""
    coin = _coin(600)
    coin[200 : 200 + MAX_RUN + 15] = False
    expect(_outcome(subject, _requests(coin)).outcome, "pause")


@check(1, hidden=True)
def test_a_flight_in_both_arms_is_a_flaw_as_before(subject):
    """Arms are sticky."""
    observed = _requests(_coin())
    observed.loc[1, "flight"] = observed.loc[0, "flight"]
    observed.loc[[0, 1], "arm"] = ["challenger", "control"]
    seen = _outcome(subject, observed)
    holds(seen.outcome == "pause", "pause", f"{seen.outcome}: {seen.reasons}")
