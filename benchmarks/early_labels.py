"""Labels known early are the good ones: what the labels of an unfinished day say, and what not.

A flight that lands early is known early; one that is late is known only 15 minutes after its
scheduled arrival. So among labels known so far punctual flights are too many, and the late share
looks low. Two repairs: count only flights whose deadline has passed, or give each flight that is
still unknown the chance of being late that its silence leaves. `make measure M=outcomes` measures
both; no command decides by them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL
from pipeline.flights.events import deadline


@dataclass(frozen=True)
class Pending:
    """How long before their deadline punctual flights were known in the past.

    `early` are those minutes, ascending; `base` is the late share of the same past.
    """

    early: np.ndarray
    base: float

    @classmethod
    def of(cls, past: pd.DataFrame) -> "Pending":
        """From past flights with labels: LABEL, `late_known_at`, and what `deadline` reads."""
        punctual = past[past[LABEL] == 0]
        early = (deadline(punctual) - punctual["late_known_at"]).dt.total_seconds() / 60
        return cls(np.sort(early.to_numpy()), float(past[LABEL].mean()))

    def chance(self, minutes_left: np.ndarray, prior: np.ndarray | float) -> np.ndarray:
        """P(late | still unknown so many minutes before the deadline), by Bayes from a prior.

        A late flight is surely unknown until then, a punctual one as often as in the past; at the
        deadline it is 1. The prior is the model's risk, or `base` for the delays alone.
        """
        unknown = np.searchsorted(self.early, minutes_left, "left") / len(self.early)
        chance = prior / np.maximum(prior + (1 - prior) * unknown, 1e-12)
        return np.where(minutes_left > 0, chance, 1.0)


def so_far(flights: pd.DataFrame, now: pd.Series, pending: Pending) -> pd.DataFrame:
    """What can be said of each day's late share at the instant `now` of each of its flights.

    `flights` have `day`, LABEL, `late_known_at`, `risk`,
    `sched_dep_utc`, `block_minutes`; a label counts
    only if it was known by `now`. By day: `naive` of labels known so far; `due` of flights whose
    deadline has passed; of all flights that should have left, the unknown ones by their chance,
    `by_delay` from the past's late share and `by_risk` from each flight's risk; and what labels
    that came later show: `truth_due`, and `truth_left` of those that should have left; `known`,
    `dues`, `left` count flights.
    """
    end, late = deadline(flights), flights[LABEL].to_numpy(dtype="float64")
    known = (flights["late_known_at"] <= now).to_numpy()
    over, left = (end <= now).to_numpy(), (flights["sched_dep_utc"] <= now).to_numpy()
    minutes = (end - now).dt.total_seconds().to_numpy() / 60
    priors: dict[str, np.ndarray | float] = {
        "by_delay": pending.base,
        "by_risk": flights["risk"].to_numpy(dtype="float64"),
    }
    likely = {n: np.where(known, late, pending.chance(minutes, p)) for n, p in priors.items()}
    day, names = pd.factorize(flights["day"], sort=True)

    def share(value: np.ndarray, of: np.ndarray) -> np.ndarray:
        counts = np.bincount(day[of], minlength=len(names))
        total = np.bincount(day[of], value[of], minlength=len(names))
        return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)

    return pd.DataFrame(
        {
            "naive": share(late, known),
            "due": share(np.where(known, late, 1.0), over),
            **{name: share(chance, left) for name, chance in likely.items()},
            "truth_due": share(late, over),
            "truth_left": share(late, left),
            "known": np.bincount(day[known], minlength=len(names)),
            "dues": np.bincount(day[over], minlength=len(names)),
            "left": np.bincount(day[left], minlength=len(names)),
        },
        index=pd.Index(names, name="day"),
    )
