"""Shadows of the real flights: how often equal models are stopped, and worse ones are not."""

from typing import Any, Protocol

import numpy as np
import pandas as pd

from benchmarks.study import Watch
from pipeline.rollout.analysis.shadow import decide_shadow
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.scores import log_loss

LENGTH = 28
BLOCK = 7
"""Days that stay together where days are drawn: storms last."""
NULL_RUNS, POWER_RUNS = 2000, 400
PEEK_FROM = 3
BAD = ["store 6 hours behind", "no rolling shares", "no aircraft", "no weather"]
SHARES, DAYS = (5, 25, 50), (7, 14, 28, 182)
FLIGHTS_A_DAY = 920
DETECT = 1.645 + 0.842
"""Standard errors of a difference that a one-sided test at .05 finds in four of five cases."""


def log_e_days(days: np.ndarray, margin: float, r: float = 0.3) -> np.ndarray:
    """Log e after each day against "the mean over days is at most `margin`", for a dashboard.

    A t test with a half-normal prior of variance `r` on the mean in standard deviations, for normal
    days without memory; Wang and Ramdas (2023). Days are neither, so nothing acts on it.
    """
    from scipy.stats import t

    x = np.asarray(days, "float64") - margin
    n = np.arange(1, len(x) + 1)
    mean = np.cumsum(x) / n
    spread = np.maximum(np.cumsum(x**2) - n * mean**2, 0.0)
    q = n * r / (1 + n * r)
    rest = np.maximum(spread + n * mean**2 / (1 + n * r), 1e-300)
    ratio = np.maximum(spread + n * mean**2, 1e-300) / rest
    side = t.logcdf(q * mean / np.sqrt(q * rest / n**2), n)
    return np.asarray(np.log(2) - 0.5 * np.log1p(n * r) + n / 2 * np.log(ratio) + side)


class Risks(Protocol):
    """The replayed flights and every model's risks of them."""

    frame: pd.DataFrame
    risk: dict[str, np.ndarray]


def by_day(found: Risks, challenger: np.ndarray, champion: np.ndarray) -> pd.DataFrame:
    """A row per day: month, flights, worse_by, and the spread of the flights' own differences."""
    late = found.frame["late"].to_numpy()
    apart = pd.Series(log_loss(late, challenger) - log_loss(late, champion))
    groups = apart.groupby([found.frame["month"].to_numpy(), found.frame["day"].to_numpy()])
    told = groups.agg(["size", "mean", "var"]).set_axis(["flights", "worse_by", "var"], axis=1)
    return told.reset_index(names=["month", "day"])


def blocks(chance: np.random.Generator, series: np.ndarray, number: int) -> np.ndarray:
    """Days drawn in blocks, around the end."""
    starts = chance.integers(0, len(series), -(-number // BLOCK))
    rows = (starts[:, None] + np.arange(BLOCK)).ravel()[:number] % len(series)
    return series[rows]


def table(series: np.ndarray) -> pd.DataFrame:
    """Days as the decision wants them."""
    return pd.DataFrame({"rows": FLIGHTS_A_DAY, "worse_by": series})


def shares(outcomes: list[str]) -> dict[str, float]:
    """How often each outcome came."""
    names = ("rollback", "advance", "inconclusive")
    return {name: round(outcomes.count(name) / len(outcomes), 4) for name in names}


def naive(days: np.ndarray, error_of_flights: float) -> dict[str, bool]:
    """Whether peeking every day stops it, as if flights, or days, were independent, margin 0."""
    n = np.arange(1, len(days) + 1)
    mean = np.cumsum(days) / n
    spread = np.sqrt(np.maximum(np.cumsum(days**2) / n - mean**2, 1e-12) * n / np.maximum(n - 1, 1))
    late = n >= PEEK_FROM
    return {
        "flights, every day": bool((mean / (error_of_flights / np.sqrt(n)) > 1.645)[late].any()),
        "days, every day": bool((mean / (spread / np.sqrt(n)) > 1.645)[late].any()),
        "days, e-process, every day": bool((log_e_days(days, 0.0) >= np.log(20)).any()),
    }


def null(plan: RolloutConfig, days: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Real differences, each month's own mean taken out: a challenger that is neither."""
    centred = (days["worse_by"] - days.groupby("month")["worse_by"].transform("mean")).to_numpy()
    error = float(np.sqrt((days["var"] / days["rows"]).mean()))
    no_margin = plan.model_copy(
        update={"shadow": plan.shadow.model_copy(update={"rollback_margin": 0.0})}
    )
    chance = np.random.default_rng(seed)
    drawn = [blocks(chance, centred, LENGTH) for _ in range(NULL_RUNS)]
    peeked = pd.DataFrame([naive(series, error) for series in drawn]).mean()
    at_none = [decide_shadow(no_margin, table(series), True).outcome for series in drawn]
    margin = plan.shadow.rollback_margin
    return {
        "runs": NULL_RUNS,
        "by_the_plan": shares(
            [decide_shadow(plan, table(series), True).outcome for series in drawn]
        ),
        "at_the_margin": shares(
            [decide_shadow(plan, table(series + margin), True).outcome for series in drawn]
        ),
        "rolled_back_without_margin": {
            "days, four looks": round(at_none.count("rollback") / NULL_RUNS, 4),
            **{name: round(float(of), 4) for name, of in peeked.items()},
        },
    }


def power(plan: RolloutConfig, days: pd.DataFrame, seed: int) -> dict[str, Any]:
    """How often it is stopped: shadows drawn from all days, and each real month from its first."""
    chance, series = np.random.default_rng(seed), days["worse_by"].to_numpy()
    drawn = [
        decide_shadow(plan, table(blocks(chance, series, LENGTH)), True).outcome
        for _ in range(POWER_RUNS)
    ]
    real = {}
    for month, of in days.groupby("month"):
        decision = decide_shadow(plan, of[["flights", "worse_by"]][:LENGTH], True)
        found = decision.metric("worse")
        better = decision.metric("better").alarmed
        real[f"2013-{month:02d}"] = {
            "outcome": decision.outcome,
            "day": found.seen,
            "loss": round(float(of["worse_by"].mean()), 4),
            "shown_better": better,
        }
    within = float(np.sqrt((days["var"] / days["rows"]).mean()))
    return {
        "loss": round(float(series.mean()), 4),
        "times_too_sure": round(float(series.std(ddof=1)) / within, 2),
        "drawn": {"runs": POWER_RUNS, **shares(drawn)},
        "months": real,
    }


def again(plan: RolloutConfig, found: Risks) -> dict[str, Any]:
    """Models of resampled days against each other, from every seventh real day on."""
    models = [risk for name, risk in found.risk.items() if name.startswith("again")]
    outcomes, pooled = [], []
    for i, ours in enumerate(models):
        for j, theirs in enumerate(models):
            if i == j:
                continue
            days = by_day(found, ours, theirs)
            pooled.append(days)
            for first in range(0, len(days) - LENGTH + 1, 7):
                outcomes.append(decide_shadow(plan, days[first : first + LENGTH], True).outcome)
    return {"pairs": len(pooled), "shadows": len(outcomes), **shares(outcomes)}


def smallest_seen_by_a_canary(found: Risks) -> dict[str, Any]:
    """The log loss difference that arms of a canary would show, flights taken as independent."""
    loss = log_loss(found.frame["late"].to_numpy(), found.risk["champion"])
    spread = float(loss.std())
    smallest = {
        f"{share}%": {
            f"{days} days": round(
                DETECT * spread * float(np.sqrt(2 / (FLIGHTS_A_DAY * share / 100 * days))), 4
            )
            for days in DAYS
        }
        for share in SHARES
    }
    return {"spread_of_a_flights_loss": round(spread, 4), "smallest": smallest}


def shadows(plan: RolloutConfig, found: Risks, watch: Watch) -> dict[str, Any]:
    """Everything about shadows: equal models, noise, bad models, a real retrained one."""
    champion = found.risk["champion"]
    better = by_day(found, found.risk["retrained each month"], champion)
    # Before May the two are the same model.
    better = better[better["month"] > 4].reset_index(drop=True)
    equal = by_day(found, found.risk["again 0"], found.risk["again 1"])
    bent = {
        "risk to the power .8": champion**0.8,
        "log odds +.05": 1 / (1 + (1 / champion - 1) * np.exp(-0.05)),
    }
    bad = {name: found.risk[name] for name in BAD} | bent
    result = {
        "alike": again(plan, found),
        "noise": {
            "of equal models": null(plan, equal, 1),
            "of a retrained model": null(plan, better, 2),
            "of risks to the power .8": null(
                plan, by_day(found, bent["risk to the power .8"], champion), 3
            ),
        },
    }
    watch.said("shadows of models that are no different")
    result["retrained"] = power(plan, better, 4)
    result["bad"] = {
        name: power(plan, by_day(found, risk, champion), 5) for name, risk in bad.items()
    }
    watch.said("shadows of worse models")
    return result | {"canary_log_loss": smallest_seen_by_a_canary(found)}
