"""An A/B test of two models: how large, who gets which, and what the planned looks say; pure.

The unit that is dealt is the flight number, such as "UA/1545/EWR": a traveller who takes it each
week meets one model. Flights of one unit are alike, so the unit is also what is counted.
"""

import math
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from pipeline.records.rollout_ledger import WHOLE
from pipeline.rollout.analysis.group_sequential import limits
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.contracts import Record
from pipeline.shared.errors import RolloutRefused, UsageError

Outcome = Literal["invalid", "challenger", "control", "no difference", "continue"]


class Plan(Record):
    """What is fixed before the first flight.

    `share` is each arm's part of the units, in ten-thousandths; `looks` are the days after which
    the test is analysed, `alpha` the chance of a difference where there is none, over all of them.
    """

    salt: str
    share: int = Field(gt=0, le=5_000)
    looks: tuple[int, ...] = Field(min_length=1)
    alpha: float = Field(gt=0, lt=1)
    ratio_alpha: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _looks_are_in_order(self) -> "Plan":
        if self.looks[0] < 1 or list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks are {self.looks}, wanted are days that rise from 1 on")
        return self


class Look(Record):
    """One look: the units of each arm, and the difference of mean costs, challenger less control.

    `low` and `high` are the ends of the interval at this look's `limit`, a one-sided p. The last
    four are None where the arms' sizes are `invalid`.
    """

    day: int
    challenger: int
    control: int
    difference: float | None
    low: float | None
    high: float | None
    limit: float | None


class Analysis(Record):
    """The outcome, and the looks up to the one that decided, in order."""

    outcome: Outcome
    looks: list[Look]


def flights_an_arm(
    deviation: float,
    effect: float,
    alpha: float,
    power: float,
    flights_a_unit: float = 1.0,
    correlation: float = 0.0,
) -> int:
    """Flights of an arm for a two-sided test to find an effect, rounded up to a whole one.

    2 ((z of alpha / 2 + z of power) * deviation / effect)^2, times the design effect of units:
    1 + (flights_a_unit - 1) * correlation. The sign of the effect does not matter.

    Raises:
        UsageError: the effect is 0 or no finite number, the deviation or flights_a_unit is not
            above 0, alpha or power is not within (0, 1), or the correlation not within [0, 1].
    """
    from scipy.stats import norm

    _require(math.isfinite(effect) and effect != 0, "an effect other than 0", effect)
    _require(math.isfinite(deviation) and deviation > 0, "a deviation above 0", deviation)
    _require(0 < alpha < 1, "an alpha within (0, 1)", alpha)
    _require(0 < power < 1, "a power within (0, 1)", power)
    _require(flights_a_unit > 0, "flights of a unit above 0", flights_a_unit)
    _require(0 <= correlation <= 1, "a correlation within [0, 1]", correlation)
    reach = float(norm.isf(alpha / 2) + norm.ppf(power))
    alone = 2 * (reach * deviation / effect) ** 2
    return math.ceil(alone * (1 + (flights_a_unit - 1) * correlation))


def _require(holds: bool, what: str, value: float) -> None:
    if not holds:
        raise UsageError(f"a test's size needs {what}, not {value}")


def days(flights: int, flights_a_day: float, plan: Plan) -> int:
    """Whole days until each arm has so many flights, if `flights_a_day` leave in all.

    Raises:
        UsageError: `flights_a_day` is not above 0.
    """
    _require(flights_a_day > 0, "flights of a day above 0", flights_a_day)
    return math.ceil(flights * WHOLE / (flights_a_day * plan.share))


def unit_of(flight: str) -> str:
    """The unit of a flight: "UA/1545/EWR" of "2013-05-01/UA/1545/EWR"."""
    return flight.partition("/")[2]


def arm(flight: str, plan: Plan) -> Literal["challenger", "control", ""]:
    """The arm of a flight, "" outside of the test: its unit's, as `routes.arm_of` deals it.

    Both arms have the plan's share. A larger one only lets more units in.
    """
    shares = {"challenger": plan.share, "control": plan.share}
    route = Route({**shares, "champion": WHOLE - 2 * plan.share}, plan.salt)
    dealt = arm_of(unit_of(flight), route)
    return "challenger" if dealt == "challenger" else "control" if dealt == "control" else ""


def analyse(flights: pd.DataFrame, plan: Plan, passed: int) -> Analysis:
    """What the looks say that are due once so many whole days have `passed`.

    `flights` has, in any order, `flight` (its name), `day` (1 for the test's first), `arm` (that
    served it, "" outside of the test, which is left out), and `cost`, NaN until the label is known.

    The looks are taken in order, each over the flights up to its day, and the first that decides
    ends the test, whatever comes later:

    - A look is due once its day has passed and each of its flights has a cost: late flights' labels
      come last, so part of them is no sample. Until then the outcome is "continue".
    - If the arms' numbers of units differ by more than chance (two-sided binomial test at one half,
      p < `ratio_alpha`), the outcome is "invalid".
    - An arm's mean is the sum of its costs over its number of flights. Its variance is that of a
      ratio over units: U / (U - 1) * sum((cost of a unit - mean * flights of it)^2) / flights^2,
      with U units.
    - The difference decides if its one-sided normal p, in either direction, is below the look's
      part of `group_sequential.limits(looks, alpha / 2)`; the lower cost wins. Its interval reaches
      as many standard errors to either side. The last look that does not decide ends with "no
      difference". A difference without a variance, or of an arm with fewer than two units, decides
      nothing: `low` and `high` are then the difference itself, and it is 0 without both arms.

    Raises:
        RolloutRefused: an arm is not the one that `arm` gives; names the flight.
    """
    tested = flights[flights["arm"] != ""]
    _require_dealt(tested, plan)
    units = tested.assign(unit=[unit_of(name) for name in tested["flight"]])
    looks: list[Look] = []
    for day, limit in zip(plan.looks, limits(plan.looks, plan.alpha / 2), strict=True):
        seen = units[units["day"] <= day]
        if day > passed or seen["cost"].isna().any():
            return Analysis(outcome="continue", looks=looks)
        look, outcome = _look(day, seen, limit, plan)
        looks.append(look)
        if outcome is not None:
            return Analysis(outcome=outcome, looks=looks)
    return Analysis(outcome="no difference", looks=looks)


def _require_dealt(flights: pd.DataFrame, plan: Plan) -> None:
    """Refuse a test in which a unit was served by another arm than its own."""
    for name, served in zip(flights["flight"], flights["arm"], strict=True):
        if served != (dealt := arm(name, plan)):
            raise RolloutRefused(
                f"{name} was served by {served!r} and dealt to {dealt or 'no arm'!r}: the test is "
                "not sticky; compare the salt of its routes with the plan's"
            )


def _look(day: int, flights: pd.DataFrame, limit: float, plan: Plan) -> tuple[Look, Outcome | None]:
    """One look, and its outcome if it decides."""
    from scipy.stats import binomtest, norm

    by_arm = {name: _sums(flights[flights["arm"] == name]) for name in ("challenger", "control")}
    ours, theirs = (len(sums) for sums in by_arm.values())
    sizes = {"day": day, "challenger": ours, "control": theirs}
    if ours + theirs and binomtest(ours, ours + theirs, 0.5).pvalue < plan.ratio_alpha:
        nothing = dict.fromkeys(["difference", "low", "high", "limit"])
        return Look.model_validate(sizes | nothing), "invalid"
    (mean, variance), (other, of_other) = (_mean(sums) for sums in by_arm.values())
    difference = mean - other if ours and theirs else 0.0
    error = math.sqrt(variance + of_other) if min(ours, theirs) > 1 else 0.0
    reach = error * float(norm.isf(limit))
    ends = {"low": difference - reach, "high": difference + reach, "limit": limit}
    decides = error > 0 and float(norm.sf(abs(difference) / error)) < limit
    winner: Outcome = "challenger" if difference < 0 else "control"
    look = Look.model_validate(sizes | {"difference": difference} | ends)
    return look, winner if decides else None


def _sums(flights: pd.DataFrame) -> np.ndarray:
    """The cost and the number of flights of each unit: (units, 2)."""
    return flights.groupby("unit")["cost"].agg(["sum", "count"]).to_numpy(dtype="float64")


def _mean(sums: np.ndarray) -> tuple[float, float]:
    """The mean cost of an arm's flights and its variance, as a ratio of sums over units."""
    count, (cost, flights) = len(sums), sums.sum(axis=0)
    if count == 0:
        return 0.0, 0.0
    mean = float(cost / flights)
    spread = float(((sums[:, 0] - mean * sums[:, 1]) ** 2).sum())
    return mean, count / max(count - 1, 1) * spread / float(flights) ** 2
