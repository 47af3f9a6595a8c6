"""Training-serving skew: served features against training's, and the mistake behind a difference.

Features are compared, not scores: trees hide most unit errors, so an unchanged metric proves
nothing. Each known mistake is reproduced with training's own code; the one that yields the served
values is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import LABEL, NUMERIC, PROXY, REQUEST_KEY, ROLLING, VIEWS
from pipeline.features.on_demand import sources
from pipeline.features.online_store import STALE
from pipeline.features.point_in_time import historical
from pipeline.features.windows import minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.contracts import Record
from pipeline.shared.domain import Event
from pipeline.shared.scores import log_loss, roc_auc
from pipeline.usecase.chosen import USECASE

LAGS = [15, 30, 45, 60, 90, *range(120, 24 * 60 + 1, 60)]
"""The staleness of a store, in minutes, that can be recognised."""
UNEXPLAINED = "unexplained"
_ENOUGH = 0.99
"""The share of differing values that a mistake must reproduce to be named."""


class Mismatch(Record):
    """A feature with skew: how many values differ, one example, and the likely mistake.

    `served` and `trained` are None where the value was missing.
    """

    feature: str
    differ: int
    served: float | None
    trained: float | None
    mistake: str


class Damage(Record):
    """The loss in ROC AUC and log loss by the served features, measured with labels."""

    roc_auc: tuple[float, float]
    log_loss: tuple[float, float]
    rows: int


@dataclass(frozen=True)
class Raw:
    """The raw tables and config of training's features, from which mistakes are reproduced."""

    events: pd.DataFrame
    context: pd.DataFrame
    config: FeaturesConfig


def mismatches(served: pd.DataFrame, trained: pd.DataFrame, raw: Raw) -> list[Mismatch]:
    """Every feature that differs in a single bit, the most frequent first, each with its mistake.

    `served` and `trained` hold the same events in the same order with the same index.
    """
    differ = {name: ~_same(served[name], trained[name]) for name in NUMERIC}
    wrong = {name: where for name, where in differ.items() if where.any()}
    named = _explained_as_stale(served, wrong)
    unexplained = {name: where for name, where in wrong.items() if name not in named}
    named |= _match_mistakes(served, trained, unexplained, raw)
    result = []
    for name, where in wrong.items():
        first = int(np.argmax(where))
        result.append(
            Mismatch(
                feature=name,
                differ=int(where.sum()),
                served=_number(served[name].iloc[first]),
                trained=_number(trained[name].iloc[first]),
                mistake=named.get(name, UNEXPLAINED),
            )
        )
    return sorted(result, key=lambda mismatch: (-mismatch.differ, mismatch.feature))


def damage(labels: np.ndarray, served: np.ndarray, honest: np.ndarray) -> Damage:
    """ROC AUC and log loss of two predictions of the same events: as served, without skew."""
    return Damage(
        roc_auc=(round(roc_auc(labels, served), 6), round(roc_auc(labels, honest), 6)),
        log_loss=(
            round(float(log_loss(labels, served).mean()), 6),
            round(float(log_loss(labels, honest).mean()), 6),
        ),
        rows=len(labels),
    )


def _same(served: pd.Series, trained: pd.Series) -> np.ndarray:
    both = served.isna() & trained.isna()
    return np.asarray(both | (served == trained))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _explained_as_stale(served: pd.DataFrame, wrong: dict[str, np.ndarray]) -> dict[str, str]:
    """The features whose every difference is a value withheld as stale."""
    behind = {view: (served[f"{view}_flag"] == STALE).to_numpy() for view in VIEWS}
    named = {}
    for name in (name for name in wrong if sources(name)):
        held = np.logical_or.reduce([behind[view] for view in sources(name)])
        if (held & served[name].isna())[wrong[name]].all():
            named[name] = "withheld as stale"
    return named


def _match_mistakes(
    served: pd.DataFrame, trained: pd.DataFrame, wrong: dict[str, np.ndarray], raw: Raw
) -> dict[str, str]:
    """For each wrong feature, the first mistake that reproduces the served values."""
    named: dict[str, str] = {}
    for mistake, remade in mistakes(trained, raw) if wrong else ():
        for name in wrong.keys() - named.keys():
            given = np.isclose(served[name], remade[name], rtol=1e-6, atol=0, equal_nan=True)
            if min(given[wrong[name]].mean(), given.mean()) >= _ENOUGH:
                named[name] = mistake
        if len(named) == len(wrong):
            break
    return named


def mistakes(
    trained: pd.DataFrame, raw: Raw, lags: list[int] = LAGS
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The known mistakes, each with the features that it gives the same events.

    The first that explains a feature names it, so the cheap ones come first.
    """
    shares = [w.name for w in ROLLING if w.value in (LABEL, PROXY)]
    yield "percent for fraction", trained.assign(**{n: trained[n] * 100 for n in shares})
    yield "zero for missing", trained.fillna(dict.fromkeys(NUMERIC, 0.0))
    config, views = raw.config, windows.views(raw.events, raw.context, raw.config)
    utc = windows.requests(raw.events, config, "UTC")
    in_utc = trained[REQUEST_KEY].merge(utc, "left", REQUEST_KEY).set_index(trained.index)
    yield "UTC for local time", historical(in_utc, views, config)
    for lag in lags:
        yield f"stale by {_span(lag)}", historical(trained, views, config, lag)
    early = windows.views(raw.events, raw.context, config, known_when_scheduled(raw.events))
    yield USECASE.unfinished, historical(trained, early, config)


def known_when_scheduled(events: pd.DataFrame) -> dict[str, Event]:
    """Outcomes as if known when the event is scheduled, before it has an outcome (a leak)."""
    scheduled = minutes(events[USECASE.events.instant])
    return {
        name: Event(event.value, np.where(np.isnan(event.value), windows.NEVER, scheduled))
        for name, event in windows.outcomes(events).items()
    }


def _span(lag: int) -> str:
    return f"{lag // 60} h" if lag % 60 == 0 else f"{lag} min"


def describe(mismatches: list[Mismatch], count: int) -> str:
    """The mismatches as an aligned table."""
    head = f"{'feature':<24} {'differ':>7} {'served':>10} {'trained':>10}  looks like"
    rows = [
        f"{m.feature:<24} {m.differ:>7,} {_format(m.served):>10} {_format(m.trained):>10}  "
        f"{m.mistake}"
        for m in mismatches
    ]
    return "\n".join([f"of {count:,} {USECASE.noun}", head, *rows])


def _format(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4g}"
