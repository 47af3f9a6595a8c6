"""When does the error budget page, rightly and wrongly? Burn-rate alerts on the year's requests.

The requests are the year's flights, each asked for at its T: one a minute by day, few in the early
morning, none at night. Which of them fail is drawn. The rule is that of configs/monitor.yaml, and
beside it the same rule without what was done for so little traffic.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.study import Watch, kept
from pipeline.__main__ import run_command
from pipeline.flights import published as source
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import Burn, MonitorConfig, Objectives

SOUND = (0.0005, 0.001, 0.002)
"""Shares of requests that fail anyway, in a service that nobody should be woken for."""
BROKEN = (1.0, 0.2, 0.1, 0.05, 0.02)
DRAWS, HOURS, BUSY = 400, 6, (12, 22)
"""Faults that begin within busy hours (UTC), each watched for so many hours."""
LASTING = 3
"""`for: 2m`: the rule holds at three minutes in a row."""


@dataclass(frozen=True)
class Rule:
    """The budget's alert: what fails for free, and how many failures it takes at the least."""

    availability: float
    least: int
    slo: Objectives

    def holds(self, failed: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """At which minutes a page is due, from what failed and was asked for in each."""
        fast, slow = (self._burns(burn, failed, asked) for burn in (self.slo.fast, self.slo.slow))
        return fast | slow

    def _burns(self, burn: Burn, failed: np.ndarray, asked: np.ndarray) -> np.ndarray:
        limit = burn.rate * (1 - self.availability)
        long, short = burn.long_minutes, burn.short_minutes
        many = within(failed, long) >= max(1, self.least)
        over = [within(failed, w) > limit * within(asked, w) for w in (long, short)]
        now = many & over[0] & over[1]
        return within(now, LASTING) == LASTING


def within(counted: np.ndarray, minutes: int) -> np.ndarray:
    """The sum over the last so many minutes, at each minute."""
    total = np.concatenate([[0], np.cumsum(counted)])
    first = np.maximum(np.arange(len(counted)) + 1 - minutes, 0)
    return total[1:] - total[first]


def requests() -> pd.Series:
    """How many flights are asked for in each minute of the published year."""
    flights = source.read_source(load(IngestConfig))["flights"]
    horizon = pd.Timedelta(minutes=load(FeaturesConfig).horizon_minutes)
    at = (flights["sched_dep_utc"] - horizon).dt.floor("min")
    every = pd.date_range(at.min(), at.max(), freq="min")
    return at.value_counts().reindex(every).fillna(0).astype(int)


def rules(slo: Objectives) -> dict[str, Rule]:
    """Ours, and what a larger service would do."""
    return {
        "ours": Rule(slo.availability, slo.min_failures, slo),
        "without a least number": Rule(slo.availability, 1, slo),
        "three nines, without it": Rule(0.999, 1, slo),
    }


def pages(rule: Rule, asked: np.ndarray, share: float, chance: np.random.Generator) -> int:
    """How often the rule begins to hold where a share of requests fails at random."""
    failed = chance.binomial(asked, share)
    holds = rule.holds(failed, asked).astype(int)
    return int((np.diff(holds, prepend=0) == 1).sum())


def faults(asked: pd.Series, chance: np.random.Generator) -> Iterator[tuple[np.ndarray, int]]:
    """Stretches of traffic, six hours before a fault begins and six after, and where it begins."""
    busy = np.flatnonzero(asked.index.hour.isin(range(*BUSY)))
    edge, counts = 60 * HOURS, asked.to_numpy()
    for place in chance.choice(busy[(busy > edge) & (busy < len(counts) - edge)], DRAWS):
        yield counts[place - edge : place + edge], edge


def detected(rule: Rule, asked: pd.Series, share: float, seed: int) -> dict[str, float | None]:
    """The share of faults that page within six hours, and the median minutes until they do."""
    chance = np.random.default_rng(seed)
    minutes = []
    for counts, begins in faults(asked, chance):
        failed = chance.binomial(counts, np.where(np.arange(len(counts)) >= begins, share, 0))
        found = np.flatnonzero(rule.holds(failed, counts)[begins:])
        minutes.append(found[0] + 1 if len(found) else np.inf)
    median = float(np.median(minutes))
    known = {"found": float(np.isfinite(minutes).mean())}
    return known | {"median_minutes": None if np.isinf(median) else round(median)}


def measured(slo: Objectives, watch: Watch) -> dict[str, object]:
    """Pages a month of a sound service, and minutes to a page of a broken one."""
    asked = requests()
    months = len(asked) / (60 * 24 * 365 / 12)
    sound: dict[str, dict[str, float]] = {}
    broken: dict[str, dict[str, object]] = {}
    for name, rule in rules(slo).items():
        for share in SOUND:
            often = pages(rule, asked.to_numpy(), share, np.random.default_rng(7))
            sound.setdefault(f"{share:.2%} fail", {})[name] = round(often / months, 2)
        if name == "ours":
            broken = {f"{share:.0%} fail": detected(rule, asked, share, 7) for share in BROKEN}
        watch.said(name)
    return {"requests": int(asked.sum()), "pages_a_month": sound, "until_paged": broken}


def main() -> int:
    """Measure, print, and write benchmarks/alarms.json."""
    print("alarms: the year's requests, and some of them fail", flush=True)
    watch, slo = Watch(), load(MonitorConfig).slo
    found = measured(slo, watch)
    kept("alarms", {"slo": slo.model_dump(mode="json"), **found, "seconds": watch.seconds()})
    for title in ("pages_a_month", "until_paged"):
        print(title.replace("_", " "))
        for name, numbers in dict(found[title]).items():
            print(f"  {name:<12} " + "  ".join(f"{k}: {v}" for k, v in numbers.items()))
    print(f"alarms: done in {watch.seconds():.0f} s -> benchmarks/alarms.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
