"""An A/B test of two models: how large, who gets which, and what the planned looks say; pure.

The unit that is dealt is the flight number, such as "UA/1545/EWR": a traveller who takes it each
week meets one model. Flights of one unit are alike, so the unit is also what is counted.
"""

from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from pipeline.shared.contracts import Record

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
    raise NotImplementedError("not written yet")


def days(flights: int, flights_a_day: float, plan: Plan) -> int:
    """Whole days until each arm has so many flights, if `flights_a_day` leave in all.

    Raises:
        UsageError: `flights_a_day` is not above 0.
    """
    raise NotImplementedError("not written yet")


def unit_of(flight: str) -> str:
    """The unit of a flight: "UA/1545/EWR" of "2013-05-01/UA/1545/EWR"."""
    raise NotImplementedError("not written yet")


def arm(flight: str, plan: Plan) -> Literal["challenger", "control", ""]:
    """The arm of a flight, "" outside of the test: its unit's, as `routes.arm_of` deals it.

    Both arms have the plan's share. A larger one only lets more units in.
    """
    raise NotImplementedError("not written yet")


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
    raise NotImplementedError("not written yet")
