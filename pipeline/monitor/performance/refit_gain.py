"""The gain of a refit: the one figure that shows whether retraining helps.

The champion's recipe learns from every label that had arrived before the newest days, and both are
evaluated on those days, row by row. Difficult weeks are difficult for both, so the difference
is far more precise than either loss.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NUMERIC, matrix
from pipeline.monitor.monitored_model import Champion, refit
from pipeline.monitor.performance.delayed_labels import LABELS_DUE, dates
from pipeline.monitor.predictions import RISK, days_of, events_of_window
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import Record
from pipeline.shared.files import content_hash
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss
from pipeline.usecase.chosen import USECASE


class RefitGain(Record):
    """The log loss of a refit less the champion's, in nats, with its interval over whole days.

    Negative is better. The refit learned from every label that had arrived before `first`.
    """

    point: float
    low: float
    high: float
    first: str
    last: str
    days: int
    rows: int

    def __str__(self) -> str:
        """As "-0.0282 [-0.0412, -0.0146] over 14 days"."""
        return f"{self.point:+.4f} [{self.low:+.4f}, {self.high:+.4f}] over {self.days} days"

    def wins(self, margin: float) -> bool:
        """Whether the refit is significantly better, by the margin or more."""
        return self.high < 0 and self.point <= -margin


def measure_gain(
    champion: Champion, frame: pd.DataFrame, rows: pd.DataFrame, now: pd.Timestamp, days: int
) -> RefitGain | None:
    """The gain of a refit on the newest `days` with due labels; None if there are fewer.

    `frame` holds events with their outcomes, `rows` their served predictions.
    """
    due = _due(frame["name"]) <= now
    newest = sorted(set(days_of(frame["name"][due]).tolist()))[-days:]
    chosen = due.to_numpy() & np.isin(days_of(frame["name"]), newest)
    if len(newest) < days:  # too few days have no useful interval
        return None
    judged, labels = frame[chosen], frame[LABEL].to_numpy()[chosen]
    learned = training_rows_before(champion, newest[0])
    data = [content_hash(table[_input_columns(champion)]) for table in (learned, judged)]
    risk = champion.cached_risk("refit", data, lambda: _refit_risk(champion, learned, judged))
    worse = log_loss(labels, risk) - log_loss(labels, rows[RISK].to_numpy()[chosen])
    found = difference(worse, days_of(judged["name"]), load(EvaluateConfig).bootstrap)
    return RefitGain(
        point=round(found.point, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        first=newest[0],
        last=newest[-1],
        days=found.days,
        rows=found.rows,
    )


def _input_columns(champion: Champion) -> list[str]:
    """The columns that a refit and its predictions depend on."""
    numbers = [name for name in champion.scorer.model.features if name in NUMERIC]
    return ["name", *USECASE.monitored.categories, *numbers, LABEL]


def _refit_risk(champion: Champion, learned: pd.DataFrame, judged: pd.DataFrame) -> np.ndarray:
    config, names = load(TrainConfig), champion.scorer.model.features
    model = refit(config, names, matrix(learned, names), learned[LABEL].to_numpy())
    return np.asarray(model.predict_proba(matrix(judged, names))[:, 1])


def _due(names: pd.Series) -> pd.Series:
    """The instant at which the label of each event is due."""
    return dates(names) + LABELS_DUE


def training_rows_before(champion: Champion, day: str) -> pd.DataFrame:
    """Every event since the champion's first day whose label had arrived when `day` began."""
    begins = pd.Timestamp(day, tz="UTC")
    window = Window(first=champion.window.first, last=str((begins - pd.Timedelta(days=1)).date()))
    past = events_of_window(window)
    if USECASE.split:  # what is held out in one version is held out in all
        past = past[past["day"] <= USECASE.split[0]]
    return past[_due(past["name"]) <= begins].reset_index(drop=True)
