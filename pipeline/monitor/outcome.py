"""The outcome: what the answers were worth, as far as labels are there to say it.

`judged` is the one door: requests and the label feed as of an instant in, an `Outcome` out. Each
request is joined with its flight's label exactly once; figures count a flight once, by its first
answer. A day's figure is provisional until its labels are due, then final; a final one changes only
by a correction, and that is told. Too few labels are "not known", never fine.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.evaluate.slices import slices
from pipeline.features.definitions import LABEL, PROXY
from pipeline.monitor import labels
from pipeline.monitor.agreement import Agreement, distrusted, label_agreement
from pipeline.monitor.quality import (
    Figures,
    Interval,
    expected_loss,
    figures,
    holm,
    intervals,
    p_other_than_none,
)
from pipeline.shared.clock import LABELS_COMPLETE
from pipeline.shared.config import Bootstrap, EvaluateConfig, MonitorConfig, OutcomeRule
from pipeline.shared.config import SliceRule, load
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LabelsRefused
from pipeline.shared.scores import log_loss

REQUIRED = [
    *("request_id", "flight", "version", "predict_at", "sched_dep_utc", "block_minutes", "risk"),
    *("system_dep_late_3h", "aircraft_airborne"),
]
"""Columns that a table of requests needs here; it has no outcome."""
State = Literal["provisional", "incomplete", "final"]
Status = Literal["alert", "quiet", "not known"]


@dataclass(frozen=True)
class Rules:
    """What `judged` judges by: the outcome's rule, and the gate's slices and bootstrap."""

    outcome: OutcomeRule
    slices: SliceRule
    bootstrap: Bootstrap

    @classmethod
    def of_configs(cls) -> "Rules":
        """As configs/monitor.yaml and configs/evaluate.yaml have them."""
        gate = load(EvaluateConfig)
        return cls(load(MonitorConfig).outcome, gate.slices, gate.bootstrap)


class Revision(Record):
    """A final figure that is no longer what it was: what was said first, and what is said now."""

    labels_changed: int
    first: Figures
    now: Figures


class Day(Record):
    """One local day: its state, its figures, and the revision of a final one, if any.

    The figures of a provisional day are of flights whose deadline has passed: among the others only
    punctual ones can be known, and they would make the day look good.
    """

    date: str
    state: State
    figures: Figures
    revised: Revision | None = None


class SliceFigures(Record):
    """A critical slice: reported, never alerting by itself.

    `judged` is False with too few late flights or days; `p` is Holm's over all judged slices, for
    excess and gap; `noticed` is surely not none, and beyond the alert's limits.
    """

    figures: Figures
    judged: bool
    p: float | None = None
    noticed: bool = False


class Alert(Record):
    """The cheap rule over the newest days whose labels are due; `reasons` hold both numbers."""

    status: Status
    first: str | None
    last: str | None
    figures: Figures
    reasons: list[str]


class Feed(Record):
    """What the label feed did: counts, and the first names of what was set aside."""

    events: int
    duplicates: int
    corrected: int
    conflicts: int
    conflicting: list[str]
    impossible: int
    impossibly_known: list[str]
    unasked: int
    labels_age_hours: float | None
    stale: bool


class Outcome(Record):
    """Everything that is known of the outcome at an instant; JSON by `model_dump(mode="json")`.

    `overall`, its intervals, slices and versions are of final days. `agreement` is None where no
    flags were given, so nothing checked the labels; else it names the weeks that are not trusted.
    """

    at: str
    requests: int
    flights: int
    retries: int
    alert: Alert
    feed: Feed
    overall: Figures
    intervals: dict[str, Interval]
    days: list[Day]
    slices: dict[str, SliceFigures]
    versions: dict[str, Figures]
    agreement: list[Agreement] | None
    agreement_checked: int
    distrusted_labels: int


def judged(
    served: pd.DataFrame,
    told: pd.DataFrame,
    now: pd.Timestamp,
    rules: Rules,
    flags: pd.DataFrame | None = None,
) -> Outcome:
    """What the answers in `served` were worth, by what the label feed had told by `now`.

    `served` has a row per request, in the order of the log, with REQUIRED columns; `told` are
    events of labels.COLUMNS; `flags` (flight, PROXY, arrived_at) are what labels are held against.

    Raises:
        LabelsRefused: a request comes twice, a risk is none, or the feed's table is not one.
    """
    require_requests(served)
    told = labels.as_of(told, now)
    first = served[~served["flight"].duplicated()]
    settled = labels.settled(first.set_index("flight")["predict_at"], told)
    weeks = None if flags is None else _agreement(settled.table, flags, now, rules.outcome)
    broken = distrusted(settled.table["flight"], weeks or [])
    flights = attached(first, settled.table[~broken])
    days = _days(flights, told, now, rules)
    final = flights["day"].isin([pd.Timestamp(d.date, tz="UTC") for d in days if d.state == "final"])
    counted = flights[final]
    known = counted[counted[LABEL].notna()]
    return Outcome(
        at=f"{now:%Y-%m-%dT%H:%MZ}",
        requests=len(served),
        flights=len(first),
        retries=len(served) - len(first),
        alert=_alert(flights, now, rules.outcome),
        feed=_feed(settled, now, rules.outcome),
        overall=_of(counted),
        intervals=intervals(*_arrays(known), rules.bootstrap) if len(known) else {},
        days=days,
        slices=_slices(counted, rules),
        versions={str(name): _of(group) for name, group in counted.groupby("version")},
        agreement=None if weeks is None else [w for w in weeks if w.trusted is False],
        agreement_checked=sum(w.trusted is not None for w in weeks or []),
        distrusted_labels=int(broken.sum()),
    )


def require_requests(served: pd.DataFrame) -> None:
    """Refuse a table of requests that would count one twice, or a risk that is none.

    Raises:
        LabelsRefused: names the column, how many rows, and the first of them.
    """
    if missing := [name for name in REQUIRED if name not in served]:
        raise LabelsRefused(f"served requests lack {', '.join(missing)}; add them from the log")
    wrong = {
        "request_id": (served["request_id"].duplicated(), "was there before"),
        "flight": (~served["flight"].map(labels.is_flight), "names no flight"),
        "risk": (~served["risk"].between(0, 1), "is no probability"),
    }
    for name, (broken, what) in wrong.items():
        if broken.any():
            raise LabelsRefused(
                f"{name} of {int(broken.sum()):,} of {len(served):,} served requests {what}: "
                f"{served[broken].iloc[0][name]!r}; make the table one row per request, from the "
                "log's `request_id`"
            )


def attached(served: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Each request with its flight's label (NaN: none), its local `day`, and its `deadline`.

    Every request stays one row, in its order, however many share a flight.
    """
    late = table.set_index("flight")[LABEL].astype("float64")
    flight = served["flight"]
    return served.assign(
        **{LABEL: flight.map(late).astype("float64")},
        day=labels.dates(flight),
        deadline=labels.deadline(served),
        origin=labels.part(flight, 3),
        carrier=labels.part(flight, 1),
    )


def _arrays(flights: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        flights[LABEL].to_numpy(dtype="float64"),
        flights["risk"].to_numpy(dtype="float64"),
        pd.factorize(flights["day"])[0],
    )


def _of(flights: pd.DataFrame) -> Figures:
    return figures(*_arrays(flights))


def _agreement(
    table: pd.DataFrame, flags: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule
) -> list[Agreement]:
    there = flags[flags["arrived_at"] <= now].drop_duplicates("flight").set_index("flight")
    flag = table["flight"].map(there[PROXY].astype("float64"))
    return label_agreement(table.assign(**{PROXY: flag}), rule)


def due(day: pd.Series) -> pd.Series:
    """The instant at which each local day's labels are complete, as the feed promises."""
    return day + LABELS_COMPLETE


def _days(flights: pd.DataFrame, told: pd.DataFrame, now: pd.Timestamp, rules: Rules) -> list[Day]:
    """Every day that was asked about, in order, with what a correction changed of a final one."""
    rule, first = rules.outcome, _first_final(flights, told, rules.outcome)
    found = []
    for day, group in flights.groupby("day"):
        over = now >= pd.Timestamp(str(day)) + LABELS_COMPLETE
        covered = bool(group[LABEL].notna().mean() >= rule.min_coverage)
        state: State = "provisional" if not over else "final" if covered else "incomplete"
        shown = group if over else group[group["deadline"] <= now]
        revised = _revision(group, first.loc[group.index]) if state == "final" else None
        date = f"{pd.Timestamp(str(day)):%Y-%m-%d}"
        found.append(Day(date=date, state=state, figures=_of(shown), revised=revised))
    return found


def _first_final(flights: pd.DataFrame, told: pd.DataFrame, rule: OutcomeRule) -> pd.Series:
    """The label of each flight when its day became final: when due, and enough of it was there.

    No file remembers what was said first: the feed keeps every event with its arrival.
    """
    told = told[told["known_at"] > told["flight"].map(flights.set_index("flight")["predict_at"])]
    arrived = flights["flight"].map(told.groupby("flight")["arrived_at"].min())
    place = arrived.groupby(flights["day"]).rank(method="first")
    needed = np.ceil(rule.min_coverage * flights.groupby("day")["flight"].transform("size"))
    enough = arrived.where(place == needed).groupby(flights["day"]).max()
    final_at = np.maximum(enough, due(enough.index.to_series()))
    final_at = pd.Series(flights["day"].map(final_at).to_numpy(), index=flights["flight"])
    then = told[told["arrived_at"] <= told["flight"].map(final_at)]
    late = labels.fold(then).table.set_index("flight")[LABEL].astype("float64")
    return flights["flight"].map(late).astype("float64")


def _revision(day: pd.DataFrame, first: pd.Series) -> Revision | None:
    changed = ~((day[LABEL] == first) | (day[LABEL].isna() & first.isna()))
    if not changed.any():
        return None
    before = _of(day.assign(**{LABEL: first}))
    return Revision(labels_changed=int(changed.sum()), first=before, now=_of(day))


def status(figure: Figures, days: int, rule: OutcomeRule) -> tuple[Status, list[str]]:
    """What the outcome calls for, and why: each reason with what was found and what is allowed."""
    unknown = []
    if days < rule.min_days:
        unknown.append(f"{days} days with due labels, at least {rule.min_days} are needed")
    if figure.coverage < rule.min_coverage:
        unknown.append(f"{figure.coverage:.1%} of flights have labels, below {rule.min_coverage:.0%}")
    excess, gap = figure.excess, figure.gap
    if unknown or excess is None or gap is None:
        return "not known", unknown or ["no labels"]
    found = []
    if excess > rule.max_excess_loss:
        found.append(f"log loss is {excess:+.4f} above its own expectation, limit {rule.max_excess_loss:g}")
    if abs(gap) > rule.max_gap:
        found.append(f"late share less mean risk is {gap:+.4f}, limit {rule.max_gap:g} either way")
    return ("alert", found) if found else ("quiet", [])


def _alert(flights: pd.DataFrame, now: pd.Timestamp, rule: OutcomeRule) -> Alert:
    last = (now - LABELS_COMPLETE).floor("D")
    first = last - pd.Timedelta(days=rule.window_days - 1)
    window = flights[flights["day"].between(first, last)]
    figure = _of(window)
    said, reasons = status(figure, window["day"].nunique(), rule)
    ends = (f"{window['day'].min():%Y-%m-%d}", f"{window['day'].max():%Y-%m-%d}")
    begin, end = ends if len(window) else (None, None)
    return Alert(status=said, first=begin, last=end, figures=figure, reasons=reasons)


def _feed(settled: labels.Settled, now: pd.Timestamp, rule: OutcomeRule) -> Feed:
    age = None if pd.isna(settled.newest) else (now - settled.newest) / pd.Timedelta(hours=1)
    conflicts, impossible = settled.folded.conflicts, settled.impossible
    return Feed(
        events=settled.events,
        duplicates=settled.folded.duplicates,
        corrected=settled.folded.corrected,
        conflicts=conflicts["flight"].nunique(),
        conflicting=labels.shown(conflicts["flight"]),
        impossible=impossible["flight"].nunique(),
        impossibly_known=labels.shown(impossible["flight"]),
        unasked=settled.unasked["flight"].nunique(),
        labels_age_hours=None if age is None else round(float(age), 2),
        stale=age is None or bool(age > rule.max_labels_age_hours),
    )


def _slices(flights: pd.DataFrame, rules: Rules) -> dict[str, SliceFigures]:
    """Every critical slice, with Holm's correction over all that have enough late flights."""
    if not len(flights):
        return {}
    frame = flights.assign(aircraft_known_at=flights["aircraft_airborne"], sched_hour=_hour(flights))
    groups = {name: flights[mask] for name, mask in slices(frame, rules.slices).items()}
    found = {name: _of(group) for name, group in groups.items()}
    least = rules.slices
    enough = [
        name
        for name, figure in found.items()
        if figure.late >= least.min_positives and figure.days >= least.min_days
    ]
    raw = [p for name in enough for p in _surprises(groups[name])]
    adjusted = holm(raw)
    p = {name: min(adjusted[2 * n : 2 * n + 2]) for n, name in enumerate(enough)}
    return {
        name: SliceFigures(
            figures=figure,
            judged=name in p,
            p=round(p[name], 6) if name in p else None,
            noticed=name in p and p[name] < rules.outcome.slice_alpha and _beyond(figure, rules),
        )
        for name, figure in found.items()
    }


def _hour(flights: pd.DataFrame) -> pd.Series:
    return flights["sched_dep_utc"].dt.tz_convert(labels.ZONE).dt.hour


def _surprises(flights: pd.DataFrame) -> list[float]:
    known = flights[flights[LABEL].notna()]
    late, risk, day = _arrays(known)
    excess = log_loss(late, risk) - expected_loss(risk)
    return [p_other_than_none(value, day) for value in (excess, late - risk)]


def _beyond(figure: Figures, rules: Rules) -> bool:
    rule = rules.outcome
    return (figure.excess or 0) > rule.max_excess_loss or abs(figure.gap or 0) > rule.max_gap
