"""The stage: a month of the live champion in three layers, on one page.

What was served is held against the training window before any label is there, then against the
labels that had arrived by an instant of the replay. Everything it says can be asked again for the
same instant; data/monitor/ holds a JSON file for each layer, and the page links them.
"""

import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import pandas as pd

from pipeline.features.definitions import PROXY
from pipeline.monitor.inputs import data_quality, drift
from pipeline.monitor.monitored_model import Champion, live, month_window, watched
from pipeline.monitor.month_report import draw_month, month_report
from pipeline.monitor.operations import signals
from pipeline.monitor.performance import labels
from pipeline.monitor.performance.performance import Outcome, Rules, judged
from pipeline.monitor.performance.refit_gain import Gain, gained
from pipeline.monitor.predictions import RISK, by_hand, days_of, flights, served, skewed, table_of
from pipeline.monitor.severity import SEVERITY, Finding, Severity
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
from pipeline.shared.errors import ArtifactTampered, DayUnknown
from pipeline.shared.files import file_hash, text_hash, write_json, write_text

FOUND = {
    name: MONITOR / f"{name}.json"
    for name in ("drift", "tripwires", "outcome", "gain", "alerts", "month")
}
PAGE = MONITOR / "month.html"


_FEW_ROWS = 20_000
_TOLD = 3
"""Checks or features that an alert names; the report has them all."""


class Report(Record):
    """What a report rests on, and its line: the same again need not be found again."""

    inputs: dict[str, str]
    line: str


class Raised(Record):
    """An alert: which layer raised it, whether it calls somebody now, and why."""

    layer: str
    name: str
    severity: Severity
    reason: str


def _raised(layer: str, name: Finding, reason: str) -> list[Raised]:
    return [Raised(layer=layer, name=name, severity=SEVERITY[name], reason=reason)]


@dataclass(frozen=True)
class Month:
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
    outcome: Outcome
    gain: Gain | None
    margin: float

    @property
    def alerts(self) -> list[Raised]:
        """Who is called: for broken data, skew, a refit that wins; for drift alone never."""
        found = [*self._broken(), *self._skewed()]
        found += [
            Raised(
                layer="predictions" if column.column == RISK else "inputs",
                name=f"drift of {column.column}",
                severity=SEVERITY["drift"],
                reason=f"PSI {column.psi:.3f}, {column.status}; it says nothing of the outcome",
            )
            for column in drift.alarms(self.drift)
        ]
        return found + self._of_outcomes()

    def _broken(self) -> list[Raised]:
        """One page for whatever broke: a feed in percent breaks forty rules at once."""
        failed = data_quality.failed(self.checks)
        told = [f"{c.name}: {c.found:g}, limit {c.limit:g} ({c.detail})" for c in failed[:_TOLD]]
        more = [f"and {len(failed) - _TOLD} more checks"] if len(failed) > _TOLD else []
        reason = "; ".join(told + more)
        return _raised("inputs", "broken data", reason) if failed else []

    def _skewed(self) -> list[Raised]:
        worst = sorted(self.skew.items(), key=lambda item: -item[1])
        told = [f"{name} in {rows:,} rows" for name, rows in worst[:_TOLD]]
        more = [f"and {len(worst) - _TOLD} more features"] if len(worst) > _TOLD else []
        reason = "not what was known: " + "; ".join(told + more)
        return _raised("inputs", "skew", reason) if worst else []

    def _of_outcomes(self) -> list[Raised]:
        alert, feed = self.outcome.alert, self.outcome.feed
        told: list[tuple[Finding, str]] = []
        if self.gain is not None and self.gain.wins(self.margin):
            told.append(("a refit wins", f"log loss {self.gain}"))
        if alert.status == "alert":
            told += [("outcome", reason) for reason in alert.reasons]
        if alert.status == "not known":
            told += [("outcome not known", reason) for reason in alert.reasons]
        if feed.stale:
            age = feed.labels_age_hours
            late = "none has come" if age is None else f"the newest are {age:g} h old"
            told.append(("labels late", late))
        if weeks := self.outcome.agreement:
            named = ", ".join(f"{one.carrier} {one.week} ({one.agreement:.2f})" for one in weeks)
            told.append(("labels disagree with flags", named))
        return [one for name, reason in told for one in _raised("outcomes", name, reason)]


def looked(window: Window, now: pd.Timestamp) -> Month:
    """A month as it looks at an instant: what was served, and the labels that had arrived."""
    config = load(MonitorConfig)
    champion = watched(window.first)
    frame = _until(_with_weeks_before(champion, window, config), window.first, now)
    # Evidently takes as long as all the rest, its import included: it gets a core of its own,
    # unless there is so little to measure that a process costs more.
    with _beside(len(frame) + len(champion.reference)) as beside:
        beside.submit(drift.ready)
        rows = served(frame, champion.answerer, load(ServeConfig).log_url.get_secret_value())
        reference = served(champion.reference, champion.answerer, None)
        # What may refuse comes before the pages for people: a refusal leaves them as they are.
        told, rules = labels.daily(frame), Rules.of_configs()
        outcome = judged(rows, told, now, rules, flags_of(frame), since=window.first)
        moved = beside.submit(drift.compared, reference, rows, window.first, config)
        inside = days_of(rows["flight"]) >= window.first
        this, theirs = (table[inside].reset_index(drop=True) for table in (rows, frame))
        checks = data_quality.looked(reference, this, config.tripwires, now)
        docs = data_quality.DOCS if config.html == "full" else None
        odd = config.tripwires.odd_requests
        checks += data_quality.validated(f"served {window.last[:7]}", this, odd, docs)
        gain = gained(champion, frame, rows, now, config.diagnosis.gain_days)
        return Month(
            name=window.last[:7],
            at=now,
            champion=champion,
            rows=len(this),
            logged=int((this["source"] == "log").sum()),
            by_hand=by_hand(theirs, load(ServeConfig).log_url.get_secret_value()),
            checks=checks,
            skew=data_quality.beyond(skewed(theirs, this), len(this), odd),
            drift=moved.result(),
            outcome=outcome,
            gain=gain,
            margin=config.diagnosis.margin,
        )


def _beside(rows: int) -> Executor:
    if rows < _FEW_ROWS:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _with_weeks_before(champion: Champion, window: Window, config: MonitorConfig) -> pd.DataFrame:
    """The month's flights and those of the weeks before that the champion has not seen either."""
    days = config.trailing.window_days
    back = pd.Timestamp(window.first) - pd.Timedelta(days=days)
    first = max(str(back.date()), str((champion.trained_until).date()))
    return flights(Window(first=min(first, window.first), last=window.last))


def _until(frame: pd.DataFrame, first: str, now: pd.Timestamp) -> pd.DataFrame:
    begins = frame["predict_at"][days_of(frame["name"]) >= first].min()
    if begins > now:
        raise DayUnknown(
            f"no flight of the window was asked for by {now:%Y-%m-%d %H:%M}Z, the first is at "
            f"{begins:%Y-%m-%d %H:%M}Z; make AT a later instant"
        )
    return frame[frame["predict_at"] <= now].reset_index(drop=True)


def flags_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The departure-late flags, each with when it arrived: what labels are held against."""
    told = frame[[PROXY]].assign(flight=frame["name"])
    return told.assign(arrived_at=frame["dep_late_known_at"])


def run(month: str | None = None, at: str | None = None) -> str:
    """Watch a month of the live champion: inputs and predictions, outcomes, alerts, one page.

    `at` is an instant of the replay; by default all of the month's labels have arrived.

    Raises:
        WrongMonth: it is no month of the year, or the champion was trained on it.
        RegistryRefused: there is no champion.
    """
    window = month_window(month, load(MonitorConfig))
    now = (
        clock.arrived_at(window.last[:7])
        if at is None
        else pd.Timestamp(rollout_ledger.parse_instant(at))
    )
    inputs = _inputs(window, now)
    if (before := _standing(inputs)) is not None:
        signals.write(signals.read())  # the job has run, and says so
        return f"{before.line}; stands: nothing that it rests on has changed"
    found = looked(window, now)
    if load(MonitorConfig).html == "none":  # older ones would show another comparison
        drift.PAGE.unlink(missing_ok=True)
        shutil.rmtree(data_quality.DOCS, ignore_errors=True)
    write_json(FOUND["drift"], found.drift.model_dump())
    write_json(FOUND["tripwires"], [check.model_dump() for check in found.checks])
    write_json(FOUND["outcome"], found.outcome.model_dump(mode="json"))
    gain = found.gain
    write_json(FOUND["gain"], None if gain is None else gain.model_dump())
    signals.write(told_of(found))
    write_json(FOUND["alerts"], [alert.model_dump() for alert in found.alerts])
    draw_month(found)
    write_text(PAGE, month_report(found))
    report = Report(inputs=inputs, line=_line(found))
    write_json(FOUND["month"], report.model_dump())
    return f"{report.line} -> {PAGE}"


def _inputs(window: Window, now: pd.Timestamp) -> dict[str, str]:
    """Everything that a report rests on: the champion, what it met, the configs, the instant."""
    version, _ = live(window.first)
    sections = [load(kind) for kind in (MonitorConfig, EvaluateConfig, TrainConfig)]
    return {
        "champion": version.tag("release"),
        "flights": file_hash(table_of(window)),
        "log": str(last_id(load(ServeConfig).log_url.get_secret_value())),
        "configs": text_hash(" ".join(section.model_dump_json() for section in sections)),
        "at": f"{now:%Y-%m-%dT%H:%MZ}",
    }


def _standing(inputs: dict[str, str]) -> Report | None:
    """The report before, if it rests on the same; what cannot be read is found anew."""
    wanted = [*FOUND.values(), signals.SIGNALS, PAGE]
    wanted += [drift.PAGE] if load(MonitorConfig).html == "full" else []
    if not all(path.is_file() for path in wanted):
        return None
    try:
        before = read_record(Report, FOUND["month"], "monitor")
    except ArtifactTampered:
        return None
    return before if before.inputs == inputs else None


def told_of(found: Month) -> signals.Signals:
    """The month's end as Prometheus is told it."""
    outcome, answerer, gain = found.outcome, found.champion.answerer, found.gain
    figures = outcome.alert.figures
    psi = {column.column: column.looks[-1] for column in found.drift.columns if column.looks}
    steady = [c.column for c in found.drift.columns if c.group in ("static", "aircraft")]
    return signals.Signals(
        at=found.at.to_pydatetime(),
        version=answerer.version,
        release=answerer.release,
        model_age_days=(found.at - found.champion.trained_until) / pd.Timedelta(days=1),
        labels_age_hours=outcome.feed.labels_age_hours,
        coverage=figures.coverage,
        excess_loss=figures.excess,
        outcome_gap=figures.gap,
        labels_disagreeing=None if outcome.agreement is None else len(outcome.agreement),
        refit_gain=None if gain is None else gain.point,
        refit_gain_high=None if gain is None else gain.high,
        prediction_psi=psi.get(RISK),
        input_psi={name: psi[name] for name in steady if name in psi},
        quality_failures=len(data_quality.failed(found.checks)),
        skew_mismatches=sum(found.skew.values()),
    )


def _line(found: Month) -> str:
    risk = next(c for c in found.drift.columns if c.column == RISK)
    alerts = found.alerts
    paged = [f"{a.name}: {a.reason}" for a in alerts if a.severity == "page"]
    tickets = dict.fromkeys(a.name for a in alerts if a.severity == "ticket")
    figures: Any = found.outcome.overall
    scored = "no label yet" if figures.log_loss is None else f"log loss {figures.log_loss:.3f}"
    return (
        f"{found.name} at {found.at:%Y-%m-%d %H:%M}Z: {found.rows:,} flights; predictions PSI "
        f"{risk.psi:.3f} ({risk.status}); {scored}, outcome {found.outcome.alert.status}; "
        f"page: {'; '.join(paged) or 'none'}; ticket: {', '.join(tickets) or 'none'}"
    )
