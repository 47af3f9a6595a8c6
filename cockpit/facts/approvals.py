"""Why this version serves: the gate, the shadow, the canary and the approval behind it."""

from dataclasses import dataclass

from cockpit.facts import verdict
from cockpit.facts.project import Project
from cockpit.facts.registry import Registry
from cockpit.facts.releases import Releases, reasons
from cockpit.facts.rollout_words import why
from cockpit.reading import Missing
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.shared.contracts import Estimate


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
        _approval(releases.reign),
    ]


def because(releases: Releases) -> str:
    """The decision that made the champion, in half a sentence."""
    move = releases.reign.move
    event = {
        "registered": "it passed the gate as the first model, when nothing was live",
        "promoted by hand": f"{move.by} promoted it by hand",
        "rolled back": f"its successor was rolled back by {move.by}",
    }.get(move.event)
    if event:
        return event
    told = why(reasons(move)) or move.event
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
    words = found.counted
    if found.headline is not None and found.headline.estimate is not None:
        against = _version_of(registry, found.champion) if found.champion else "the best baseline"
        words += f"; log loss {_difference(found.headline.estimate)} than {against}"
    return Step("gate", "passed" if found.passed else "failed", words, "gate")


def _version_of(registry: Registry, model: str) -> str:
    """The version that holds a model, by the model's digest."""
    numbers = [n for n, one in registry.versions.items() if one.tags.get("model_digest") == model]
    return f"version {numbers[0]}" if numbers else f"model {model[:8]}"


def _difference(of: Estimate) -> str:
    """A difference of log loss with its interval; below 0 is better."""
    if of.point <= 0:
        return f"better by {-of.point:.4f} [{-of.high:.4f}, {-of.low:.4f}]"
    return f"worse by {of.point:.4f} [{of.low:.4f}, {of.high:.4f}]"


def _shadow(entry: Entry | None) -> Step:
    if entry is None:
        return Step("shadow", "none", "no request was copied to it before", "rollout")
    state = "passed" if entry.move.event == "shadow passed" else "failed"
    serving = (entry.move.decision or {}).get("serving")
    if serving:
        words = f"answered {serving['both_answered']:,} of {serving['pairs']:,} copied requests"
    else:
        words = why(reasons(entry.move)) or entry.move.event
    return Step("shadow", state, words, "rollout")


def _canary(entry: Entry | None) -> Step:
    if entry is None:
        return Step("canary", "none", "it took all traffic at once", "rollout")
    state = "passed" if entry.move.event == "promoted" else "failed"
    metrics = (entry.move.decision or {}).get("metrics", [])
    errors = next((one for one in metrics if one["name"] == "errors"), None)
    words = why(reasons(entry.move)) or entry.move.event
    if errors:
        ours, theirs = errors["challenger"], errors["control"]
        words = (
            f"failed {ours['bad']} of {ours['of']:,} requests, version "
            f"{entry.move.champion.version} beside it {theirs['bad']} of {theirs['of']:,}"
        )
    return Step("canary", state, words, "rollout")


def _approval(reign: Entry) -> Step:
    by = reign.move.by
    if "by hand" in reign.move.event or by.startswith("hand of "):
        return Step("approval", "passed", by, "time")
    started = by.partition(" for ")[2] or by
    return Step("approval", "none", f"by the plan; started by {started} (git)", "time")
