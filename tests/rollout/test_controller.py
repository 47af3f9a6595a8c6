"""Who acts: only on a ledger that nobody else has written to since."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.records import rollout_ledger
from pipeline.rollout.controller import Transitions
from pipeline.rollout.interim_analyses import shares_at, slow_limit
from pipeline.rollout.state import ALL_CHALLENGER, Rollout
from pipeline.shared.errors import RolloutRefused
from tests.rollout.edge import PLAN
from tests.shared.moves import NEW, OLD, move, registered

ROLLOUT = Rollout("0002-canary", OLD, NEW, PLAN, pd.Timestamp("2013-05-01 04:00Z"), "salt")
MINUTE = 400_000


@pytest.fixture
def transitions(tmp_path, monkeypatch):
    """A rollout that stands at its first step, and whose proxy takes whatever route."""
    monkeypatch.chdir(tmp_path)
    rollout_ledger.append(registered())
    rollout_ledger.append(move())
    routes = []
    live = SimpleNamespace(route=lambda route: routes.append(route) or 0.0)
    view = SimpleNamespace(say=lambda words: None)
    found = Transitions(ROLLOUT, live, view, ledger_length=2)
    found.routes = routes
    return found


def test_a_transition_is_written_down_and_then_made_so(transitions):
    transitions.make("step", MINUTE, shares_at(ROLLOUT, 1), step=1)
    last = rollout_ledger.entries()[-1].move
    assert (last.event, last.step, last.salt) == ("step", 1, ROLLOUT.salt)
    (route,) = transitions.routes
    assert route.shares == last.shares == {"challenger": 2500, "champion": 5000, "control": 2500}
    transitions.make("paused", MINUTE, {"champion": 10_000})
    assert len(rollout_ledger.entries()) == 4


@pytest.mark.parametrize(
    "theirs",
    [
        move("rolled back", shares={"champion": 10_000}, by="hand of somebody"),
        move("promoted by hand", rollout="0003-register", shares=ALL_CHALLENGER),
        move("step", step=1),
    ],
    ids=lambda one: one.event,
)
def test_whatever_somebody_else_has_written_ends_it_without_a_change(transitions, theirs):
    rollout_ledger.append(theirs)
    with pytest.raises(
        RolloutRefused, match=f"{theirs.event} by .* while 0002-canary stood at entry 2"
    ):
        transitions.make("promoted", MINUTE, ALL_CHALLENGER)
    assert rollout_ledger.entries()[-1].move == theirs
    assert transitions.routes == []


def test_before_the_first_transition_of_a_rollout_a_rollback_ends_it_too(transitions):
    transitions.rollout = Rollout("0003-canary", NEW, OLD, PLAN, ROLLOUT.first, "salt")
    rollout_ledger.append(move("rolled back", shares={"champion": 10_000}))
    with pytest.raises(RolloutRefused, match="rolled back"):
        transitions.make("canary", MINUTE, shares_at(ROLLOUT, 0))
    assert transitions.routes == []


def test_while_another_changes_the_traffic_nothing_is_written(transitions, monkeypatch):
    from pipeline.rollout import controller
    from pipeline.rollout.state import hold_traffic

    with hold_traffic(0) as mine:
        assert mine
        monkeypatch.setattr(controller, "hold_traffic", lambda: hold_traffic(0.05))
        with pytest.raises(RolloutRefused):
            transitions.make("step", MINUTE, shares_at(ROLLOUT, 1))
    assert len(rollout_ledger.entries()) == 2


def test_the_control_is_always_as_large_as_the_challenger():
    for number, step in enumerate(PLAN.canary.steps):
        shares = shares_at(ROLLOUT, number)
        assert shares["challenger"] == shares["control"] == 100 * step.set_weight
        assert sum(shares.values()) == 10_000


def test_one_stall_of_all_that_wait_together_does_not_raise_the_limit_of_slow_answers():
    calm = np.random.default_rng(3).uniform(0.005, 0.02, 200)
    stalled = calm.copy()
    stalled[180:186] = 0.15  # six users at once
    assert slow_limit(stalled) < 0.021
    assert slow_limit(stalled) == pytest.approx(slow_limit(calm), abs=0.001)
    assert (calm > slow_limit(calm)).mean() < 0.05
