"""Diagnosis: which drift moved the loss, and what to do; causes are ruled out in order.

Broken data come first, then training-serving skew, since neither is the model's fault and
retraining would learn from both. Then covariate shift, concept shift, and shifts that one year of
data cannot distinguish from a season. The cause alone does not say what helps, so each finding has
the gain of a refit on newer labels.
"""

from typing import Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME, ROLLING, matrix
from pipeline.monitor.diagnosis_report import diagnosis_report, draw_diagnosis
from pipeline.monitor.inputs import data_quality
from pipeline.monitor.monitored_model import Champion, load_champion, month_window
from pipeline.monitor.performance.refit_gain import RefitGain, measure_gain
from pipeline.monitor.predictions import (
    RISK,
    count_skew,
    days_of,
    events_of_window,
    served_predictions,
)
from pipeline.monitor.report import last_month
from pipeline.monitor.shift_decomposition import Decomposition, WindowLosses, decompose
from pipeline.shared import clock
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import Diagnosis, MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import MONITOR, Check, Record
from pipeline.shared.files import write_json, write_text
from pipeline.shared.scores import log_loss

Cause = Literal[
    "broken data",
    "skew",
    "concept shift",
    "covariate shift",
    "both shifts",
    "no shift",
    "not identifiable",
]
Act = Literal["fix the feed", "retrain", "escalate", "hold"]
MAX_SKIPPED_SHARE = 0.1
"""The largest share of stuck days that a diagnosis skips; with more the month is broken."""
SLOW = [rolling.name for rolling in ROLLING if rolling.hours >= 7 * 24]
"""Shares over a week and more: they follow the season, so they alone identify a month."""


class MonthDiagnosis(Record):
    """The cause of a month's change of loss, the action, the reasons, and the evidence.

    `decompositions` are by all inputs, and again without the slow ones.
    """

    month: str
    champion: str
    reference: str
    rows: int
    cause: Cause
    act: Act
    reasons: list[str]
    quality: list[Check]
    skew: dict[str, int]
    logged: int
    decompositions: list[Decomposition]
    gain: RefitGain | None


def triage(
    broken: list[Check],
    skew: dict[str, int],
    decomposition: Decomposition | None,
    gain: RefitGain | None,
    limits: Diagnosis,
) -> tuple[Cause, Act, list[str]]:
    """The cause, the action and the reasons, from each step's result; the first cause wins."""
    if broken:
        words = [f"{c.name}: {c.found:g}, limit {c.limit:g} ({c.detail})" for c in broken]
        return "broken data", "fix the feed", words
    if skew:
        worst = sorted(skew.items(), key=lambda item: -item[1])
        words = [f"{name} differs from what was known in {rows:,} rows" for name, rows in worst]
        return "skew", "fix the feed", words
    assert decomposition is not None
    cause, reason = _cause(decomposition, limits)
    act, why = _act(decomposition, limits, gain)
    return cause, act, [reason, why]


def _cause(found: Decomposition, limits: Diagnosis) -> tuple[Cause, str]:
    if not found.identifiable:
        least = min(found.effective_reference, found.effective_window)
        return "not identifiable", (
            f"the windows share too little to compare them at equal inputs: {least:.2f} of the "
            f"rows count, a classifier tells the two apart with ROC AUC {found.separation:.3f}"
        )
    concept = found.concept.rises(limits.margin) or found.concept.falls(limits.margin)
    covariate = found.separation >= limits.min_separation
    parts = (
        f"the loss moved by {found.covariate} with the inputs, by {found.concept} at equal inputs; "
        f"a classifier tells the windows apart with ROC AUC {found.separation:.3f}"
    )
    if concept:
        return "both shifts" if covariate else "concept shift", f"the relation moved: {parts}"
    return "covariate shift" if covariate else "no shift", f"no relation surely moved: {parts}"


def _act(found: Decomposition, limits: Diagnosis, gain: RefitGain | None) -> tuple[Act, str]:
    if gain is None:
        return "hold", "too few days have labels yet: nothing says what a refit brings"
    words = f"a refit changes the log loss by {gain}"
    if gain.wins(limits.margin):
        return "retrain", f"{words}: it helps"
    if found.identifiable and found.concept.rises(limits.margin):
        return "escalate", f"{words}: it does not significantly help, and the relation has moved"
    return "hold", f"{words}: it does not significantly help"


def decompose_loss(
    champion: Champion, frame: pd.DataFrame, rows: pd.DataFrame, config: Diagnosis
) -> list[Decomposition]:
    """Decompose the change of the loss since training, by all inputs, then without slow ones."""
    names = champion.scorer.model.features
    before = log_loss(champion.reference[LABEL].to_numpy(), champion.out_of_fold_risk)
    after = log_loss(frame[LABEL].to_numpy(), rows[RISK].to_numpy())
    found = []
    for label, kept in (
        ("all inputs", names),
        ("without the slow inputs", [name for name in names if name not in SLOW]),
    ):
        reference = WindowLosses(
            matrix(champion.reference, kept), before, days_of(champion.reference["name"])
        )
        window = WindowLosses(matrix(rows, kept), after, days_of(rows[NAME]))
        found.append(decompose(reference, window, config, label))
    return found


def investigate(month: str | None) -> MonthDiagnosis:
    """Diagnose a month, with all labels up to its last label file."""
    config = load(MonitorConfig)
    window = month_window(month, config)
    champion = load_champion(window.first)
    frame = events_of_window(window)
    rows = served_predictions(frame, champion.scorer, load(ServeConfig).log_url.get_secret_value())
    reference = served_predictions(champion.reference, champion.scorer, None)
    checks = data_quality.check_quality(reference, rows, config.tripwires)
    broken, odd = data_quality.failures(checks), config.tripwires.odd_requests
    skew = data_quality.unexplained_skew(count_skew(frame, rows), len(rows), odd)
    skipped = _skipped_days(rows) if {check.name for check in broken} == {"stuck days"} else {}
    if skipped:
        kept = ~np.isin(days_of(rows[NAME]), list(skipped))
        frame, rows = (table[kept].reset_index(drop=True) for table in (frame, rows))
        broken = []
    sound = not broken and not skew
    parts = decompose_loss(champion, frame, rows, config.diagnosis) if sound else []
    now = clock.arrived_at(window.last[:7])
    gain = measure_gain(champion, frame, rows, now, config.diagnosis.gain_days) if sound else None
    first = parts[0] if parts else None
    cause, act, reasons = triage(broken, skew, first, gain, config.diagnosis)
    return MonthDiagnosis(
        month=window.last[:7],
        champion=champion.digest,
        reference=f"{champion.window.first}..{champion.window.last}",
        rows=len(rows),
        cause=cause,
        act=act,
        reasons=[*_skip_reasons(skipped), *reasons],
        quality=checks,
        skew=skew,
        logged=int((rows["source"] == "log").sum()),
        decompositions=parts,
        gain=gain,
    )


def _skipped_days(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Days with a stuck feed, if they are few enough to be skipped."""
    days = days_of(rows[NAME])
    stuck = data_quality.stuck_days(rows, days)
    return stuck if len(stuck) <= MAX_SKIPPED_SHARE * len(set(days)) else {}


def _skip_reasons(skipped: dict[str, list[str]]) -> list[str]:
    return [
        f"{date} is skipped, {', '.join(names)} was stuck: fix that feed"
        for date, names in skipped.items()
    ]


def diagnose(month: str | None = None) -> str:
    """Report a month's drift and the action; data/monitor/diagnosis-<month>.html has the evidence.

    Without a month it is the one that was monitored last.

    Raises:
        WrongMonth: it is not a month of the year, or the champion was trained on it.
        RegistryRefused: there is no champion.
    """
    last = last_month() if month is None else None
    finding = investigate(month or last)
    write_json(MONITOR / f"diagnosis-{finding.month}.json", finding.model_dump())
    to = MONITOR / f"diagnosis-{finding.month}.html"
    if finding.decompositions:
        draw_diagnosis(finding)
    write_text(to, diagnosis_report(finding))
    words = "; ".join(finding.reasons)
    which = f" ({last} was monitored last)" if last else ""
    return f"{finding.month}: {finding.cause} -> {finding.act}: {words} -> {to}{which}"
