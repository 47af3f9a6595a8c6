"""The stage: a month of the live champion in three layers, on one page.

What was served is held against the training window before any label is there, then against the
labels that had arrived by an instant of the replay. Everything it says can be asked again for the
same instant; data/monitor/ holds a JSON file for each layer, and the page links them.
"""

import contextlib
import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import pandas as pd

from pipeline.features.definitions import NAME, PROXY
from pipeline.monitor.inputs import data_quality, drift
from pipeline.monitor.monitored_model import Champion, live_champion, load_champion, month_window
from pipeline.monitor.month_report import draw_month, month_line, month_report
from pipeline.monitor.operations import alerts, job_signals
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.performance import (
    Performance,
    PerformanceRules,
    measure_performance,
)
from pipeline.monitor.performance.promotion_gain import PromotionGain, measure_promotion
from pipeline.monitor.performance.refit_gain import RefitGain, measure_gain
from pipeline.monitor.predictions import (
    RISK,
    count_skew,
    count_unknown_callers,
    days_of,
    events_of_window,
    served_predictions,
    table_of,
)
from pipeline.records import rollout_ledger
from pipeline.records.request_log import last_id
from pipeline.shared import clock
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import MONITOR, Check, Record, read_record
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered, DayUnknown
from pipeline.shared.files import file_hash, text_hash, write_json, write_text
from pipeline.usecase.chosen import USECASE

FOUND = {
    name: MONITOR / f"{name}.json"
    for name in ("drift", "tripwires", "outcome", "gain", "promotion", "alerts", "month")
}
MONTH_PAGE = MONITOR / "month.html"

_FEW_ROWS = 20_000
_NAMED = 3
"""Checks or features that an alert names; the report has them all."""


class Report(Record):
    """The inputs of a report, and its line: the same inputs need no second report."""

    inputs: dict[str, str]
    line: str
    month: str = ""


class FiringAlert(Record):
    """An alert that fires, as configs/monitor/alerts.yml has it, and why it does."""

    area: str
    name: str
    severity: alerts.Severity
    summary: str
    reason: str


@dataclass(frozen=True)
class MonthFindings:
    """All that was found of a month by an instant."""

    name: str
    at: pd.Timestamp
    champion: Champion
    rows: int
    logged: int
    by_hand: int
    checks: list[Check]
    skew: dict[str, int]
    drift: drift.Drift
    outcome: Performance
    gain: RefitGain | None
    promotion: PromotionGain | None

    @property
    def alerts(self) -> list[FiringAlert]:
        """The alerts that the month's signals fire, each with its reason in words if it has any."""
        details = self.details()
        return [
            FiringAlert(
                area=alert.area,
                name=alert.name,
                severity=alert.severity,
                summary=alert.summary,
                reason=details.get(alert.name, evidence),
            )
            for alert, evidence in alerts.firing(signals_of(self))
        ]

    def details(self) -> dict[str, str]:
        """The cases behind the signals' counts, by the alert that reads them."""
        failed = [
            f"{c.name}: {c.found:g}, limit {c.limit:g} ({c.detail})"
            for c in data_quality.failures(self.checks)
        ]
        worst = sorted(self.skew.items(), key=lambda item: -item[1])
        differing = [f"{name} in {rows:,} rows" for name, rows in worst]
        weeks = [
            f"{one.group} {one.week} ({one.agreement:.2f})" for one in self.outcome.agreement or []
        ]
        return {
            "QualityFailures": _first(failed, "checks"),
            "SkewFound": "not what was known: " + _first(differing, "features"),
            "LabelsDisagree": ", ".join(weeks),
        }


def _first(details: list[str], kind: str) -> str:
    """The first of many: a feed in percent breaks forty rules at once."""
    more = [f"and {len(details) - _NAMED} more {kind}"] if len(details) > _NAMED else []
    return "; ".join(details[:_NAMED] + more)


def look_at(window: Window, now: pd.Timestamp) -> MonthFindings:
    """A month as it looks at an instant: what was served, and the labels that had arrived."""
    config = load(MonitorConfig)
    champion = load_champion(window.first)
    frame = _until(_with_weeks_before(champion, window, config), window.first, now)
    # Evidently takes as long as all the rest, its import included: it gets a core of its own,
    # unless there is so little to measure that a process costs more.
    with _beside(len(frame) + len(champion.reference)) as beside:
        beside.submit(drift.load_evidently)
        rows = served_predictions(
            frame, champion.scorer, load(ServeConfig).log_url.get_secret_value()
        )
        reference = served_predictions(champion.reference, champion.scorer, None)
        # What may refuse comes before the pages for people: a refusal leaves them as they are.
        told, rules = delayed_labels.daily(frame), PerformanceRules.of_configs()
        outcome = measure_performance(rows, told, now, rules, flags_of(frame), since=window.first)
        moved = beside.submit(drift.measure_drift, reference, rows, window.first, config)
        inside = days_of(rows[NAME]) >= window.first
        this, theirs = (table[inside].reset_index(drop=True) for table in (rows, frame))
        checks = data_quality.check_quality(reference, this, config.tripwires, now)
        docs = data_quality.DOCS if config.html == "full" else None
        odd = config.tripwires.odd_requests
        checks += data_quality.validate_served(f"served {window.last[:7]}", this, odd, docs)
        gain = measure_gain(champion, frame, rows, now, config.diagnosis.gain_days)
        return MonthFindings(
            name=window.last[:7],
            at=now,
            champion=champion,
            rows=len(this),
            logged=int((this["source"] == "log").sum()),
            by_hand=count_unknown_callers(theirs, load(ServeConfig).log_url.get_secret_value()),
            checks=checks,
            skew=data_quality.unexplained_skew(count_skew(theirs, this), len(this), odd),
            drift=moved.result(),
            outcome=outcome,
            gain=gain,
            promotion=measure_promotion(frame, rows, now),
        )


def _beside(rows: int) -> Executor:
    if rows < _FEW_ROWS:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _with_weeks_before(champion: Champion, window: Window, config: MonitorConfig) -> pd.DataFrame:
    """The month's events and those of the weeks before that the champion has not seen either."""
    days = config.trailing.window_days
    back = pd.Timestamp(window.first) - pd.Timedelta(days=days)
    first = max(str(back.date()), str((champion.trained_until).date()))
    return events_of_window(Window(first=min(first, window.first), last=window.last))


def _until(frame: pd.DataFrame, first: str, now: pd.Timestamp) -> pd.DataFrame:
    begins = frame["predict_at"][days_of(frame["name"]) >= first].min()
    if begins > now:
        raise DayUnknown(
            f"no {USECASE.words.event} of the window was asked for by {now:%Y-%m-%d %H:%M}Z, the "
            f"first is at {begins:%Y-%m-%d %H:%M}Z; make AT a later instant"
        )
    return frame[frame["predict_at"] <= now].reset_index(drop=True)


def flags_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The proxy flags, each with when it arrived: what labels are held against."""
    told = frame[[PROXY]].assign(**{NAME: frame["name"]})
    return told.assign(arrived_at=frame[f"{PROXY}_known_at"])


def run(month: str | None = None, at: str | None = None) -> str:
    """Write the report of a month: data quality and drift, performance against labels, alerts.

    The earlier one stands if nothing that it rests on has changed. `at` is an instant of the
    replay; by default all of the month's labels have arrived.

    Raises:
        WrongMonth: it is no month of the year, or the champion was trained on it.
        RegistryRefused: there is no champion.
    """
    window = month_window(month, load(MonitorConfig))
    now = clock.arrived_at(window.last[:7])
    if at is not None:
        now = pd.Timestamp(rollout_ledger.parse_instant(at))
    inputs = _inputs(window, now)
    if (before := _standing(inputs)) is not None:
        job_signals.write_signals(job_signals.read())  # the job has run, and says so
        return f"{before.line}; stands: nothing that it rests on has changed"
    found = look_at(window, now)
    if load(MonitorConfig).html == "none":  # older ones would show another comparison
        drift.DRIFT_PAGE.unlink(missing_ok=True)
        shutil.rmtree(data_quality.DOCS, ignore_errors=True)
    write_json(FOUND["drift"], found.drift.model_dump())
    write_json(FOUND["tripwires"], [check.model_dump() for check in found.checks])
    write_json(FOUND["outcome"], found.outcome.model_dump(mode="json"))
    for name, gain in (("gain", found.gain), ("promotion", found.promotion)):
        write_json(FOUND[name], None if gain is None else gain.model_dump())
    job_signals.write_signals(signals_of(found))
    write_json(FOUND["alerts"], [alert.model_dump() for alert in found.alerts])
    draw_month(found)
    write_text(MONTH_PAGE, month_report(found))
    report = Report(inputs=inputs, line=month_line(found), month=found.name)
    write_json(FOUND["month"], report.model_dump())
    return f"{report.line} -> {MONTH_PAGE}"


def _inputs(window: Window, now: pd.Timestamp) -> dict[str, str]:
    """Everything that a report rests on: champion, what it met, alerts, configs, instant."""
    version, _ = live_champion(window.first)
    sections = [load(kind) for kind in (MonitorConfig, EvaluateConfig, TrainConfig)]
    return {
        "champion": version.tag("release"),
        "events": file_hash(table_of(window)),
        "log": str(last_id(load(ServeConfig).log_url.get_secret_value())),
        "alerts": file_hash(alerts.RULES),
        "configs": text_hash(" ".join(section.model_dump_json() for section in sections)),
        "at": f"{now:%Y-%m-%dT%H:%MZ}",
    }


def _standing(inputs: dict[str, str]) -> Report | None:
    """The report before, if it rests on the same; what cannot be read is found anew."""
    wanted = [*FOUND.values(), job_signals.SIGNALS, MONTH_PAGE]
    wanted += [drift.DRIFT_PAGE] if load(MonitorConfig).html == "full" else []
    if not all(path.is_file() for path in wanted):
        return None
    try:
        before = read_record(Report, FOUND["month"], "monitor")
    except ArtifactTampered:
        return None
    return before if before.inputs == inputs else None


def last_month() -> str | None:
    """The month that was monitored last; None if none was, or its report is damaged."""
    with contextlib.suppress(ArtifactTampered, ArtifactMissing):
        return read_record(Report, FOUND["month"], "monitor").month or None
    return None


def signals_of(found: MonthFindings) -> job_signals.JobSignals:
    """The month's end in numbers: what Prometheus is shown, and what alerts are evaluated on."""
    outcome, answerer, gain = found.outcome, found.champion.scorer, found.gain
    figures = outcome.alert.figures
    psi = {c.column: c.lasting for c in found.drift.columns if c.lasting is not None}
    steady = [c.column for c in found.drift.columns if c.group in USECASE.monitored.alarming]
    return job_signals.JobSignals(
        at=found.at.to_pydatetime(),
        version=answerer.version,
        release=answerer.release,
        model_age_days=(found.at - found.champion.trained_until) / pd.Timedelta(days=1),
        labels_age_hours=outcome.feed.labels_age_hours,
        coverage=figures.coverage,
        due_days=outcome.alert.days,
        excess_loss=figures.excess,
        outcome_gap=figures.gap,
        labels_disagreeing=None if outcome.agreement is None else len(outcome.agreement),
        refit_gain=None if gain is None else gain.point,
        refit_gain_high=None if gain is None else gain.high,
        prediction_psi=psi.get(RISK),
        input_psi={name: psi[name] for name in steady if name in psi},
        quality_failures=len(data_quality.failures(found.checks)),
        skew_mismatches=sum(found.skew.values()),
    )
