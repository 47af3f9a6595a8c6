"""The guided tour: five minutes through the page, with what to say, to show, and what comes next.

It fits whatever happened in the folder: a stop whose subject is not there is left out.
"""

from dataclasses import dataclass, replace

from cockpit.facts.project import Project
from cockpit.reading import Missing


@dataclass(frozen=True)
class Stop:
    """A stop: the element to look at, its title, the words, what to click, the likely question."""

    place: str
    title: str
    say: str
    show: str
    answer: str


_GOOD, _BAD = "a canary that went well", "a canary that was taken back"
"""Places that are found in the folder."""
_STOPS = [
    Stop(
        "now",
        "Who serves, and since when",
        "One screen says which version answers, since when, and by which decision: the gate "
        "compared it offline, the shadow copied requests to it, the canary gave it a share. On the "
        "right is what needs a person, the worst first.",
        "Point at the headline, then at the four boxes, then at the right.",
        "who-served",
    ),
    Stop(
        "time",
        "What happened, on one axis",
        "Above, who answered which share of the requests. Below, the loss beyond what the model "
        "expects of itself, drawn when labels had arrived, a day late. Where it stays above the "
        "limit, the weekly check retrains.",
        "Open a check in the strip, and show the signals that it decided from.",
        "when-to-retrain",
    ),
    Stop(
        "gate",
        "May it replace the live one?",
        "The challenger is compared on cases that neither model has seen, over whole days. Left "
        "of zero is better, and no slice may reach beyond its limit.",
        "Point at the widest bar, then unfold every check.",
        "model-validation",
    ),
    Stop(
        _GOOD,
        "A canary that goes well",
        "Each bad event is the challenger's or its baseline's. If they are alike it is a coin: "
        "half, which is the limit. An interval wholly to its right is the alarm, and it holds "
        "however often one looks.",
        "Point at the limit in the middle, then at the steps above.",
        "canary-decides",
    ),
    Stop(
        _BAD,
        "And one that is taken back",
        "The fault was injected on purpose. A circuit breaker needs no sample size: the traffic "
        "went back to the champion by itself, and the decision comes out again from the evidence.",
        "Press Check this decision again, and read how many requests met it.",
        "rollback",
    ),
    Stop(
        "data",
        "What was refused before anything learned from it",
        "Each month passes the data gate as a whole or not at all. The first failed rule is the "
        "cause, the others follow from it, and the champion serves on meanwhile.",
        "Read the first rule with its two numbers.",
        "data-validation",
    ),
    Stop(
        "performance",
        "Did the world move, or did the model lose?",
        "Drift comes first since it needs no labels, and it pages nobody: it says that inputs "
        "moved. Calibration and slices say who loses by it, once labels are there.",
        "Compare a column that moved with the calibration.",
        "which-drift",
    ),
    Stop(
        "prediction",
        "One complaint",
        "From a request id to the release that answered, the features with their age and source, "
        "what each counted, and the label. All of it is computed again from what was known then.",
        "Choose one of the newest responses.",
        "one-prediction",
    ),
    Stop(
        "versions",
        "Where it comes from",
        "A version is a release: model, features, config, data and commit under one digest. It can "
        "be built again from its record alone.",
        "Open MLflow from the list of tools, and find the same version.",
        "lineage",
    ),
]


def stops(project: Project) -> list[Stop]:
    """The stops of the tour, in the order of a conversation."""
    places = _places(project)
    return [replace(stop, place=place) for stop in _STOPS if (place := places.get(stop.place))]


def _places(project: Project) -> dict[str, str]:
    """The element of the page for each place; none where its subject is not there."""
    found = {stop.place: stop.place for stop in _STOPS if stop.place not in (_GOOD, _BAD)}
    for place, fact in (("gate", project.verdict), ("data", project.snapshots)):
        if isinstance(fact, Missing):
            del found[place]
    for one in reversed(project.rollouts):
        if one.kind == "canary" and one.analyses:
            kind = {"promoted": _GOOD, "baked": _GOOD, "rolled back": _BAD}.get(one.ending, "")
            found[kind] = f"rollout-{one.name}"
    return found
