"""Does the diagnosis find the cause? Cases with a known answer, then every real month.

A case is made of the champion's own training days: a third of the days plays the served month, the
rest the reference. Labels are drawn from the champion's risk, so its relation is true by
construction; a case changes the inputs, the relation, both, neither, or the feed, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from benchmarks.study import kept
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL, NUMERIC, ROLLING, matrix
from pipeline.monitor.diagnose import investigate, triage
from pipeline.monitor.inputs import data_quality, drift
from pipeline.monitor.inputs import psi as windows
from pipeline.monitor.monitored_model import Champion, load_champion
from pipeline.monitor.predictions import RISK, count_skew, days_of, served_predictions
from pipeline.monitor.shift_decomposition import Decomposition, WindowLosses, decompose
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import Diagnosis, MonitorConfig
from pipeline.shared.scores import log_loss

SEEDS = 20
ROWS = {"reference": 12_000, "window": 8_000}
DAY_SPREAD = 0.25
"""Standard deviation of a day's own luck, in logits: flights of one day are late together."""
MONTHS = [f"2013-{month:02d}" for month in range(4, 13)]
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """A known answer, and what makes it: which rows are met, their true logits, what is logged."""

    cause: str
    met: Change = lambda rows, _: rows
    relation: Callable[[np.ndarray], np.ndarray] = lambda logit: logit
    logged: Change = lambda rows, _: rows


def later(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Of each day's flights those of the evening, more often: other inputs, the same relation."""
    minute = rows["sched_minute"].to_numpy("float64")
    weight = np.exp(2 * (minute - minute.mean()) / minute.std())
    chosen = [
        rng.choice(places, len(places), p=weight[places] / weight[places].sum())
        for places in pd.Series(np.arange(len(rows)))
        .groupby(days_of(rows["flight"]))
        .indices.values()
    ]
    return rows.iloc[np.concatenate(chosen)]


def flatter(logit: np.ndarray) -> np.ndarray:
    """A relation that is weaker than the model believes, and a little later on the whole."""
    return 0.2 * logit - 0.5


def a_little_flatter(logit: np.ndarray) -> np.ndarray:
    """The same by much less: what a diagnosis on one month can still see, or cannot."""
    return 0.6 * logit - 0.4


def in_percent(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """Every share a hundred times too large: values that cannot be."""
    names = [r.name for r in ROLLING if r.value in (LABEL, "dep_late")]
    return rows.assign(**{name: rows[name] * 100 for name in names})


def of_other_flights(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """The rolling values of 300 flights before: each of them possible, none of them right."""
    names = [r.name for r in ROLLING]
    return rows.assign(**{n: np.roll(rows[n].to_numpy(), 300) for n in names})


CASES = {
    "nothing": Case("no shift"),
    "other inputs": Case("covariate shift", met=later),
    "another relation": Case("concept shift", relation=flatter),
    "another relation, by little": Case("concept shift", relation=a_little_flatter),
    "both": Case("both shifts", met=later, relation=flatter),
    "shares in percent": Case("broken data", logged=in_percent),
    "misaligned values": Case("skew", logged=of_other_flights),
}


def drawn(champion: Champion, case: Case, seed: int, config: Diagnosis) -> dict[str, object]:
    """What the diagnosis says of one case, and what it would say were the feed not asked first."""
    rng = np.random.default_rng(seed)
    rows = served_predictions(champion.reference, champion.scorer, None).assign(source="log")
    days = rng.permutation(np.unique(days_of(rows["flight"])))
    later = np.isin(days_of(rows["flight"]), days[: len(days) // 3])
    luck = dict(zip(days.tolist(), rng.normal(0, DAY_SPREAD, len(days)), strict=True))
    before = _some(rows[~later], ROWS["reference"], rng)
    true = _some(case.met(rows[later], rng), ROWS["window"], rng)
    told = case.logged(true, rng)
    told = told.assign(risk=champion.scorer.model.predict(told))
    checks = data_quality.failures(
        data_quality.check_quality(before, told, load(MonitorConfig).tripwires)
    )
    broken = [c for c in checks if not c.name.startswith("flights a day")]
    sides = [
        (before, before[RISK].to_numpy(), lambda logit: logit),
        (told, true[RISK].to_numpy(), case.relation),
    ]
    names, parts = champion.scorer.model.features, []
    for seen, truth, relation in sides:
        logit = relation(np.log(truth / (1 - truth))) + np.array(
            [luck[d] for d in days_of(seen["flight"])]
        )
        labels = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)
        loss = log_loss(labels, seen[RISK].to_numpy())
        parts.append(WindowLosses(matrix(seen, names), loss, days_of(seen["flight"])))
    apart = decompose(*parts, config, "all inputs")
    asked = triage(broken, count_skew(true, told), apart, None, config)[0]
    skipped = triage([], {}, apart, None, config)[0]
    return {"cause": asked, "without asking the feed": skipped, "parts": apart}


def _some(rows: pd.DataFrame, most: int, rng: np.random.Generator) -> pd.DataFrame:
    chosen = np.sort(rng.permutation(len(rows))[:most])
    return rows.iloc[chosen].reset_index(drop=True)


def confusion(champion: Champion, seeds: int = SEEDS) -> dict[str, dict[str, object]]:
    """By case: the known answer, how often each cause was found, and the true part's interval."""
    config = load(MonitorConfig).diagnosis
    table: dict[str, dict[str, object]] = {}
    for name, case in CASES.items():
        told = [drawn(champion, case, seed, config) for seed in range(seeds)]
        parts: list[Decomposition] = [one["parts"] for one in told]
        table[name] = {
            "truth": case.cause,
            "right": sum(one["cause"] == case.cause for one in told),
            "found": _counted([str(one["cause"]) for one in told]),
            "without_asking_the_feed": _counted([str(o["without asking the feed"]) for o in told]),
            "concept_mean": round(float(np.mean([p.concept.point for p in parts])), 4),
            "covariate_mean": round(float(np.mean([p.covariate.point for p in parts])), 4),
            "least_effective_share": min(
                min(p.effective_reference, p.effective_window) for p in parts
            ),
        }
        print(
            f"{name}: {table[name]['right']} of {seeds} right, {table[name]['found']}", flush=True
        )
    return table


def _counted(causes: list[str]) -> dict[str, int]:
    return {cause: causes.count(cause) for cause in sorted(set(causes))}


def real() -> dict[str, dict[str, object]]:
    """What is found of each month of the year with the live champion, which is never retrained."""
    table = {}
    for month in MONTHS:
        finding = investigate(month)
        table[month] = {
            "cause": finding.cause,
            "act": finding.act,
            "rows": finding.rows,
            "refit_gain": finding.gain.model_dump() if finding.gain else None,
            "by": {
                part.inputs: part.model_dump(exclude={"inputs"}) for part in finding.decompositions
            },
        }
        print(
            f"{month}: {finding.cause} -> {finding.act}: {'; '.join(finding.reasons)}", flush=True
        )
    return table


# Why effect sizes: what p-values and PSI say as rows grow, where nothing moved.


def significance(champion: Champion) -> dict[str, dict[str, float]]:
    """By rows on each side: the share of columns below p = .05, and with a PSI of .1 or more.

    Once more of the columns that may alarm, which rolling and weather features may not.

    Flights drawn at random differ by chance alone. Odd and even weeks of one season differ by their
    weather, which no model has to be told of.
    """
    rows = served_predictions(champion.reference, champion.scorer, None)
    columns = [*NUMERIC, RISK]
    week = pd.to_datetime(days_of(rows["flight"])).isocalendar().week.to_numpy()
    found = {}
    for kind in ("flights at random", "odd and even weeks"):
        for most in (500, 2_000, 8_000, 32_000):
            shares = [_alarmed(rows[columns], kind, week, most, seed) for seed in range(10)]
            p, psi, alarming = (round(float(one), 4) for one in np.mean(shares, axis=0))
            name = f"{kind}, {most:,} rows"
            found[name] = {"p_value": p, "psi": psi, "psi_of_alarming": alarming}
            print(f"{name}: p {p:.0%}, PSI {psi:.0%}, of alarming {alarming:.0%}", flush=True)
    return found


def _alarmed(
    rows: pd.DataFrame, kind: str, week: np.ndarray, most: int, seed: int
) -> tuple[float, float, float]:
    rng = np.random.default_rng(seed)
    second = week % 2 == 1 if kind != "flights at random" else rng.random(len(rows)) < 0.5
    sides = [_some(rows[side], most, rng) for side in (~second, second)]
    bins = windows.make_bins(*sides, [])
    before, after = (windows.count_bins(side, np.zeros(len(side)), bins) for side in sides)
    psi = windows.psi(before, after, np.ones((1, 1)))[0]
    p = [ks_2samp(*(side[name].dropna() for side in sides), method="asymp").pvalue for name in rows]
    over, limits = psi >= 0.1, drift.limits_of(load(MonitorConfig))
    alarming = [drift.group_of(name) in limits for name in rows]
    return tuple(float(np.mean(one)) for one in (np.array(p) < 0.05, over, over[alarming]))


def main() -> int:
    """Write benchmarks/drifts.json."""
    champion = load_champion()
    kept(
        "drifts",
        {
            "seeds": SEEDS,
            "rows": ROWS,
            "features": len(NUMERIC),
            "significance": significance(champion),
            "constructed": confusion(champion),
            "months": real(),
        },
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
