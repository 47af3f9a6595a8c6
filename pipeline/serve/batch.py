"""Batch scoring: a month's schedule, a day ahead, and what the missing knowledge costs.

A nightly batch uses what is known a day before each event, the online path what is known when it
is asked, `horizon_minutes` before. The same champion scores both, from the same rows by the same
join; only the instant of the prediction differs.
"""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.build import read_accepted
from pipeline.features.definitions import LABEL, REQUEST_KEY
from pipeline.features.point_in_time import historical
from pipeline.registry.model import Model
from pipeline.serve.schedule import champion_of, midnight_after, requests_of
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import SERVE
from pipeline.shared.files import write_json, write_parquet
from pipeline.shared.scores import log_loss, roc_auc
from pipeline.usecase.chosen import USECASE

SCORES, FIGURES = SERVE / "batch.parquet", SERVE / "batch.json"


@dataclass(frozen=True)
class BatchScores:
    """The risks of events, predicted `horizon_minutes` before each, and processor seconds."""

    horizon_minutes: int
    risk: np.ndarray
    seconds: float

    def figures(self, labels: np.ndarray) -> dict[str, float]:
        """Metrics, rows a second, and processor seconds a million rows."""
        return {
            "horizon_minutes": self.horizon_minutes,
            "roc_auc": round(roc_auc(labels, self.risk), 6),
            "log_loss": round(float(log_loss(labels, self.risk).mean()), 6),
            "rows_a_second": round(len(labels) / self.seconds),
            "seconds_a_million": round(1e6 * self.seconds / len(labels), 2),
        }


def score_month(
    events: pd.DataFrame,
    views: dict[str, pd.DataFrame],
    config: FeaturesConfig,
    month: str,
    model: Model,
) -> BatchScores:
    """Score a month's events, each with what is known at the config's horizon."""
    started = time.process_time()
    rows = historical(requests_of(events, config, month), views, config)
    risk = model.predict(rows)
    return BatchScores(config.horizon_minutes, risk, time.process_time() - started)


def batch(month: str | None = None) -> str:
    """Score a month a day ahead, as a nightly batch does, and at T, as the online path does.

    Raises:
        DayUnknown: it is not a month, or has not arrived.
        RegistryRefused: there is no champion to score with.
        ReleaseRefused: the champion was trained with another feature service.
    """
    config, serve = load(FeaturesConfig), load(ServeConfig)
    _, model = champion_of(config)
    events, context = read_accepted()
    month = f"{midnight_after(events) - pd.Timedelta(days=1):%Y-%m}" if month is None else month
    views = windows.views(events, context, config)
    ahead = config.model_copy(update={"horizon_minutes": serve.batch_horizon_minutes})
    early, late = (score_month(events, views, known, month, model) for known in (ahead, config))
    requests = requests_of(events, ahead, month)
    labels = requests[LABEL].to_numpy()
    table = requests[[*REQUEST_KEY, "predict_at"]].assign(risk=early.risk)
    write_parquet(SCORES, table.reset_index(drop=True))
    figures = {"ahead": early.figures(labels), "online": late.figures(labels)}
    write_json(FIGURES, {"month": month, "rows": len(requests), **figures})
    summaries = "; ".join(_summary(scores, labels) for scores in (early, late))
    return f"{month}: {len(requests):,} {USECASE.noun}; {summaries} -> {SCORES}"


def _summary(scored: BatchScores, labels: np.ndarray) -> str:
    figures, minutes = scored.figures(labels), scored.horizon_minutes
    ahead = f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes} min"
    return (
        f"{ahead} ahead: ROC AUC {figures['roc_auc']:.3f}, log loss "
        f"{figures['log_loss']:.3f}, {figures['rows_a_second']:,.0f} rows/s, "
        f"{figures['seconds_a_million']:.0f} processor seconds a million rows"
    )
