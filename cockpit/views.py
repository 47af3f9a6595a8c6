"""The page's values from a project's facts: what each template draws."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cockpit.facts import approvals, dates, month, prediction, rollout_words, severity, snapshots
from cockpit.facts import book as answer_book
from cockpit.facts import concerns as wrong
from cockpit.facts.book import PLACES, Book
from cockpit.facts.project import Project
from cockpit.facts.releases import percent
from cockpit.facts.rollouts import IN_FULL, Rollout
from cockpit.facts.stages import stages
from cockpit.facts.steps import steps
from cockpit.facts.timeline import decisions
from cockpit.pictures import figures, interval_rows
from cockpit.pictures.time_strip import COLOURS, colour, time_strip
from cockpit.places import DRAWN, NAV, TITLES, TOOLS
from cockpit.reading import Missing
from cockpit.tiles import tiles
from cockpit.tools import dashboard, dvc_window
from cockpit.tour import stops
from pipeline.records.rollout_ledger import serving_shares
from pipeline.shared.pages import render

CHECK_AGAIN = "Check this decision again (changes nothing)"


@dataclass(frozen=True)
class View:
    """The values that do not come from the project: where it is shown, and what was asked."""

    root: Path
    word: str = "here"
    folders: dict[str, str] | None = None
    request: str = ""
    signature: str = ""
    static: bool = False
    css: str = ""
    js: str = ""


def page(project: Project, view: View) -> str:
    """Render the whole page."""
    return render("cockpit/templates/cockpit.html", **values(project, view))


def live(project: Project, view: View) -> str:
    """Render the part of the page that changes while programs run."""
    return render("cockpit/templates/live.html", **values(project, view))


def tool(name: str, folder: Path, title: str, word: str) -> str:
    """Render a tool's results as a page."""
    shown = {"title": DRAWN[name], "name": title, "word": word}
    if name == "dvc":
        return render("cockpit/templates/dvc.html", **shown, **dvc_window.values(folder))
    if name == "dashboard":
        return render("cockpit/templates/dashboard.html", **shown, **dashboard.values(folder))
    return render("cockpit/templates/data_docs.html", **shown, report=snapshots.read(folder))


def values(project: Project, view: View) -> dict[str, Any]:
    """Everything that the templates draw."""
    book = answer_book.read(view.root)
    return {
        "title": f"Cockpit: {project.name}",
        "name": project.name,
        "words": project.case.words,
        "folder": _folder(project, view),
        "folders": view.folders or {view.word: project.name},
        "word": view.word,
        "static": view.static,
        "signature": view.signature,
        "css": view.css,
        "js": view.js,
        "nav": NAV,
        "titles": TITLES,
        "places": [(place, TITLES[place]) for place in PLACES],
        "answers_of": lambda place: _first_at(book, place),
        "tools": TOOLS,
        "live": project.live,
        "now": project.now,
        "book": book,
        "colour": colour,
        "arms": rollout_words.ARMS,
        "month_name": dates.month,
        "check_again": CHECK_AGAIN,
        **_now(project),
        **_time(project, view),
        "stages": stages(project, book, datetime.now(UTC)),
        "graph_missing": project.stages if isinstance(project.stages, Missing) else None,
        "rollouts": [_rollout(one, project, view) for one in project.rollouts[:IN_FULL]],
        "older_rollouts": [_outcome(one) for one in project.rollouts[IN_FULL:]],
        **_performance(project),
        "snapshots": project.snapshots,
        "verdict": project.verdict,
        "gate_rows": []
        if isinstance(project.verdict, Missing)
        else figures.gate_rows(project.verdict),
        **_prediction(project, view),
        "registry": project.registry,
        "stops": stops(project),
    }


def _folder(project: Project, view: View) -> str:
    try:
        shown = project.folder.resolve().relative_to(view.root.resolve())
    except ValueError:
        return str(project.folder)
    return "." if shown == Path() else str(shown)


def _first_at(book: Book, place: str) -> list[Any]:
    """The answers whose first evidence is this part of the page: each is listed once."""
    return [one for one in book.of(place) if one.places[0] == place]


def _now(project: Project) -> dict[str, Any]:
    found = wrong.concerns(project)
    state, headline = severity.summary(found)
    ledger = project.releases
    shown: dict[str, Any] = {"releases": ledger, "state": state, "headline": headline}
    shown["concerns"] = severity.grouped(found)
    if isinstance(ledger, Missing):
        return shown | {"shares": [], "because": "", "steps": [], "tiles": []}
    return shown | {
        "shares": [(side, percent(share)) for side, share in serving_shares(ledger.last)],
        "because": approvals.because(ledger),
        "steps": approvals.steps(project, ledger),
        "tiles": tiles(project, ledger),
    }


def _time(project: Project, view: View) -> dict[str, Any]:
    found = decisions(project)
    ledger = project.releases
    numbers = (
        []
        if isinstance(ledger, Missing)
        else dict.fromkeys(side.version for one in ledger.services for side, _ in one.shares)
    )
    return {
        "strip": time_strip(project),
        "legend": list(numbers) if len(numbers) <= COLOURS else [],
        "decisions": found,
        "again_link": "" if view.static else f"/decide-again?of={view.word}&rollout=",
    }


def _rollout(rollout: Rollout, project: Project, view: View) -> dict[str, Any]:
    last, live = rollout.last, "a rollout" in project.live
    decided = any(entry.move.evidence for entry in rollout.entries)
    return {
        "rollout": rollout,
        "state": _state(rollout),
        "badge": _badge(rollout, live),
        "days": rollout_words.days(rollout),
        "drill": rollout_words.drill(rollout.challenger.fault),
        "sentence": rollout_words.sentence(rollout),
        "next_act": rollout_words.next_act(rollout, live),
        "recorded": rollout.reasons,
        "steps": steps(rollout),
        "rows": interval_rows.rows(last),
        "others": interval_rows.others(last),
        "courses": interval_rows.courses(rollout),
        "rates": [one.metric for one in last.guardrails if one.is_rate] if last else [],
        "breakers": last.decision.breakers if last else [],
        "again": f"/decide-again?of={view.word}&rollout={rollout.name}" if decided else "",
    }


def _state(rollout: Rollout) -> str:
    if rollout.ending in rollout_words.WENT_BADLY or (rollout.open and rollout.alarms):
        return "bad"
    return "good" if rollout.ending in rollout_words.WENT_WELL else "open"


def _badge(rollout: Rollout, live: bool) -> str:
    if not rollout.open:
        return "promoted" if rollout.ending == "baked" else rollout.ending
    alarm = ", ALARM" if rollout.alarms else ""
    return f"{'running' if live else 'interrupted'}{alarm}"


def _outcome(rollout: Rollout) -> dict[str, Any]:
    """A rollout of long ago in a line."""
    days, why = rollout_words.days(rollout), rollout_words.why(rollout.reasons)
    return {"rollout": rollout, "days": days, "why": why}


def _performance(project: Project) -> dict[str, Any]:
    said, share = "", f"{project.case.words.positive} share less mean risk"
    if not isinstance(project.loop, Missing) and project.loop.days:
        last = project.loop.days[-1]
        said = (
            f"By the loop, on the 14 days to {dates.day(last.day)}: {last.status}"
            + (f", excess log loss {last.excess:+.4f} nats" if last.excess is not None else "")
            + (f", {share} {last.gap:+.4f}." if last.gap is not None else ".")
        )
    shown: dict[str, Any] = {"month": project.month, "loop_words": said}
    if isinstance(project.month, Missing):
        return shown
    return shown | {
        "month_words": _month_words(project.month),
        "calibration": figures.calibration(
            project.month.performance.calibration, project.case.words
        ),
        "slices": figures.slice_rows(project.month, project.case.words),
        "histograms": [
            *filter(None, [figures.predictions(project.month)]),
            *figures.worst_columns(project.month),
        ],
    }


def _month_words(found: month.Month) -> str:
    overall, alert = found.performance.overall, found.performance.alert
    loss = "no label yet" if overall.log_loss is None else f"log loss {overall.log_loss:.3f}"
    auc = "" if overall.roc_auc is None else f", ROC AUC {overall.roc_auc:.3f}"
    return (
        f"Version {found.signals.version} on {found.drift.window.replace('..', ' to ')}: {loss}"
        f"{auc}, performance {alert.status}"
        f"{': ' + '; '.join(alert.reasons) if alert.reasons else ''}."
    )


def _prediction(project: Project, view: View) -> dict[str, Any]:
    words = project.case.words
    found = prediction.find(project.folder, view.request, words) if view.request else None
    return {
        "request": view.request,
        "prediction": found,
        "examples": prediction.newest(project.folder, words),
    }
