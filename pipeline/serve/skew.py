"""Whether what was served is what training would have read, and if not, which mistake it is.

Features are compared, not scores: trees shrug off most unit errors, and a metric that has not moved
proves nothing. Each known mistake is made on purpose on the recomputed side; the one that gives
exactly the served values is named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features import transform
from pipeline.features.definitions import NUMERIC, RANGES
from pipeline.features.join import historical
from pipeline.features.transform import Event, minutes
from pipeline.shared.config import FeaturesConfig
from pipeline.shared.contracts import Record
from pipeline.shared.scores import log_loss, roc_auc

LAGS = [15, 30, 45, 60, 90, *range(120, 24 * 60 + 1, 60)]
"""For how long a store may have stood still, in minutes, to be recognised."""
UNEXPLAINED = "unexplained"
_ENOUGH = 0.99
"""The share of differing values that a mistake must give to be named."""

Remake = Callable[[], pd.DataFrame]


class Mismatch(Record):
    """One feature that was served otherwise: how often, one example, and the mistake it looks like.

    `served` and `recomputed` are None where the value was missing.
    """

    feature: str
    differ: int
    served: float | None
    recomputed: float | None
    mistake: str


class Damage(Record):
    """What the model's predictions lose by the served features, once the labels are there."""

    roc_auc: tuple[float, float]
    log_loss: tuple[float, float]
    flights: int


@dataclass(frozen=True)
class Truth:
    """What training reads: the requests of some flights with their features, and raw tables."""

    asked: pd.DataFrame
    flights: pd.DataFrame
    weather: pd.DataFrame
    config: FeaturesConfig


def mismatches(served: pd.DataFrame, recomputed: pd.DataFrame, truth: Truth) -> list[Mismatch]:
    """Every feature that differs in a single bit, the most frequent first, each with its mistake.

    `served` and `recomputed` hold the same flights in the same order.
    """
    differ = {name: ~_same(served[name], recomputed[name]) for name in NUMERIC}
    wrong = {name: where for name, where in differ.items() if where.any()}
    mistakes = _named(served, recomputed, wrong, truth) if wrong else {}
    found = []
    for name, where in wrong.items():
        first = int(np.argmax(where))
        found.append(
            Mismatch(
                feature=name,
                differ=int(where.sum()),
                served=_number(served[name].iloc[first]),
                recomputed=_number(recomputed[name].iloc[first]),
                mistake=mistakes.get(name, UNEXPLAINED),
            )
        )
    return sorted(found, key=lambda mismatch: (-mismatch.differ, mismatch.feature))


def damage(labels: np.ndarray, served: np.ndarray, recomputed: np.ndarray) -> Damage:
    """ROC AUC and log loss of two sets of predictions of the same flights: served, recomputed."""
    return Damage(
        roc_auc=(round(roc_auc(labels, served), 6), round(roc_auc(labels, recomputed), 6)),
        log_loss=(
            round(float(log_loss(labels, served).mean()), 6),
            round(float(log_loss(labels, recomputed).mean()), 6),
        ),
        flights=len(labels),
    )


def _same(served: pd.Series, recomputed: pd.Series) -> np.ndarray:
    both = served.isna().to_numpy() & recomputed.isna().to_numpy()
    return np.asarray(both | (served == recomputed).to_numpy())


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _named(
    served: pd.DataFrame, recomputed: pd.DataFrame, wrong: dict[str, np.ndarray], truth: Truth
) -> dict[str, str]:
    """For each wrong feature the first mistake that gives what was served."""
    named: dict[str, str] = {}
    for mistake, remade in _mistakes(recomputed, truth):
        for name in wrong.keys() - named.keys():
            given = np.isclose(served[name], remade[name], rtol=1e-6, atol=0, equal_nan=True)
            if given[wrong[name]].mean() >= _ENOUGH and given.mean() >= _ENOUGH:
                named[name] = mistake
        if len(named) == len(wrong):
            break
    return named


def _mistakes(recomputed: pd.DataFrame, truth: Truth) -> Iterator[tuple[str, pd.DataFrame]]:
    """The mistakes that are known by name, each with the features that it gives; cheap ones first.

    None may hide another: a feature is given to the first that explains it.
    """
    shares = [name for name, (_, high) in RANGES.items() if high == 1.0]
    yield "percent for fraction", recomputed.assign(**{n: recomputed[n] * 100 for n in shares})
    yield "zero for missing", recomputed.fillna(dict.fromkeys(NUMERIC, 0.0))
    keys = truth.asked.index
    flights = truth.flights.loc[keys]
    config, views = truth.config, transform.views(truth.flights, truth.weather, truth.config)
    yield (
        "UTC for local time",
        historical(transform.requests(flights, config, "UTC"), views, config),
    )
    for lag in LAGS:
        yield f"stale by {_span(lag)}", historical(truth.asked, views, config, lag)
    early = transform.views(
        truth.flights, truth.weather, config, known_when_scheduled(truth.flights)
    )
    yield "flights not yet landed", historical(truth.asked, early, config)


def known_when_scheduled(flights: pd.DataFrame) -> dict[str, Event]:
    """Outcomes as if each were known at its flight's scheduled departure: before it has landed."""
    scheduled = minutes(flights["sched_dep_utc"])
    return {
        name: Event(event.value, np.where(np.isnan(event.value), transform.NEVER, scheduled))
        for name, event in transform.outcomes(flights).items()
    }


def _span(lag: int) -> str:
    return f"{lag // 60} h" if lag % 60 == 0 else f"{lag} min"


def described(found: list[Mismatch], flights: int) -> str:
    """The mismatches as an aligned table."""
    head = f"{'feature':<24} {'differ':>7} {'served':>10} {'recomputed':>10}  looks like"
    rows = [
        f"{m.feature:<24} {m.differ:>7,} {_shown(m.served):>10} {_shown(m.recomputed):>10}  "
        f"{m.mistake}"
        for m in found
    ]
    return "\n".join([f"of {flights:,} flights", head, *rows])


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4g}"
