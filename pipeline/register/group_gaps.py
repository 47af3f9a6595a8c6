"""Calibration by group: for whom does the model say too much, and for whom too little?

The data hold no people, so the use case's categories stand in for groups of them. A model that is
worse for one of them than the champion is refused by the gate's slices; what it says of each is
written into the card of every version.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, REQUEST_KEY
from pipeline.features.feature_table import read
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.contracts import EVALUATE
from pipeline.shared.files import read_parquet
from pipeline.shared.paired_difference import Difference, difference
from pipeline.usecase.chosen import USECASE

_KINDS = tuple(sorted(USECASE.monitored.categories))


@dataclass(frozen=True)
class GroupGap:
    """A group's rows, its share of positive ones, and the mean risk less that share."""

    name: str
    rows: int
    late_share: float
    gap: Difference

    @property
    def answer(self) -> str:
        """The finding in words: whether the interval excludes zero, and on which side."""
        if self.gap.low > 0:
            return "too high"
        return "too low" if self.gap.high < 0 else "calibrated"


def judged_rows(config: EvaluateConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that the gate judged on, and the challenger's risk of each."""
    frame = read(config.window)
    risks = read_parquet(EVALUATE / "predictions.parquet", "evaluate")
    joined = frame.merge(risks[[*REQUEST_KEY, "challenger"]], on=REQUEST_KEY, validate="1:1")
    return joined, joined["challenger"].to_numpy("float64")


def group_gaps(frame: pd.DataFrame, risk: np.ndarray, config: EvaluateConfig) -> list[GroupGap]:
    """Each group's calibration with its interval over days; groups too small to tell are left out.

    A group needs the positives and days that a slice needs for a veto.
    """
    labels = frame[LABEL].to_numpy()
    day = (frame["month"] * 100 + frame["day"]).to_numpy()
    found = []
    for kind in _KINDS:
        for name in sorted(set(frame[kind])):
            of = (frame[kind] == name).to_numpy()
            enough = labels[of].sum() >= config.slices.min_positives
            if not enough or len(set(day[of])) < config.slices.min_days:
                continue
            gap = difference(risk[of] - labels[of], day[of], config.bootstrap)
            late_share = float(labels[of].mean())
            found.append(GroupGap(f"{kind} {name}", int(of.sum()), late_share, gap))
    return found
