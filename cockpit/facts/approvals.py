"""Why this version serves: the gate, the shadow, the canary and the person behind it."""

from dataclasses import dataclass

from cockpit.facts import verdict
from cockpit.facts.project import Project
from cockpit.facts.releases import Releases, reasons
from cockpit.reading import Missing
from pipeline.records.rollout_ledger import Entry, Side


@dataclass(frozen=True)
class Step:
    """One step of a version's way into service: passed, or why there was none."""

    name: str
    state: str
    words: str
    place: str


def steps(project: Project, releases: Releases) -> list[Step]:
    """The steps of the champion, in their order."""
    side = releases.champion
    return [
        _gate(project, side),
        _shadow(releases.shadow_of(side.release)),
        _canary(releases.canary_of(side.release)),
        _person(releases.reign),
    ]


def because(releases: Releases) -> str:
    """The decision that made the champion, in half a sentence."""
    move = releases.reign.move
    why = {
        "registered": "it passed the gate as the first model, when nothing was live",
        "promoted by hand": f"{move.by} promoted it by hand",
        "rolled back": f"its successor was rolled back by {move.by}",
    }.get(move.event)
    if why:
        return why
    told = "; ".join(reasons(move)) or move.event
    number, _, kind = move.rollout.partition("-")
    event = "promoted" if move.event == "baked" else move.event
    return f"{kind} {number} {event} it: {told}"


def _gate(project: Project, side: Side) -> Step:
    registry = project.registry
    if isinstance(registry, Missing):
        return Step("gate", "unknown", registry.why, "gate")
    version = registry.versions.get(side.version)
    if version is None:
        return Step("gate", "unknown", f"the registry has no version {side.version}", "gate")
    found = verdict.of_version(version)
    if isinstance(found, Missing):
        return Step("gate", "unknown", found.why, "gate")
    best, against = found.headline, "champion" if found.champion else "baseline"
    words = f"{len(found.checks)} checks"
    if best is not None and best.interval is not None:
        point, low, high = best.interval
        words += f"; log loss {point:+.4f} [{low:+.4f}, {high:+.4f}] against the {against}"
    return Step("gate", "passed" if found.passed else "failed", words, "gate")


def _shadow(entry: Entry | None) -> Step:
    if entry is None:
        return Step("shadow", "none", "no request was mirrored to it before", "rollout")
    state = "passed" if entry.move.event == "shadow passed" else "failed"
    serving = (entry.move.decision or {}).get("serving")
    if serving:
        words = f"{serving['both_answered']:,} of {serving['pairs']:,} mirrored requests"
    else:
        words = "; ".join(reasons(entry.move)) or entry.move.event
    return Step("shadow", state, words, "rollout")


def _canary(entry: Entry | None) -> Step:
    if entry is None:
        return Step("canary", "none", "it took all traffic at once", "rollout")
    state = "passed" if entry.move.event == "promoted" else "failed"
    metrics = (entry.move.decision or {}).get("metrics", [])
    errors = next((one for one in metrics if one["name"] == "errors"), None)
    words = "; ".join(reasons(entry.move)) or entry.move.event
    if errors:
        ours, theirs = errors["challenger"], errors["control"]
        words = (
            f"failed {ours['bad']} of {ours['of']:,} requests, its baseline {theirs['bad']} of "
            f"{theirs['of']:,}"
        )
    return Step("canary", state, words, "rollout")


def _person(reign: Entry) -> Step:
    by = reign.move.by
    if "by hand" in reign.move.event or by.startswith("hand of "):
        return Step("person", "passed", by, "time")
    return Step(
        "person", "none", f"nobody had to; begun by {by.partition(' for ')[2] or by}", "time"
    )
