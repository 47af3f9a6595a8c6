"""Canaries of the real flights: who asks, when, with which risk; what goes wrong is injected.

Flights come in the order of their predictions and are dealt to the arms by a salted hash, as the
edge does it; their risks are the real model's. Errors, latencies, missing and stale views are
drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xxhash

from pipeline.rollout.analysis.decision import Start
from pipeline.shared.config.rollout import CanaryPlan

SIGMA = 0.4
"""Spread of the injected lognormal latency: of its logarithm."""
BURSTS, BURST_RATE = 0.01, 0.3
"""A burst: this share of the hours, in which this share of all requests fails."""
START = Start(
    challenger="challenger",
    control="champion",
    slow_seconds=float(np.exp(2.3263 * SIGMA)),  # the 99th percentile of what is injected
    same_model=True,
)


@dataclass(frozen=True)
class Flights:
    """Requests in order: keys, seconds and days from the first on, hours, slices and risks."""

    key: list[bytes]
    second: np.ndarray
    day: np.ndarray
    hour: np.ndarray
    origin: np.ndarray
    hour_band: np.ndarray
    risk: np.ndarray

    @property
    def days(self) -> int:
        """How many days there are."""
        return int(self.day[-1]) + 1


@dataclass(frozen=True)
class World:
    """What is injected: rates of either arm, and what the challenger does to risk and traffic."""

    errors: float = 0.01
    missing: float = 0.01
    stale: float = 0.001
    fallback: float = 0.001
    more: dict[str, float] = field(default_factory=dict)
    slower: float = 1.0
    risk: Callable[[np.ndarray], np.ndarray] = lambda risk: risk
    lost: float = 0.0
    bursts: bool = False
    control_of_yesterday: bool = False
    other_risk: np.ndarray | None = None

    def with_more(self, **more: float) -> "World":
        """The same, with so much added to rates of the challenger's."""
        return replace(self, more=more)


def bucket(keys: list[bytes], salt: int) -> np.ndarray:
    """A number from 0 to 1 for each flight, the same whenever it asks: its place among the arms."""
    prefix = b"%d:" % salt
    found = [xxhash.xxh64_intdigest(prefix + key) for key in keys]
    return np.array(found, dtype="uint64") / 2.0**64


def canary(
    flights: Flights, plan: CanaryPlan, world: World, seed: int, days: int | None = None
) -> pd.DataFrame:
    """One canary as the edge saw it: a random first day, then the plan's steps by its days.

    With `days`, the last step lasts until then.
    """
    chance = np.random.default_rng(seed)
    ends = np.cumsum([step.days for step in plan.steps])
    length = int(days or ends[-1])
    first = int(chance.integers(1, flights.days - length + 1))
    low, high = np.searchsorted(flights.day, [first, first + length])
    day = flights.day[low:high] - first
    step = np.minimum(np.searchsorted(ends, day, side="right"), len(ends) - 1)
    weight = np.array([s.set_weight / 100 for s in plan.steps])[step]
    place = bucket(flights.key[low:high], seed)
    mine, theirs = place < weight, place >= 1 - weight
    mine &= chance.random(len(mine)) >= world.lost
    rows = np.flatnonzero(mine | theirs)
    return _observed(flights, world, chance, low + rows, mine[rows], step[rows], day[rows])


def _observed(
    flights: Flights,
    world: World,
    chance: np.random.Generator,
    rows: np.ndarray,
    mine: np.ndarray,
    step: np.ndarray,
    day: np.ndarray,
) -> pd.DataFrame:
    asked = rows if not world.control_of_yesterday else _yesterday(flights, rows, mine)

    def hit(name: str) -> np.ndarray:
        rate = getattr(world, name) + np.where(mine, world.more.get(name, 0.0), 0.0)
        return chance.random(len(rows)) < rate

    failed = hit("errors") | (world.bursts and _burst(flights, asked, chance))
    release = np.where(mine & ~hit("fallback"), "challenger", "champion")
    seconds = chance.lognormal(0, SIGMA, len(rows)) * np.where(mine, world.slower, 1)
    return pd.DataFrame(
        {
            "flight": rows,
            "arm": np.where(mine, "challenger", "control"),
            "day": day,
            "step": step,
            "at": flights.second[rows],
            "code": np.where(failed, 503, 200),
            "seconds": seconds,
            "release": np.where(~mine & hit("fallback"), "other", release),
            "risk": np.where(failed, np.nan, _risk(flights, world, asked, mine)),
            "missing": hit("missing"),
            "stale": hit("stale"),
            "parity": 0.0,
            "origin": flights.origin[rows],
            "hour_band": flights.hour_band[rows],
        }
    )


def _burst(flights: Flights, asked: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    burst = chance.random(int(flights.hour[-1]) + 1) < BURSTS
    return burst[flights.hour[asked]] & (chance.random(len(asked)) < BURST_RATE)


def _risk(flights: Flights, world: World, asked: np.ndarray, mine: np.ndarray) -> np.ndarray:
    told = (flights.risk if world.other_risk is None else world.other_risk)[asked]
    return np.where(mine, np.clip(world.risk(told), 0, 1), flights.risk[asked])


def _yesterday(flights: Flights, rows: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """For the control, requests a day's number of flights earlier: another day, the same order."""
    a_day = len(flights.day) // flights.days
    return np.where(mine, rows, np.maximum(rows - a_day, 0))
