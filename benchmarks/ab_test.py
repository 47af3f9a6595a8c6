"""What does an A/B test of two models take on these flights, and what makes it lie?

A user is warned if the risk is high, and pays for a delay without a warning and for a warning
without a delay: that is the online metric. The champion and a fresher model are dealt the real
flights of May and June, thousands of times. Beside the test's size stand what a shadow needs, which
has both answers for every flight, and what goes wrong: peeking, days dealt instead of flights, arms
that are dealt anew.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Raw, Recipe, Watch, recorded
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL
from pipeline.flights.names import flight_names
from pipeline.rollout.analysis.group_sequential import limits
from pipeline.rollout.analysis.sequential_tests import log_e_mean
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

LAST_LEARNED, MONTHS = "2013-04-30", (5, 6)
"""The fresher model learns from April too; May and June judge."""
NEEDLESS = 0.5
"""What a needless warning costs, where a delay without a warning costs 1."""
WARN_FROM = NEEDLESS / (1 + NEEDLESS)
"""The risk from which warning is the cheaper bet."""
ALPHA, POWER = 0.05, 0.8
RUNS, DAYS = 2000, 28
LOOKS = (7, 14, 21, 28)
"""Days after which a group-sequential test looks."""
UNITS = (
    "cost: delays without a warning, a needless warning counts half; differences: challenger less "
    "champion a flight; false_alarms, power: shares of simulated tests; days: with half of all "
    "flights in each arm"
)
Losses = dict[str, np.ndarray]


def acting_cost(labels: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """What acting on a risk costs a flight's user: 1, NEEDLESS or nothing."""
    warned, late = risk >= WARN_FROM, labels == 1
    return np.where(late & ~warned, 1.0, np.where(~late & warned, NEEDLESS, 0.0))


def arm_size(deviation: float, effect: float) -> float:
    """Flights an arm for a two-sided test at ALPHA to find a difference with chance POWER."""
    from scipy.stats import norm

    return 2 * ((norm.isf(ALPHA / 2) + norm.ppf(POWER)) * deviation / effect) ** 2


def days_by_effect(days: float, effect: dict[str, float]) -> dict[str, float | None]:
    """A test's days if the true effect is an end of its interval; None if that end finds nothing.

    `days` are those for the effect's point: the days grow with the square of its inverse.
    """
    large, small = sorted((effect["low"], effect["high"]), key=abs, reverse=True)

    def scaled(end: float) -> float:
        return round(days * (effect["point"] / end) ** 2, 1)

    return {"least": scaled(large), "most": scaled(small) if large * small > 0 else None}


def reduced(outcome: np.ndarray, known_before: np.ndarray) -> float:
    """The share of the variance that a covariate known before the test explains (CUPED)."""
    return float(np.corrcoef(outcome, known_before)[0, 1] ** 2)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cost": acting_cost,
    "log_loss": log_loss,
}
"""The online metric, and the one that the gate uses: of labels and risks, one value a flight."""


@dataclass(frozen=True)
class Sums:
    """Count, sum and sum of squares of both arms, after each day."""

    count: np.ndarray
    total: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, day: np.ndarray, treated: np.ndarray, outcome: np.ndarray, days: int) -> "Sums":
        """Sums of flights on days 0 to `days` - 1; row 1 of each array is the treated arm's."""
        cell = day + days * treated

        def by_day(weights: np.ndarray | None) -> np.ndarray:
            found = np.bincount(cell, weights, 2 * days).reshape(2, days)
            return np.cumsum(found, axis=1)

        return cls(by_day(None), by_day(outcome), by_day(outcome**2))

    def z(self) -> np.ndarray:
        """Welch's statistic after each day, treated less control; 0 before both arms have two."""
        count = np.maximum(self.count, 2)
        mean = self.total / count
        variance = np.maximum(self.square / count - mean**2, 0) / (count - 1)
        error = np.sqrt(variance.sum(axis=0))
        enough = (self.count.min(axis=0) >= 2) & (error > 0)
        return np.where(enough, (mean[1] - mean[0]) / np.where(error > 0, error, 1), 0.0)


@dataclass(frozen=True)
class Trial:
    """The flights that a test deals: their days from 0 on, and each model's losses."""

    day: np.ndarray
    champion: Losses
    challenger: Losses
    before: Losses
    """What each metric is expected to be by the champion's risk alone, before the label."""

    @property
    def days(self) -> int:
        """How many days there are."""
        return int(self.day.max()) + 1

    def window(self, first: int, days: int) -> np.ndarray:
        """The flights of so many days."""
        return (self.day >= first) & (self.day < first + days)


def alarms(dealt: Sums) -> dict[str, bool]:
    """Whether each way to read a test says that the arms differ."""
    from scipy.stats import norm

    z, at = dealt.z(), np.array(LOOKS) - 1
    limit = norm.isf(ALPHA / 2)
    planned = norm.isf(np.array(limits(LOOKS, ALPHA / 2)))
    pairs = dealt.count.min(axis=0)
    log_e = log_e_mean(z, pairs, ALPHA, int(pairs[-1] // 2))
    return {
        "one look at the end": bool(abs(z[-1]) > limit),
        "a look each day, p below .05": bool((np.abs(z) > limit).any()),
        "four planned looks, group-sequential": bool((np.abs(z[at]) > planned).any()),
        "a look each day, always-valid": bool((log_e >= -np.log(ALPHA)).any()),
    }


def false_alarms(trial: Trial, metric: str, runs: int = RUNS) -> dict[str, float]:
    """Tests of the champion against itself: how many each way calls a difference."""
    rng, found = np.random.default_rng(0), []
    for _ in range(runs):
        first = int(rng.integers(0, trial.days - DAYS + 1))
        of = trial.window(first, DAYS)
        day, outcome = trial.day[of] - first, trial.champion[metric][of]
        treated = rng.random(len(day)) < 0.5
        by_day = rng.permutation(np.arange(DAYS) < DAYS // 2)[day]
        days_dealt = Sums.of(day, by_day, outcome, DAYS)
        one_look = alarms(days_dealt)["one look at the end"]
        told = {"days dealt, flights tested": one_look}
        told["days dealt, days tested"] = _differ_by_day(day, by_day, outcome)
        found.append(alarms(Sums.of(day, treated, outcome, DAYS)) | told)
    return {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}


def _differ_by_day(day: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> bool:
    from scipy.stats import ttest_ind

    means = np.bincount(day, outcome) / np.bincount(day)
    arm = np.bincount(day, treated) > 0
    return bool(ttest_ind(means[arm], means[~arm], equal_var=False).pvalue < ALPHA)


def power(trial: Trial, metric: str, runs: int = RUNS) -> dict[str, Any]:
    """Tests of the fresher model: how many find it better, and how often a shadow does, by days."""
    from scipy.stats import norm, ttest_1samp

    rng, found = np.random.default_rng(1), {}
    limit = norm.isf(ALPHA / 2)
    for days in (7, 14, 28, 56):
        starts, better, paired = np.arange(trial.days - days + 1), 0, []
        for _ in range(runs):
            of = trial.window(int(rng.choice(starts)), days)
            treated = rng.random(int(of.sum())) < 0.5
            outcome = np.where(treated, trial.challenger[metric][of], trial.champion[metric][of])
            nothing = np.zeros(len(outcome), "int64")
            better += Sums.of(nothing, treated, outcome, 1).z()[0] < -limit
        for first in starts:
            of = trial.window(int(first), days)
            by = trial.challenger[metric][of] - trial.champion[metric][of]
            day = trial.day[of] - first
            means = np.bincount(day, by) / np.bincount(day)
            test = ttest_1samp(means, 0)
            paired.append(test.pvalue < ALPHA and test.statistic < 0)
        found[f"{days} days"] = {
            "test": round(better / runs, 4),
            "shadow": round(float(np.mean(paired)), 4),
        }
    return found


def sizes(trial: Trial, recipe: Recipe, metric: str) -> dict[str, Any]:
    """How large the difference is, and what a test and a shadow need to find it."""
    from scipy.stats import norm

    champion, by = trial.champion[metric], trial.challenger[metric] - trial.champion[metric]
    effect = difference(by, trial.day, recipe.bootstrap)
    flights = arm_size(float(champion.std()), effect.point)
    explained = reduced(champion, trial.before[metric])
    means = np.bincount(trial.day, by) / np.bincount(trial.day)
    a_day = len(by) / trial.days / 2
    shadow = ((norm.isf(ALPHA / 2) + norm.ppf(POWER)) * means.std(ddof=1) / effect.point) ** 2
    found = {n: round(getattr(effect, n), 5) for n in ("point", "low", "high")}
    days = round(flights / a_day, 1)
    return {
        "champion": round(float(champion.mean()), 4),
        "difference": found,
        "flights_an_arm": round(flights),
        "days": days,
        "days_by_effect": days_by_effect(days, found),
        "explained_before": round(explained, 4),
        "days_with_covariate": round(flights * (1 - explained) / a_day, 1),
        "days_of_a_shadow": round(shadow, 1),
    }


def sticky(names: list[str], numbers: list[str]) -> dict[str, float]:
    """Which flights change arms while a canary grows, and which flight numbers meet both models."""
    steps = [Route(_shares(weight), "salt") for weight in (500, 2500, 5000)]
    again = [replace(step, salt=f"salt {n}") for n, step in enumerate(steps)]
    half = steps[-1]
    by_name: dict[str, set[str]] = {}
    for name, number in zip(names, numbers, strict=True):
        by_name.setdefault(number, set()).add(arm_of(name, half))
    return {
        "changed_arm": _changed(names, steps),
        "changed_arm_with_a_salt_a_step": _changed(names, again),
        "numbers": len(by_name),
        "numbers_that_met_both": round(float(np.mean([len(a) > 1 for a in by_name.values()])), 4),
        "arms_a_number_meets_if_it_is_the_key": len({arm_of(numbers[0], half) for _ in range(9)}),
    }


def _shares(weight: int) -> dict[str, int]:
    return {"challenger": weight, "control": weight, "champion": 10_000 - 2 * weight}


def _changed(names: list[str], steps: list[Route]) -> float:
    """The share of flights in an arm that are in the other one, or in none, a step later."""
    moved, dealt = 0, 0
    for before, after in pairwise(steps):
        for name in names:
            if (arm := arm_of(name, before)) != "champion":
                dealt += 1
                moved += arm_of(name, after) != arm
    return round(moved / dealt, 4)


def models(recipe: Recipe, frame: pd.DataFrame, watch: Watch) -> dict[str, np.ndarray]:
    """The risks of some flights by the champion and by the fresher model."""
    judging = frame[frame["month"].isin(MONTHS)]
    found = {}
    for name, one in {"champion": recipe, "challenger": recipe.until(LAST_LEARNED)}.items():
        found[name] = one.predict(one.fit(frame), judging)
        watch.said(f"{name} trained")
    return found


def trial_of(flights: pd.DataFrame, risk: dict[str, np.ndarray]) -> Trial:
    """The flights with each model's losses by either metric."""
    labels, p = flights[LABEL].to_numpy(), risk["champion"]
    late, punctual = np.ones(len(labels)), np.zeros(len(labels))

    def losses(of: np.ndarray) -> Losses:
        return {name: metric(labels, of) for name, metric in METRICS.items()}

    before = {
        name: p * metric(late, p) + (1 - p) * metric(punctual, p)
        for name, metric in METRICS.items()
    }
    _, day = np.unique(flights["month"] * 100 + flights["day"], return_inverse=True)
    return Trial(day, losses(p), losses(risk["challenger"]), before)


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """Every figure of the benchmark."""
    recipe = Recipe.of(raw)
    risk = models(recipe, raw.honest, watch)
    flights = raw.honest[raw.honest["month"].isin(MONTHS)]
    trial = trial_of(flights, risk)
    found: dict[str, Any] = {"flights": len(flights), "days": trial.days, "runs": RUNS}
    found["design"] = {"alpha": ALPHA, "power": POWER}
    found["metrics"] = {name: sizes(trial, recipe, name) for name in METRICS}
    watch.said("sizes")
    found["false_alarms"] = false_alarms(trial, "cost")
    watch.said(f"{RUNS:,} tests of the champion against itself, of {DAYS} days")
    found["power"] = {name: power(trial, name) for name in METRICS}
    watch.said("tests of the fresher model")
    month = flights[flights["month"] == MONTHS[0]]
    numbers = [month[part].astype(str) for part in ("carrier", "flight", "origin")]
    names = flight_names(month).tolist()
    found["arms"] = sticky(names, ["/".join(parts) for parts in zip(*numbers, strict=True)])
    watch.said("arms of a month's flights")
    return found


def main() -> int:
    """Measure, print, and write benchmarks/ab_test.json."""
    print("ab-test: two models, dealt the real flights of May and June", flush=True)
    print(json.dumps(recorded("ab_test", measured, UNITS), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
