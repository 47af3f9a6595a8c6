"""Does one model treat groups alike, and which kinds of alike can be had at once?

Carriers and airports stand in for groups of people. The champion's risks of April to June are
compared with what happened, by group: calibration, then warnings that were missed and needless.
Each group's mean risk is then corrected, to see which differences stay.
"""

import json
import sys
from typing import Any

import numpy as np

from benchmarks.ab_test import WARN_FROM
from benchmarks.study import Raw, Recipe, Watch, recorded
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL
from pipeline.shared.paired_difference import Difference, difference

FEWEST = 1_000
"""Flights that a group needs, or its rates say little."""
UNITS = (
    "gap: mean risk less late share; less_all: gap less that of all; "
    "missed, needless: shares of late and of other flights"
)


def rates(labels: np.ndarray, risk: np.ndarray) -> dict[str, float]:
    """The share of late flights without a warning, and of other flights with one."""
    late, warned = labels == 1, risk >= WARN_FROM
    return {
        "missed": round(float((~warned)[late].mean()), 4),
        "needless": round(float(warned[~late].mean()), 4),
    }


def calibrated(labels: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """The risks shifted in log odds so that their mean is the share that was late."""
    from scipy.optimize import brentq

    odds = np.log(risk) - np.log1p(-risk)

    def shifted(by: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(odds + by)))

    share = labels.mean()
    return shifted(brentq(lambda by: shifted(by).mean() - share, -10, 10))


def spread(groups: dict[str, Any], of: str) -> dict[str, float]:
    """The lowest and the highest value among groups."""
    values = [group[of] for group in groups.values()]
    return {"min": min(values), "max": max(values)}


def less_all(of: np.ndarray, error: np.ndarray) -> np.ndarray:
    """For each flight a value; their mean is the mean error of a group less that of all.

    Linear in the flights of a day, so that an interval over days pairs the group with all.
    """
    gap, gap_of_all = error[of].mean(), error.mean()
    own = np.where(of, (error - gap) / of.mean(), 0)
    return np.asarray(own - (error - gap_of_all) + (gap - gap_of_all))


def by_group(
    recipe: Recipe, names: np.ndarray, labels: np.ndarray, risk: np.ndarray, day: np.ndarray
) -> dict[str, Any]:
    """Each group with enough flights: its rates, its gap, and its rates without that gap."""
    groups: dict[str, Any] = {}
    large = [name for name in sorted(set(names)) if (names == name).sum() >= FEWEST]
    kept = np.isin(names, large)
    error = risk - labels
    for name in large:
        of = names == name
        gap = difference(error[of], day[of], recipe.bootstrap)
        apart = difference(less_all(of[kept], error[kept]), day[kept], recipe.bootstrap)
        best = rates(labels[of], calibrated(labels[of], risk[of]))
        groups[str(name)] = {
            "flights": int(of.sum()),
            "late": round(float(labels[of].mean()), 4),
            "gap": _rounded(gap),
            "less_all": _rounded(apart),
            **rates(labels[of], risk[of]),
            **{f"{rate}_calibrated": value for rate, value in best.items()},
        }
    return groups


def _rounded(found: Difference) -> dict[str, float]:
    return {end: round(getattr(found, end), 4) for end in ("point", "low", "high")}


def mean_gap(groups: dict[str, Any]) -> float:
    """The mean risk less the late share over the flights of all groups."""
    flights = [group["flights"] for group in groups.values()]
    return float(np.average([group["gap"]["point"] for group in groups.values()], weights=flights))


def summary(groups: dict[str, Any]) -> dict[str, Any]:
    """How far groups are apart, what all have in common, which are surely off, and from all."""

    def excluding_zero(of: str) -> list[str]:
        return sorted(n for n, g in groups.items() if g[of]["low"] > 0 or g[of]["high"] < 0)

    kinds = ("late", "missed", "needless", "missed_calibrated", "needless_calibrated")
    return {
        "groups": len(groups),
        "surely_off": excluding_zero("gap"),
        "surely_apart": excluding_zero("less_all"),
        "mean_gap": round(mean_gap(groups), 4),
        "worst_gap": max((g["gap"] for g in groups.values()), key=lambda gap: abs(gap["point"])),
        **{kind: spread(groups, kind) for kind in kinds},
    }


def measured(raw: Raw, watch: Watch) -> dict[str, Any]:
    """Carriers, then airports."""
    recipe, frame = Recipe.of(raw), raw.honest
    scored = frame[recipe.scored]
    risk = recipe.risk(recipe.fit(frame), frame)
    watch.said("champion trained")
    labels = scored[LABEL].to_numpy()
    day = (scored["month"] * 100 + scored["day"]).to_numpy()
    found: dict[str, Any] = recipe.told()
    for kind in ("carrier", "origin"):
        groups = by_group(recipe, scored[kind].to_numpy(), labels, risk, day)
        found[kind] = summary(groups) | {"by_group": groups}
    return found


def main() -> int:
    """Measure, print, and write benchmarks/fairness.json."""
    print("fairness: one model, many carriers", flush=True)
    found = recorded("fairness", measured, UNITS)
    print(json.dumps({k: v for k, v in found["carrier"].items() if k != "by_group"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
