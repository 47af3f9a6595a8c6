"""Commands for rollouts and the closed loop, with the users of the simulated year."""

from pipeline.retrain import loop as closed_loop
from pipeline.rollout import bluegreen as blue_green
from pipeline.rollout import canary as canaries
from pipeline.rollout import shadow as shadows
from pipeline.usecase.chosen import USECASE
from simulation.faults import injection
from simulation.online_sample import OnlineSample
from simulation.year import Year


def shadow(bad: str = "", force: bool = False) -> str:
    """Mirror the year's traffic to the challenger; see `pipeline.rollout.shadow`."""
    USECASE.require_event_time()
    return shadows.run_shadow(Year(), injection(bad), force)


def canary(bad: str = "", force: bool = False) -> str:
    """Serve a growing share of the year's traffic from the challenger, and decide."""
    USECASE.require_event_time()
    return canaries.run_canary(Year(), injection(bad), force)


def bluegreen(bad: str = "", force: bool = False) -> str:
    """Switch all of the year's traffic to the challenger's set, and back."""
    USECASE.require_event_time()
    return blue_green.run_bluegreen(Year(), injection(bad), force)


def loop(until: str = USECASE.last_day) -> str:
    """Replay the year until a day, and keep the champion up to date meanwhile."""
    USECASE.require_event_time()
    return closed_loop.run_loop(OnlineSample, until)
