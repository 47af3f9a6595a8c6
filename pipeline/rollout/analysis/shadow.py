"""The decision of a shadow: challenger against champion on the same requests, pair by pair.

The pairs show at once if the challenger fails, is slow or predicts something else. Its log loss
takes labels and days: events of one day have much in common, so there are few interim analyses.
"""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.rollout.analysis.decision import (
    ArmSummary,
    Decision,
    Finite,
    MetricResult,
    Outcome,
    plan_hash,
    round_digits,
)
from pipeline.rollout.analysis.group_sequential import interval_end, limits, p_above
from pipeline.rollout.analysis.sequential_tests import first_alarm, log_e_events, p_anytime
from pipeline.rollout.analysis.stalls import bad_events
from pipeline.shared.config.rollout import RolloutConfig, ShadowPlan
from pipeline.usecase.chosen import USECASE

SIDES = ("challenger", "champion")
QUANTILES = (0.5, 0.9, 0.99)


class ShadowComparison(Finite):
    """The comparison of paired responses to the same requests; None where there is nothing.

    Failures of one side alone that share a cause are one event (stalls.py): `failed_alone` counts
    pairs, `failure_events` events. `slower_blocks` are the blocks of time in which the challenger's
    median was higher, and lower. Seconds and risks are quantiles at QUANTILES; `ks` is the largest
    distance between the two distributions of risk, `moved` the quantiles of |challenger -
    champion|, reliable with `enough` pairs. `p_fails_more` and `p_slower` are valid at any time;
    `p_slower` is reported only.
    """

    pairs: int
    both_answered: int
    failed_alone: tuple[int, int]
    failure_events: tuple[int, int]
    p_fails_more: float
    fails_more: bool
    seconds: tuple[list[float], list[float]] | None
    slower_blocks: tuple[int, int]
    p_slower: float
    risk: tuple[list[float], list[float]] | None
    equal: float | None
    moved_mean: float | None
    moved: list[float] | None
    ks: float | None
    enough: bool


def compare_pairs(plan: RolloutConfig, pairs: pd.DataFrame) -> ShadowComparison:
    """Compare both sides' responses to the same requests, without labels.

    `pairs` has a row per request: at (its start in seconds), and code, seconds and risk of each
    side, as challenger_code and champion_code. Only failures of one side alone count.
    """
    pairs = pairs.sort_values("at", kind="stable")
    fine = {side: pairs[f"{side}_code"].between(200, 299).to_numpy() for side in SIDES}
    alone = fine["challenger"] != fine["champion"]
    began, rules = pairs["at"].to_numpy(dtype="float64"), plan.canary.guardrails
    failed = bad_events(alone, began, began, ~fine["challenger"], rules.errors.stall_seconds)
    log_e = log_e_events(failed.is_challenger)
    both = pairs[fine["challenger"] & fine["champion"]]
    slower = _slower_blocks(both, max(rules.slow.stall_seconds, 1e-6))
    ours = int((alone & ~fine["challenger"]).sum())
    return ShadowComparison(
        pairs=len(pairs),
        both_answered=len(both),
        failed_alone=(ours, int(alone.sum()) - ours),
        failure_events=failed.counts(),
        p_fails_more=round_digits(p_anytime(log_e)),
        fails_more=first_alarm(log_e, plan.shadow.errors_alpha) is not None,
        seconds=_quantiles(both, "seconds"),
        slower_blocks=(int(slower.sum()), int((~slower).sum())),
        p_slower=round_digits(p_anytime(log_e_events(slower))),
        risk=_quantiles(both, "risk"),
        **_risk_differences(both),
        enough=len(both) >= plan.shadow.min_pairs,
    )


def _slower_blocks(both: pd.DataFrame, seconds: float) -> np.ndarray:
    """For each block of time, whether the challenger's median is higher; ties are left out.

    Both serve the same requests at once, so a stall of either is one block, however many wait.
    """
    timed = both[["at", *(f"{side}_seconds" for side in SIDES)]].dropna()
    block = (timed.pop("at").astype("float64") // seconds).astype("int64")
    medians = timed.groupby(block.to_numpy()).median()
    apart = (medians["challenger_seconds"] - medians["champion_seconds"]).to_numpy()
    return np.asarray(apart[apart != 0] > 0)


def _quantiles(both: pd.DataFrame, what: str) -> tuple[list[float], list[float]] | None:
    known = both[[f"{side}_{what}" for side in SIDES]].dropna().to_numpy(dtype="float64")
    if not len(known):
        return None
    found = np.quantile(known, QUANTILES, axis=0)
    return [round_digits(x) for x in found[:, 0]], [round_digits(x) for x in found[:, 1]]


def _risk_differences(both: pd.DataFrame) -> dict[str, Any]:
    """The difference of the risks, challenger to champion, in pairs and as distributions."""
    risk = both[[f"{side}_risk" for side in SIDES]].dropna().to_numpy(dtype="float64")
    if not len(risk):
        return dict.fromkeys(("equal", "moved_mean", "moved", "ks"))
    apart = np.abs(risk[:, 0] - risk[:, 1])
    at = np.sort(risk, axis=None)
    below = [np.searchsorted(np.sort(side), at, side="right") / len(side) for side in risk.T]
    return {
        "equal": round_digits(float((apart == 0).mean())),
        "moved_mean": round_digits(float(apart.mean())),
        "moved": [round_digits(x) for x in np.quantile(apart, QUANTILES)],
        "ks": round_digits(float(np.abs(below[0] - below[1]).max())),
    }


def decide_shadow(plan: RolloutConfig, days: pd.DataFrame, refresh: bool) -> Decision:
    """Decide on the days with labels, at the plan's interim analyses and at no other time.

    `days` has a row per day, in order: rows, and worse_by (their mean paired log loss,
    challenger less champion, in nats). Days without either are left out. Every interim analysis
    reached is repeated in order and the first decisive one counts, so the time of the call does not
    matter. `refresh` is a scheduled retraining, with the code and the features of the champion.
    """
    shadow = plan.shadow
    usable = days[(days["rows"] > 0) & np.isfinite(days["worse_by"])]
    outcome: Outcome = "hold"
    metrics: list[MetricResult] = []
    reached = [look for look in shadow.looks if look <= len(usable)]
    for number, look in enumerate(reached):
        metrics = _interim_analysis(shadow, usable[:look], number, refresh)
        if (outcome := _outcome(metrics, last=look == shadow.looks[-1])) != "hold":
            break
    return Decision(
        plan=plan_hash(plan),
        refresh=refresh,
        outcome=outcome,
        reasons=_reasons(shadow, len(usable), len(days), metrics),
        metrics=metrics,
    )


def _interim_analysis(
    shadow: ShadowPlan, days: pd.DataFrame, number: int, refresh: bool
) -> list[MetricResult]:
    """Test at one interim analysis: significantly worse, not much worse, significantly better.

    Each is significant against the limit that this analysis may spend of its alpha.
    """
    looks = tuple(shadow.looks)
    worst = limits(looks, shadow.rollback_alpha)[number]
    best = limits(looks, shadow.pass_alpha)[number]
    x = days["worse_by"].to_numpy(dtype="float64")
    margin = shadow.pass_margin.refresh if refresh else shadow.pass_margin.change
    ends = round_digits(interval_end(x, worst)), round_digits(-interval_end(-x, best))
    rows = int(days["rows"].sum())
    return [
        _metric("worse", p_above(x, shadow.rollback_margin), worst, x, ends, rows),
        _metric("passes", p_above(-x, -margin), best, x, ends, rows),
        _metric("better", p_above(-x, 0.0), best, x, ends, rows),
    ]


def _metric(
    name: str, p: float, alpha: float, days: np.ndarray, ends: tuple[float, float], rows: int
) -> MetricResult:
    return MetricResult(
        name=name,
        direction="more is worse",
        unit="mean over days of the log loss, challenger less champion, in nats",
        challenger=ArmSummary(of=rows),
        control=ArmSummary(of=rows),
        estimate=round_digits(float(days.mean())),
        low=ends[0],
        high=ends[1],
        p=round_digits(p),
        alpha=round_digits(alpha),
        alarmed=p < alpha,
        alarmed_at=rows if p < alpha else None,
        required=name != "better",
        seen=len(days),
        enough=True,
    )


def _outcome(metrics: list[MetricResult], last: bool) -> Outcome:
    worse, passes, _ = metrics
    if worse.alarmed:
        return "rollback"
    if passes.alarmed:
        return "advance"
    return "inconclusive" if last else "hold"


def _reasons(shadow: ShadowPlan, usable: int, days: int, metrics: list[MetricResult]) -> list[str]:
    """The three results of the last interim analysis, and the days that the next one needs."""
    found = [
        f"{m.name} at day {m.seen}: {m.estimate:+.4f} [{m.low:+.4f}, {m.high:+.4f}], p {m.p:.2g}, "
        f"limit {m.alpha:.2g}: {'yes' if m.alarmed else 'not shown'}"
        for m in metrics
    ]
    if waiting := [look for look in shadow.looks if look > usable]:
        found.append(f"{usable} days with labels, next look at {waiting[0]}")
    if usable < days:
        found.append(f"{days - usable} of {days} days without {USECASE.noun} or loss left out")
    return found
