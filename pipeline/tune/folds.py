"""The days of the training window: folds in the order of time, then a hold-out; pure.

Days are the unit, since the rows of one day have much in common.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL
from pipeline.shared.config.tune import TuneConfig
from pipeline.shared.errors import TooLittleData


@dataclass(frozen=True)
class Fold:
    """The rows of a frame that are learned from and those that are judged, as masks over it."""

    learned: np.ndarray
    judged: np.ndarray


@dataclass(frozen=True)
class Split:
    """The folds of a search, and the hold-out after all of them; `window` is the hold-out's."""

    folds: list[Fold]
    holdout: Fold
    window: str


def day_of(frame: pd.DataFrame) -> np.ndarray:
    """The scheduled day of each row, as 20130408."""
    return (frame["year"] * 10_000 + frame["month"] * 100 + frame["day"]).to_numpy()


def split(frame: pd.DataFrame, config: TuneConfig) -> Split:
    """The days of `frame`: its last are the hold-out, those before it make the folds.

    Raises:
        TooLittleData: the days do not suffice for the folds, with as many to learn from first.
    """
    from sklearn.model_selection import TimeSeriesSplit

    days = np.unique(day_of(frame))
    needed = (config.folds + 1) * config.fold_days + config.holdout_days
    if len(days) < needed:
        raise TooLittleData(
            f"{len(days)} days to tune on, configs/tune.yaml asks for {needed}: "
            f"{config.holdout_days} held out, {config.folds} folds of {config.fold_days}, and as "
            "many to learn from before them; change folds or fold_days, or widen the window in "
            "configs/train.yaml"
        )
    searched, held_out = days[: -config.holdout_days], days[-config.holdout_days :]
    in_time = TimeSeriesSplit(config.folds, test_size=config.fold_days).split(searched)
    return Split(
        folds=[_fold(frame, searched[judged]) for _, judged in in_time],
        holdout=_fold(frame, held_out),
        window=f"{_date(held_out[0]):%Y-%m-%d}..{_date(held_out[-1]):%Y-%m-%d}",
    )


def _fold(frame: pd.DataFrame, judged: np.ndarray) -> Fold:
    """A fold that learns from the days before, as far as their labels were known by then."""
    day, first = day_of(frame), judged[0]
    known = (frame[f"{LABEL}_known_at"] < _date(first).tz_localize("UTC")).to_numpy(dtype=bool)
    return Fold(learned=(day < first) & known, judged=np.isin(day, judged))


def _date(day: int) -> pd.Timestamp:
    return pd.Timestamp(str(day))
