"""The tiles of the first screen: release, data, labels and the next check, two lines each."""

from dataclasses import dataclass
from datetime import date

from cockpit.facts import dates
from cockpit.facts.project import Project
from cockpit.facts.releases import Releases
from cockpit.reading import Missing


@dataclass(frozen=True)
class Tile:
    """A fact in two lines; `state` is "ticket" or "page" where it asks for a look."""

    name: str
    value: str
    detail: str
    state: str = ""


def tiles(project: Project, ledger: Releases) -> list[Tile]:
    """The tiles of a project that has a champion."""
    side = ledger.champion
    registry = project.registry
    version = None if isinstance(registry, Missing) else registry.versions.get(side.version)
    first, _, last = (version.tags.get("window", "") if version else "").partition("..")
    return [
        Tile("Release", side.release[:8], "its fingerprint (SHA-256)"),
        _trained(first, last, project.case.words.events),
        _labels(project),
        _data(project),
        _check(project),
    ]


def _trained(first: str, last: str, events: str) -> Tile:
    """The window of the training data, from two days as the registry has them."""
    if not last:
        return Tile("Trained on", "not known", "the registry cannot be read")
    since, until = (dates.day(date.fromisoformat(one)) for one in (first, last))
    return Tile(f"Trained on {events}", f"to {until}", f"from {since} on")


def _labels(project: Project) -> Tile:
    if isinstance(project.loop, Missing) or not project.loop.days:
        if isinstance(project.month, Missing):
            return Tile("Labels (ground truth)", "none yet", "`make loop` receives them day by day")
        at = project.month.performance.at
        return Tile("Labels (ground truth)", f"to {dates.day(at)}", "of the month's report")
    last = project.loop.days[-1]
    detail = "a day's labels come at 10:00 UTC of the next"
    if project.stands_still:
        detail = "none since: the loop stands still"
    return Tile("Labels (ground truth)", f"to {dates.day(last.day)}", detail)


def _data(project: Project) -> Tile:
    if isinstance(project.snapshots, Missing):
        return Tile("Data", "none yet", project.snapshots.why)
    if refused := project.snapshots.refused:
        months = ", ".join(dict.fromkeys(dates.month(one.month) for one in refused))
        return Tile("Data", f"{months} refused", "nothing is trained on them", "ticket")
    newest = max((one.month for one in project.snapshots.snapshots), default="")
    until = f"to {dates.month(newest)}" if newest else "none"
    return Tile("Data accepted", until, "every month passed the data gate")


def _check(project: Project) -> Tile:
    due = project.next_check
    if isinstance(due, Missing):
        return Tile("Next check", "not known", due.why)
    if project.stands_still:
        when = f"since {due.day} {due:%B}"
        return Tile("Weekly check overdue", when, "the closed loop stands still", "ticket")
    when = f"{due:%a} {due.day} {due:%B}, {due:%H:%M} UTC"
    return Tile("Next weekly check", when, "is it time to retrain?")
