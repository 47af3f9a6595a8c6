"""How often a rollout's analysis is wrong, how soon it is right: simulated canaries and shadows.

Canaries and shadows of the real flights from April on, judged by the functions that judge real
ones: challengers that are no different, ones that are worse, and what other rules say of the same.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.rivals import RIVALS, repeated_mean
from benchmarks.shadows import shadows
from benchmarks.study import Raw, Recipe, Watch, kept, published
from benchmarks.traffic import START, Flights, World, canary
from pipeline.__main__ import run_command
from pipeline.features.definitions import FEATURES, matrix
from pipeline.flights.features import WEATHER
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.decision import Decision, Position
from pipeline.serve.skew import Raw as Tables
from pipeline.serve.skew import mistakes
from pipeline.shared.config.loading import load
from pipeline.shared.config.rollout import RolloutConfig

RUNS, LONG_RUNS, FAULT_RUNS, REPLAYED = 2000, 2000, 400, 20
LONG_DAYS = 46
"""Enough for 20,000 requests an arm at half of the traffic each."""
LONG_REQUESTS = 20_000
WINDOW = 50
"""Challenger's requests from look to look, for rules that depend on it."""
SCORED_FROM = 4
LAG = 360
UNITS = {
    "requests": "of the challenger, until the alarm",
    "alarmed": "share of canaries ever stopped or paused",
    "loss": "log loss in nats",
}


@dataclass(frozen=True)
class Models:
    """Risks of the flights that are replayed, by model or mistake; days and labels beside them."""

    frame: pd.DataFrame
    risk: dict[str, np.ndarray]


def models(raw: Raw, recipe: Recipe, watch: Watch) -> Models:
    """The champion, retrained each month, learned from resampled days, and fed with mistakes."""
    later = (raw.honest["month"] >= SCORED_FROM).to_numpy()
    names = [name for name in FEATURES if name not in recipe.train.drop_features]

    def said(model: Any, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(model.predict_proba(matrix(frame[later], names))[:, 1])

    champion = recipe.fit(raw.honest)
    risk = {"champion": said(champion, raw.honest)}
    watch.said("champion trained")
    for name, frame in mistaken(raw):
        risk[name] = said(champion, frame)
    watch.said("mistakes served")
    risk["retrained each month"] = retrained(raw, recipe, said, watch)
    for seed in range(AGAIN):
        risk[f"again {seed}"] = said(_resampled(raw, recipe, names, seed), raw.honest)
        watch.said(f"model of resampled days, {seed + 1} of {AGAIN}")
    return Models(raw.honest[later].reset_index(drop=True), risk)


AGAIN = 6
"""Models that differ by the days that they happened to learn from: 30 ordered pairs, no worse."""


def mistaken(raw: Raw) -> Iterator[tuple[str, pd.DataFrame]]:
    """What serving mistakes would feed the champion with."""
    stale = next(
        frame
        for name, frame in mistakes(raw.honest, Tables(raw.flights, raw.weather, raw.config), [LAG])
        if "stale" in name or "behind" in name or "lag" in name
    )
    yield "store 6 hours behind", stale
    for name, columns in {
        "no aircraft": [c for c in FEATURES if c.startswith("aircraft_")],
        "no weather": WEATHER,
        "no rolling shares": [c for c in FEATURES if c.endswith(("_1h", "_3h", "_6h", "_24h"))],
    }.items():
        yield name, raw.honest.assign(**dict.fromkeys(columns, np.float32("nan")))


def retrained(raw: Raw, recipe: Recipe, said: Any, watch: Watch) -> np.ndarray:
    """Each month's risks by a model of all months before it."""
    later = raw.honest["month"][raw.honest["month"] >= SCORED_FROM].to_numpy()
    parts = np.zeros(len(later))
    for month in range(SCORED_FROM, 13):
        last = f"{pd.Timestamp(2013, month, 1) - pd.Timedelta(days=1):%Y-%m-%d}"
        fresh = recipe.until(last)
        parts = np.where(later == month, said(fresh.fit(raw.honest), raw.honest), parts)
        watch.said(f"model of the flights until {last}")
    return parts


def _resampled(raw: Raw, recipe: Recipe, names: list[str], seed: int) -> Any:
    from pipeline.models.trees import boosting

    learned = raw.honest[recipe.learned]
    day = (learned["month"] * 100 + learned["day"]).to_numpy()
    rows = pd.Series(np.arange(len(day))).groupby(day).apply(np.array)
    drawn = np.random.default_rng(seed).integers(0, len(rows), len(rows))
    picked = learned.iloc[np.sort(np.concatenate(rows.to_numpy()[drawn]))]
    return boosting(recipe.train, names, matrix(picked, names), picked["late"].to_numpy())


def flights(found: Models) -> tuple[Flights, np.ndarray]:
    """The flights in the order of their predictions, and that order."""
    order = np.argsort(found.frame["predict_at"].to_numpy(), kind="stable")
    frame = found.frame.iloc[order]
    local = frame["predict_at"].dt.tz_convert("America/New_York")
    hour = (frame["predict_at"] - frame["predict_at"].iloc[0]) // pd.Timedelta(hours=1)
    day = (local.dt.normalize().dt.tz_localize(None) - pd.Timestamp("2013-04-01")).dt.days
    columns = [frame[c].astype(str) for c in ("month", "day", "carrier", "flight", "origin")]
    key = [":".join(parts).encode() for parts in zip(*columns, strict=True)]
    minute = (frame["predict_at"] - frame["predict_at"].iloc[0]) // pd.Timedelta(minutes=1)
    within = np.random.default_rng(0).random(len(frame))  # a T is a minute, a request an instant
    band = pd.cut(frame["sched_hour"], [-1, 8, 12, 16, 20, 24], labels=False).astype(str)
    return Flights(
        key,
        60 * (minute.to_numpy() + within),
        np.maximum(day.to_numpy(), 0),
        hour.to_numpy(),
        frame["origin"].to_numpy(dtype=object),
        band.to_numpy(dtype=object),
        found.risk["champion"][order],
    ), order


def judged(plan: RolloutConfig, observed: pd.DataFrame, same_model: bool = True) -> Decision:
    """The last look at a canary; an alarm at any earlier one is in it, with its number."""
    days = float(observed["day"].iloc[-1] + 1)
    last = len(plan.canary.steps) - 1
    at = Position(step=last, days=days, days_at_step=plan.canary.steps[last].days)
    return decide_canary(plan, START.model_copy(update={"same_model": same_model}), observed, at)


def alarm(decision: Decision, most: int = 10**9) -> int | None:
    """After how many of the challenger's requests the first guardrail alarmed, if by then."""
    at = [m.alarmed_at for m in decision.metrics if m.alarmed_at is not None]
    return min(at) if at and min(at) <= most else None


def windows(observed: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Failures in each window of both arms."""
    failed = (observed["code"] != 200).to_numpy()
    mine = (observed["arm"] == "challenger").to_numpy()
    many = min(mine.sum(), (~mine).sum()) // WINDOW
    cut = many * WINDOW
    return tuple(failed[of][:cut].reshape(many, WINDOW).sum(axis=1) for of in (mine, ~mine))


MEANS = "mean risk, p below .05 at any look"


def risks(observed: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The risks answered in both arms."""
    risk, mine = observed["risk"], observed["arm"] == "challenger"
    return risk[mine].dropna().to_numpy(), risk[~mine].dropna().to_numpy()


def alike(plan: RolloutConfig, traffic: Flights, world: World, runs: int, days: int | None) -> Any:
    """Canaries of a challenger that is no different: how many each rule stops, by when."""
    ends = {"at_the_plans_end": int(sum(step.days for step in plan.canary.steps))}
    if days:
        ends["at_20000_requests"] = days
    rows, guards = [], []
    for seed in range(runs):
        observed = canary(traffic, plan.canary, world, seed, days)
        decision = judged(plan, observed)
        tripped = any(breaker.tripped for breaker in decision.breakers)
        told = {metric.name: metric.alarmed for metric in decision.metrics}
        guards.append({**told, "breakers": tripped})
        looks = others(observed)
        for end, length in ends.items():
            mine = observed["arm"][observed["day"] < length] == "challenger"
            size = min(int(mine.sum()), LONG_REQUESTS)
            stopped = {name: at is not None and at <= size for name, at in looks.items()}
            ours = tripped or alarm(decision, size) is not None
            rows.append({"end": end, "requests": size, "ours": ours, **stopped})
    by_end = pd.DataFrame(rows).groupby("end", sort=False)
    shares = by_end.mean().drop(columns="requests").round(4)
    return {
        "runs": runs,
        "requests": by_end["requests"].median().astype(int).to_dict(),
        "alarmed": shares.to_dict("index"),
        "by_guardrail": pd.DataFrame(guards).mean().round(4).to_dict(),
    }


def others(observed: pd.DataFrame) -> dict[str, int | None]:
    """After how many of the challenger's requests each other rule stops a canary."""
    looks = {name: rule(*windows(observed), WINDOW) for name, rule in RIVALS.items()}
    looks[MEANS] = repeated_mean(*risks(observed), WINDOW)
    return {name: None if at is None else (at + 1) * WINDOW for name, at in looks.items()}


def replayed(plan: RolloutConfig, traffic: Flights, runs: int) -> dict[str, Any]:
    """Canaries judged at every look: is the answer the one that the last look names?"""
    equal, looks = 0, 0
    for seed in range(runs):
        world = World().with_more(errors=0.02 * (seed % 2))
        observed = canary(traffic, plan.canary, world, 10_000 + seed)
        named = alarm(judged(plan, observed))
        mine = np.cumsum(observed["arm"] == "challenger").to_numpy()
        for size in range(2 * WINDOW, len(observed), 2 * WINDOW):
            looks += 1
            by_then = named if named is not None and named <= mine[size - 1] else None
            equal += alarm(judged(plan, observed[:size])) == by_then
    return {"canaries": runs, "looks": looks, "equal": equal}


def faults(found: Models, order: np.ndarray) -> dict[str, tuple[World, str]]:
    """What goes wrong, and the guardrail that should say so."""
    world = World()
    return {
        **{
            f"errors {base:.1%} and {more:.0%} more": (
                World(errors=base).with_more(errors=more),
                "errors",
            )
            for base in (0.001, 0.01)
            for more in (0.01, 0.02, 0.05, 0.3)
        },
        "latency +30%": (replace(world, slower=1.3), "slow"),
        "missing 1% to 6%": (world.with_more(missing=0.05), "missing"),
        "every view stale": (world.with_more(stale=1.0), "stale"),
        "fallback +5%": (world.with_more(fallback=0.05), "fallback"),
        "risk +.05": (replace(world, risk=lambda risk: risk + 0.05), "score"),
        "risk to the power .8": (replace(world, risk=lambda risk: risk**0.8), "score"),
        "store 6 hours behind": (
            replace(world, other_risk=found.risk["store 6 hours behind"][order]),
            "score",
        ),
        "a tenth of its requests lost": (replace(world, lost=0.1), "sample_ratio"),
        "a good retrained model": (
            replace(world, other_risk=found.risk["retrained each month"][order]),
            "score",
        ),
    }


def detected(
    plan: RolloutConfig, traffic: Flights, world: World, guard: str, same_model: bool = True
) -> dict[str, Any]:
    """How many faulty canaries are stopped by the plan's end, and after how many requests."""
    at, by_guard, sizes = [], 0, []
    for seed in range(FAULT_RUNS):
        observed = canary(traffic, plan.canary, world, 20_000 + seed)
        decision = judged(plan, observed, same_model)
        at.append(alarm(decision))
        by_guard += decision.metric(guard).alarmed
        sizes.append(int((observed["arm"] == "challenger").sum()))
    stopped = np.array([np.inf if a is None else a for a in at])
    quantiles = np.quantile(stopped, [0.5, 0.9], method="inverted_cdf")
    return {
        "guardrail": guard,
        "runs": FAULT_RUNS,
        "found": round(float(np.isfinite(stopped).mean()), 4),
        "found_by_it": round(by_guard / FAULT_RUNS, 4),
        "requests_median": int(quantiles[0]) if np.isfinite(quantiles[0]) else None,
        "requests_p90": int(quantiles[1]) if np.isfinite(quantiles[1]) else None,
        "of_requests": int(np.median(sizes)),
    }


def yesterdays(plan: RolloutConfig, traffic: Flights) -> dict[str, Any]:
    """A control of the day before, dealt among the challenger's requests as if it were of now."""
    old, alike = World(control_of_yesterday=True), World()
    bursts = {"errors": 0.001, "bursts": True}
    found = {}
    for name, world in {
        "control of now": alike,
        "control of yesterday": old,
        "control of now, errors in bursts": replace(alike, **bursts),
        "control of yesterday, errors in bursts": replace(old, **bursts),
    }.items():
        decisions = [
            judged(plan, canary(traffic, plan.canary, world, 30_000 + seed))
            for seed in range(FAULT_RUNS)
        ]
        found[name] = {
            "alarmed": round(sum(alarm(d) is not None for d in decisions) / FAULT_RUNS, 4),
            **{
                guard: round(sum(d.metric(guard).alarmed for d in decisions) / FAULT_RUNS, 4)
                for guard in ("errors", "score")
            },
        }
    honest = canary(traffic, plan.canary, World(), 0)
    apart = pd.concat([honest[honest["arm"] == "control"], honest[honest["arm"] != "control"]])
    apart = apart.assign(at=np.sort(apart["at"]))
    return {"runs": FAULT_RUNS, **found, "in_the_order_of_time": judged(plan, apart).outcome}


def canaries(
    plan: RolloutConfig, traffic: Flights, wrong: dict[str, tuple[World, str]], watch: Watch
) -> dict[str, Any]:
    """Everything about canaries: looks, faults, controls, and challengers that are no different."""
    result: dict[str, Any] = {"looks_replayed": replayed(plan, traffic, REPLAYED)}
    watch.said("canaries judged at every look")
    result["faults"] = {name: detected(plan, traffic, *of) for name, of in wrong.items()}
    retrained_model = wrong["a good retrained model"][0]
    told = detected(plan, traffic, retrained_model, "errors", False)
    result["retrained_not_the_same_model"] = told
    watch.said("faulty canaries")
    result["control"] = yesterdays(plan, traffic)
    watch.said("controls of another day")
    result["alike"] = {}
    for name, world, runs, days in [
        ("errors 0.1%", World(errors=0.001), RUNS, None),
        ("errors in bursts", World(errors=0.001, bursts=True), RUNS, None),
        ("errors 1%", World(), LONG_RUNS, LONG_DAYS),
    ]:
        result["alike"][name] = alike(plan, traffic, world, runs, days)
        watch.said(f"{runs:,} canaries of a challenger that is no different, {name}")
    return result


def main() -> int:
    """Measure, print, and write benchmarks/rollout.json."""
    print("rollouts: canaries and shadows of the real flights, April to December", flush=True)
    watch, plan = Watch(), load(RolloutConfig)
    raw = published("2013-12")
    recipe = Recipe.of(raw)
    watch.said("raw tables accepted")
    found = models(raw, recipe, watch)
    traffic, order = flights(found)
    result: dict[str, Any] = {"units": UNITS, "flights": len(traffic.day), "days": traffic.days}
    result["shadow"] = shadows(plan, found, watch)
    result |= canaries(plan, traffic, faults(found, order), watch)
    result["seconds"] = watch.seconds()
    kept("rollout", result)
    print(f"rollouts: done in {watch.seconds():.0f} s -> benchmarks/rollout.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
