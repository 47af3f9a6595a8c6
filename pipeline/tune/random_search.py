"""Random search by scikit-learn's sampler; each trial is fitted by the function of training."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.features.definitions import FEATURES, LABEL, matrix
from pipeline.models import classifier, trees
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.config.train import BoostingParameters, TrainConfig
from pipeline.shared.config.tune import TuneConfig
from pipeline.shared.contracts import Figure, Record
from pipeline.shared.paired_difference import Difference, difference
from pipeline.shared.scores import log_loss
from pipeline.tune.folds import Fold, Split, day_of

TUNE = Path("data/tune")
PRESENT = 0
"""The number of the trial with the settings of configs/train.yaml."""


class Trial(Record):
    """Settings with their mean log loss in nats: on each fold, and on all judged rows."""

    number: int
    settings: BoostingParameters
    by_fold: list[Figure]
    loss: Figure
    seconds: float = Field(exclude=True)


def draw(config: TuneConfig, present: BoostingParameters) -> list[BoostingParameters]:
    """The settings of every trial, the present ones first; equal seeds draw equal settings."""
    from scipy.stats import loguniform
    from sklearn.model_selection import ParameterSampler

    space = {name: loguniform(*bounds) for name, bounds in config.space.items()}
    drawn = ParameterSampler(space, n_iter=config.trials, random_state=config.seed)
    return [present, *(config.settings(values, present) for values in drawn)]


def losses(
    train: TrainConfig, settings: BoostingParameters, frame: pd.DataFrame, fold: Fold
) -> np.ndarray:
    """The log loss of each judged row, by the model that training would fit on the others."""
    names = [name for name in FEATURES if name not in train.drop_features]
    config = train.model_copy(update={"boosting": settings})
    learned, judged = frame[fold.learned], frame[fold.judged]
    with trees.limit_threads(config.threads):  # limits only the current thread
        model = classifier.fit(config, names, matrix(learned, names), learned[LABEL].to_numpy())
        risk = model.predict_proba(matrix(judged, names))[:, 1]
    return log_loss(judged[LABEL].to_numpy(), risk)


def search(
    config: TuneConfig,
    train: TrainConfig,
    frame: pd.DataFrame,
    split: Split,
    note: Callable[[Trial], None],
) -> list[Trial]:
    """Every trial on every fold, in the order of their numbers; `note` gets each as it ends."""

    def tried(number: int, settings: BoostingParameters) -> Trial:
        started = time.perf_counter()
        found = [losses(train, settings, frame, fold) for fold in split.folds]
        return Trial(
            number=number,
            settings=settings,
            by_fold=[float(fold.mean()) for fold in found],
            loss=float(np.concatenate(found).mean()),
            seconds=time.perf_counter() - started,
        )

    settings = draw(config, train.boosting)
    trials = []
    with ThreadPoolExecutor(config.workers) as beside:
        for trial in beside.map(tried, range(len(settings)), settings):
            note(trial)
            trials.append(trial)
    return trials


def best(trials: list[Trial]) -> Trial:
    """The trial with the lowest loss on the folds; the first of equal ones."""
    return min(trials, key=lambda trial: trial.loss)


def compare_settings(
    train: TrainConfig,
    settings: BoostingParameters,
    frame: pd.DataFrame,
    fold: Fold,
    bootstrap: Bootstrap,
) -> Difference:
    """The loss of some settings less that of the present ones on the hold-out, over its days."""
    with ThreadPoolExecutor(2) as beside:
        new, present = beside.map(
            lambda one: losses(train, one, frame, fold), (settings, train.boosting)
        )
    return difference(new - present, day_of(frame[fold.judged]), bootstrap)
