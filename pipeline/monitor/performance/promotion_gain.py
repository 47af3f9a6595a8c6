"""The gain of the last promotion: the gate's comparison beside the same one on days served since.

Offline, the gate compared the champion with the one before it on days that neither had seen.
Online, the labels that have arrived since give the same difference, event by event; a gate whose
comparisons do not come true judges on the wrong days or by the wrong metric.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL
from pipeline.monitor.performance.delayed_labels import LABELS_DUE, dates
from pipeline.monitor.predictions import RISK, days_of
from pipeline.records.rollout_ledger import Side
from pipeline.registry import champions, release, versions
from pipeline.registry.model import Model
from pipeline.registry.model import load as load_model
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import Estimate, Kind, Record, Verdict, read_record
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss


class PromotionGain(Record):
    """The gain of a promotion, offline by the gate and online since; negative is better.

    `offline` is None where the gate compared nothing: no day was held out from both.
    """

    version: str
    former: str
    since: str
    offline: Estimate | None
    online: Estimate

    @property
    def came_true(self) -> bool | None:
        """Whether the two intervals overlap; None without a comparison by the gate."""
        if self.offline is None:
            return None
        return self.offline.low <= self.online.high and self.online.low <= self.offline.high

    def __str__(self) -> str:
        """The promotion, both differences, and whether they agree."""
        head = f"version {self.version} over version {self.former}, promoted {self.since}: "
        if self.offline is None:
            return f"{head}not compared by the gate, online {self.online}"
        agree = "the intervals overlap" if self.came_true else "the intervals are apart"
        return f"{head}offline {self.offline}, online {self.online}: {agree}"


def measure_promotion(
    frame: pd.DataFrame, rows: pd.DataFrame, now: pd.Timestamp
) -> PromotionGain | None:
    """The gain of the champion's promotion on the events asked for since, with due labels.

    `frame` holds events with their outcomes, `rows` their served predictions. None for the first
    champion, and until two days have labels.
    """
    reign = champions.tenure()
    if reign is None or reign.before is None:
        return None
    registry = load(RegisterConfig)
    verdict = _verdict(registry, reign.side)
    since = pd.Timestamp(reign.entry.move.at)
    due = (dates(frame["name"]) + LABELS_DUE <= now).to_numpy()
    served = (frame["predict_at"] > since).to_numpy()
    chosen = due & served & (days_of(frame["name"]) > verdict.window.partition("..")[2])
    if len(set(days_of(frame["name"][chosen]))) < 2:
        return None
    return PromotionGain(
        version=reign.side.version,
        former=reign.before.version,
        since=f"{since:%Y-%m-%d}",
        offline=offline(verdict),
        online=online(frame[chosen], rows[RISK].to_numpy()[chosen], _model(registry, reign.before)),
    )


def offline(verdict: Verdict) -> Estimate | None:
    """The gate's comparison of the challenger with the champion of its time."""
    estimates = (check.estimate for check in verdict.checks if check.kind == Kind.CHAMPION)
    return next(estimates, None)


def online(frame: pd.DataFrame, risk: np.ndarray, former: Model) -> Estimate:
    """The loss of served predictions less that of the former champion, on the same events."""
    labels = frame[LABEL].to_numpy()
    worse = log_loss(labels, risk) - log_loss(labels, former.predict(frame))
    return difference(worse, days_of(frame["name"]), load(EvaluateConfig).bootstrap).estimate


def _model(registry: RegisterConfig, side: Side) -> Model:
    version = versions.version_of_release(registry, side.release)
    return load_model(versions.fetch_model(registry, version), version.digest)


def _verdict(registry: RegisterConfig, side: Side) -> Verdict:
    version = versions.version_of_release(registry, side.release)
    place = release.artifact_path(side.release)
    folder = versions.fetch_folder(registry, version, place)
    return read_record(Verdict, folder / release.VERDICT, "evaluate")
