"""The tiles of the first screen: release, data, labels and the next check, two lines each."""

from dataclasses import dataclass

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
        Tile("Release", side.release[:8], "digest of the whole release"),
        Tile("Trained on", f"to {last}", f"flights since {first}")
        if last
        else Tile("Trained on", "not known", "the registry cannot be read"),
        _labels(project),
        _data(project),
        _check(project),
    ]


def _labels(project: Project) -> Tile:
    if isinstance(project.loop, Missing) or not project.loop.days:
        if isinstance(project.month, Missing):
            return Tile("Labels (ground truth)", "none yet", "`make loop` receives them day by day")
        at = project.month.performance.at
        return Tile("Labels (ground truth)", f"to {at:%Y-%m-%d}", "of the month's report")
    last = project.loop.days[-1]
    detail = "those of a day come at 10:00 UTC of the next"
    return Tile("Labels (ground truth)", f"to {last.day}", detail)


def _data(project: Project) -> Tile:
    if isinstance(project.snapshots, Missing):
        return Tile("Data", "none yet", project.snapshots.why)
    if refused := project.snapshots.refused:
        months = ", ".join(dict.fromkeys(one.month for one in refused))
        return Tile("Data", f"{months} refused", "nothing new is learned from", "ticket")
    newest = max((one.month for one in project.snapshots.snapshots), default="none")
    return Tile("Data accepted", f"to {newest}", "every month passed the data gate")


def _check(project: Project) -> Tile:
    due = project.next_check
    if isinstance(due, Missing):
        return Tile("Next check", "not known", due.why)
    late = project.now is not None and due < project.now and not project.live
    words = "overdue: the loop stands still" if late else "is it time to retrain?"
    return Tile("Next check", f"{due:%a} {due.day} {due:%b}, {due:%H:%M} UTC", words)
