"""A month as people read it: one line, one page in three layers, and its picture."""

from typing import TYPE_CHECKING, Any

from pipeline.monitor.inputs.data_quality import DOCS
from pipeline.monitor.inputs.drift import DRIFT_PAGE
from pipeline.monitor.predictions import RISK
from pipeline.shared import plots as figures
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import MONITOR
from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE

if TYPE_CHECKING:
    from pipeline.monitor.inputs.drift import Drift
    from pipeline.monitor.performance.slice_performance import SliceFigures
    from pipeline.monitor.report import MonthFindings

PICTURE = MONITOR / "month.png"


def month_line(found: "MonthFindings") -> str:
    """A month in a line: its rows, drift and log loss, and the alerts that fire."""
    risk = next(c for c in found.drift.columns if c.column == RISK)
    firing = found.alerts
    paged = [f"{a.name}: {a.reason}" for a in firing if a.severity == "page"]
    tickets = [a.name for a in firing if a.severity == "ticket"]
    overall = found.outcome.overall
    scored = "no label yet" if overall.log_loss is None else f"log loss {overall.log_loss:.3f}"
    ends = (
        f"{scored}, outcome {found.outcome.alert.status}; page: {'; '.join(paged) or 'none'}; "
        f"ticket: {', '.join(tickets) or 'none'}"
    )
    if is_gates_month(found) and tickets and not paged:
        ends = (
            f"{scored}; page: none; no news, since the gate passed version "
            f"{found.champion.scorer.version} on these days: {', '.join(tickets)}"
        )
    return (
        f"{found.name} at {found.at:%Y-%m-%d %H:%M}Z: {found.rows:,} {USECASE.noun}; predictions "
        f"PSI {risk.psi:.3f} ({risk.status}); {ends}"
    )


def is_gates_month(found: "MonthFindings") -> bool:
    """Whether the gate judged this champion on this month, by the windows as they are set now."""
    judged, learned = load(EvaluateConfig).window, load(TrainConfig).window
    return judged.first[:7] <= found.name <= judged.last[:7] and found.champion.window == learned


def month_report(found: "MonthFindings") -> str:
    """A month in three layers: what was served, what it was served with, what came of it."""
    columns, rows = _drift(found.drift)
    intervals, slices = found.outcome.intervals, found.outcome.slices
    return render(
        "monitor/templates/month_report.html",
        found=found,
        words=USECASE.words,
        limited=[check for check in found.checks if check.limit != 0 or not check.passed],
        drift_columns=columns,
        drift_rows=rows,
        picture=PICTURE.name,
        intervals=[{"name": name, **one.model_dump()} for name, one in intervals.items()],
        slices=[_slice(name, one) for name, one in slices.items()],
        links=_links(found.name),
    )


def _drift(drift: "Drift") -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The columns and the rows of the table of drift: a column for each trailing window."""
    looks = ["PSI, trailing, to " + day for day in drift.look_days]
    columns = {"column": "column", "group": "group", "PSI of the month": "psi"}
    columns |= {look: look for look in looks} | {"status": "status"}
    rows = [one.model_dump() | dict(zip(looks, one.looks, strict=True)) for one in drift.columns]
    return columns, rows


def _slice(name: str, of: "SliceFigures") -> dict[str, Any]:
    noticed = "yes" if of.noticed else ""
    return {"name": name, **of.figures.model_dump(), "noticed": noticed}


def _links(name: str) -> dict[str, str]:
    """The other files about the month that are there, by what they show."""
    places = {
        "Evidently: every column": DRIFT_PAGE.relative_to(MONITOR).as_posix(),
        "Great Expectations: the served rows": f"{DOCS.relative_to(MONITOR).as_posix()}/index.html",
        f"make diagnose MONTH={name}": f"diagnosis-{name}.html",
    }
    layers = ("drift", "tripwires", "outcome", "gain", "promotion", "alerts")
    places |= {f"{layer} as JSON": f"{layer}.json" for layer in layers}
    return {text: to for text, to in places.items() if (MONITOR / to).is_file()}


def draw_month(found: "MonthFindings") -> None:
    """Draw the month day by day: outcome beside risk, and the loss beside what was expected."""
    days = [day for day in found.outcome.days if day.figures.log_loss is not None]
    dates = [day.date[5:] for day in days]
    figure = figures.blank(10, 5.5)
    above, below = figure.subplots(2, 1, sharex=True)
    share = f"{USECASE.words.positive} share"
    above.plot(dates, [d.figures.mean_outcome for d in days], marker=".", label=share)
    above.plot(dates, [d.figures.mean_risk for d in days], marker=".", label="mean risk")
    below.plot(dates, [d.figures.log_loss for d in days], marker=".", label="log loss")
    expected = [d.figures.expected_log_loss for d in days]
    below.plot(dates, expected, marker=".", label="expected of itself")
    for axes in (above, below):
        axes.legend()
    below.tick_params(axis="x", rotation=60)
    figures.save(figure, PICTURE)
