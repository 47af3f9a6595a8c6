"""The acceptance checks of the breaker for equal answers."""

import numpy as np
import pandas as pd

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.rollout.analysis.decision import Position, Start
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.yaml_files import parse

START = Start(challenger="new-release", control="old-release", slow_seconds=0.2)
AT = Position(step=0, days=1.5, days_at_step=1.5)
NAME = "same answer in a row"
MANY = 300
MINE = np.random.default_rng(8).random(MANY) < 0.5


def _risks() -> np.ndarray:
    return np.random.default_rng(3).random(MANY)


def _decide(subject, risk: np.ndarray, **changes: object) -> object:
    observed = pd.DataFrame(
        {
            "flight": [f"2013-05-18/UA/{n + 1}/EWR" for n in range(len(risk))],
            "arm": np.where(MINE[: len(risk)], "challenger", "control"),
            "step": 0,
            "at": np.arange(len(risk)) * 60.0,
            "code": 200,
            "seconds": 0.01,
            "release": np.where(MINE[: len(risk)], "new-release", "old-release"),
            "logged": True,
            "risk": risk,
            "missing": False,
            "stale": False,
            "parity": 0.0,
            "origin": "EWR",
            "hour_band": "from 09h",
        }
    ).assign(**changes)
    plan = RolloutConfig.model_validate(
        parse((ROOT / "configs/rollout.yaml").read_text(encoding="utf-8"))
    )
    return subject.decide_canary(plan, START, observed, AT)


def _breaker(decision) -> object:
    found = {one.name: one for one in decision.breakers}
    holds(NAME in found, f"a breaker {NAME!r}", f"no breaker of that name: {', '.join(found)}")
    return found[NAME]


def _constant(first: int, many: int) -> np.ndarray:
    """Risks of which so many of the challenger's, from its `first`, are the same."""
    risk = _risks()
    risk[np.flatnonzero(MINE)[first : first + many]] = 0.2144
    return risk


@check(3)
def test_a_constant_answer_is_rolled_back(subject):
    """All of the challenger's risks are 0.2144, the control's are not."""
    seen = _decide(subject, np.where(MINE, 0.2144, _risks()))
    holds(_breaker(seen).tripped, "tripped", f"{dict(_breaker(seen))}")
    expect(seen.outcome, "rollback")


@check(2)
def test_it_trips_at_twenty(subject):
    """Nineteen may be chance, twenty trip."""
    seen = [bool(_breaker(_decide(subject, _constant(30, n))).tripped) for n in (19, 20)]
    expect(seen, [False, True], [([False, False], "allowed is what does not trip")])


@check(3)
def test_a_canary_of_before_decides_as_before(subject):
    """Other breakers keep their names and their order."""
    seen = _decide(subject, _risks())
    expect(seen.outcome, "advance", why="; ".join(seen.reasons))
    names = [one.name for one in seen.breakers if one.name != NAME]
    expect(names[0], "challenger process gone")
    expect("answers that are no probability" in names, True)


@check(2, hidden=True)
def test_answers_that_come_again_are_no_run(subject):
    """A model with few leaves repeats itself, in between others."""
    risk = np.where(np.arange(MANY) % 2 == 0, 0.2, 0.3)
    risk[np.flatnonzero(MINE)] = np.resize([0.1, 0.2, 0.3], MINE.sum())
    expect(bool(_breaker(_decide(subject, risk)).tripped), False)


@check(1, hidden=True)
def test_without_an_answer_nothing_is_found(subject):
    """A canary that has just begun."""
    seen = _breaker(_decide(subject, _risks()[:0]))
    expect([seen.found, bool(seen.tripped)], [0, False])
