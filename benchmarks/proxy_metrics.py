"""Proxies: what stands for the outcome until labels arrive, each held against it before it is used.

A proxy gives each flight a chance of being late that is known before its label: from the
departure-late flag alone, from the flag and the model's risk, from labels known early, or from the
risk itself. A day's late share and loss are then estimated as if that chance were the outcome.
`make measure M=outcomes` measures them; none was good enough for a command to decide by it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, PROXY
from pipeline.monitor.performance.quality import expected_loss
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

RISK_BINS = 10
"""Of the flag's rates by risk: tenths of the training window."""
ONSET_DAYS = 3
"""A proxy that began to fire so many days before the outcome did still began with it."""


@dataclass(frozen=True)
class FlagRates:
    """P(late | departure-late flag, bin of the model's risk), as past labels have it.

    `edges` part the risks into bins (none: the flag alone); `rates` is 2 x bins, by flag.
    """

    edges: np.ndarray
    rates: np.ndarray

    @classmethod
    def of(cls, past: pd.DataFrame, bins: int = 1) -> "FlagRates":
        """From past flights with LABEL, PROXY and risk; bins hold equally many of them.

        A bin without any flight of one flag has that flag's overall share.
        """
        risk, late = past["risk"].to_numpy(), past[LABEL].to_numpy(dtype="float64")
        edges = np.unique(np.quantile(risk, np.arange(1, bins) / bins))
        flag, place = past[PROXY].to_numpy(dtype="int64"), np.searchsorted(edges, risk, "right")
        width = len(edges) + 1
        cell = flag * width + place
        counts = np.bincount(cell, minlength=2 * width).reshape(2, width)
        total = np.bincount(cell, late, minlength=2 * width).reshape(2, width)
        overall = total.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
        rates = np.where(counts > 0, total / np.maximum(counts, 1), overall[:, None])
        return cls(edges, rates)

    def chance(self, flag: np.ndarray, risk: np.ndarray) -> np.ndarray:
        """The chance of being late of flights with these flags and risks."""
        found = self.rates[flag.astype("int64"), np.searchsorted(self.edges, risk, "right")]
        return np.asarray(found)


def daily(day: np.ndarray, chance: np.ndarray, risk: np.ndarray) -> pd.DataFrame:
    """Each day's sums, by day: `flights`, `late`, `risk`, `loss`, `expected` (nats).

    With the labels themselves as `chance` they are the truth, since the loss is linear in them.
    """
    sure, never = np.ones(len(risk)), np.zeros(len(risk))
    loss = chance * log_loss(sure, risk) + (1 - chance) * log_loss(never, risk)
    each = pd.DataFrame(
        {
            "flights": 1.0,
            "late": chance,
            "risk": risk,
            "loss": loss,
            "expected": expected_loss(risk),
        }
    )
    return each.groupby(np.asarray(day)).sum()


def rates(sums: pd.DataFrame) -> pd.DataFrame:
    """A day's (or window's) means from its sums: share, loss, and what the alert looks at."""
    of = sums["flights"]
    excess = (sums["loss"] - sums["expected"]) / of
    gap = (sums["late"] - sums["risk"]) / of
    return pd.DataFrame(
        {"share": sums["late"] / of, "loss": sums["loss"] / of, "excess": excess, "gap": gap}
    )


def trailing(sums: pd.DataFrame, rule: OutcomeRule) -> pd.DataFrame:
    """The alert's window ending with each day: excess and gap, NaN with too few days."""
    window = sums.rolling(rule.window_days, min_periods=rule.min_days).sum()
    return rates(window)[["excess", "gap"]]


def fires(window: pd.DataFrame, rule: OutcomeRule) -> pd.Series:
    """Whether the outcome's alert would fire on each window."""
    return (window["excess"] > rule.max_excess_loss) | (window["gap"].abs() > rule.max_gap)


def episodes(firing: np.ndarray) -> list[tuple[int, int]]:
    """Runs of firing days as places of their first and last day."""
    edge = np.diff(np.concatenate([[0], firing.astype("int8"), [0]]))
    return list(
        zip(
            np.flatnonzero(edge == 1).tolist(),
            (np.flatnonzero(edge == -1) - 1).tolist(),
            strict=True,
        )
    )


def against(truth: np.ndarray, ours: np.ndarray) -> dict[str, Any]:
    """A proxy's alert against the outcome's, episode by episode and day by day.

    An episode is met `earlier` (begun up to ONSET_DAYS before it), on the `same` day, `later`
    within it, or `never`; `already` means that the proxy has fired for longer: no warning. An
    episode of the proxy in which the outcome never fires is `false`.
    """
    found: dict[str, int] = dict.fromkeys(["earlier", "same", "later", "never", "already"], 0)
    begun = [start for start, _ in episodes(ours)]
    for start, end in episodes(truth):
        onset = [b for b in begun if start - ONSET_DAYS <= b <= end]
        if ours[start] and not any(b <= start for b in onset):
            found["already"] += 1
        elif not onset:
            found["never"] += 1
        else:
            found["same" if onset[0] == start else "earlier" if onset[0] < start else "later"] += 1
    false = [e for e in episodes(ours) if not truth[e[0] : e[1] + 1].any()]
    return {
        "episodes": len(episodes(truth)),
        **found,
        "false_episodes": len(false),
        "own_episodes": len(begun),
        "days_both": int((truth & ours).sum()),
        "days_missed": int((truth & ~ours).sum()),
        "days_false": int((~truth & ours).sum()),
    }


def validated(
    ours: pd.DataFrame, truth: pd.DataFrame, rule: OutcomeRule, bootstrap: Bootstrap
) -> dict[str, Any]:
    """A proxy's daily sums held against the true ones: bias, correlation over days, alerts.

    A bias is the mean over days, each day as one, with its interval. Correlations are of daily
    figures and of the alert's windows; None where one never moves.
    """
    mine, real = rates(ours), rates(truth)
    found: dict[str, Any] = {
        "bias": {name: over_days((mine - real)[name].to_numpy(), bootstrap) for name in real},
        "correlation": {name: _correlation(mine[name], real[name]) for name in real},
    }
    windows = trailing(ours, rule), trailing(truth, rule)
    found["correlation_of_windows"] = {
        name: _correlation(windows[0][name], windows[1][name]) for name in windows[1]
    }
    found["alert"] = against(*(fires(w, rule).to_numpy() for w in windows[::-1]))
    return found


def over_days(values: np.ndarray, bootstrap: Bootstrap) -> dict[str, float]:
    """The mean of one value a day (NaN: none) with its interval over days."""
    there = values[~np.isnan(values)]
    found = difference(there, np.arange(len(there)), bootstrap)
    return {name: round(float(getattr(found, name)), 4) for name in ("point", "low", "high")}


def _correlation(ours: pd.Series, truth: pd.Series) -> float | None:
    both = ours.notna() & truth.notna()
    if both.sum() < 3 or ours[both].std() < 1e-9 or truth[both].std() < 1e-9:
        return None
    return round(float(np.corrcoef(ours[both], truth[both])[0, 1]), 3)
