"""How often each guard refuses what is clean, and from which size it finds its fault.

Both come from what benchmarks recorded: `exercises/sizes.yaml` names the place for each drill.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from exercises.scratch import ROOT
from pipeline.shared import yaml_files

SIZES = Path(__file__).parent / "sizes.yaml"
ANY = "any"
_DAYS, _SHARES = (1, 3, 7, 15), (5, 20, 100)
"""Of the faults that benchmarks/data_faults.py plants: days, and percent of the rows."""


@cache
def sizes() -> dict[str, Any]:
    """For each drill, from which size its fault is found: `any`, or where that is recorded."""
    found: dict[str, Any] = yaml_files.parse(SIZES.read_text(encoding="utf-8"))
    return found


def found_from(slug: str) -> str:
    """From which size the guard of a drill finds its fault, in words with the recorded values.

    Raises KeyError for a drill without an entry, or an entry that names what is not recorded.
    """
    entry = sizes()[slug]
    if entry == ANY:
        return ANY
    if "data_fault" in entry:
        return _of_data(value(f"benchmarks/data_faults.json: faults/{entry['data_fault']}"))
    text: str = entry["text"]
    return text.format(*[value(place) for place in entry["values"]])


def value(place: str) -> Any:
    """What stands at `file: key/key/key`, in a YAML or JSON file of the project."""
    name, _, keys = place.partition(": ")
    found = _read(name)
    for key in keys.split("/"):
        found = found[key]
    return found


@cache
def _read(name: str) -> Any:
    text = (ROOT / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else yaml_files.parse(text)


def _of_data(found: dict[str, Any]) -> str:
    """The smallest shares of rows, by days, at which all six months found a planted fault."""
    sizes, least = [], max(_SHARES) + 1
    for days in _DAYS:
        whole = [s for s in _SHARES if found["found_of_6"][f"{days}d {s}%"] == 6]
        if whole and whole[0] < least:
            least = whole[0]
            sizes.append(f"{days} day{'s' * (days > 1)} in {least} % of rows")
    most = max(found["found_of_6"].values())
    return " or ".join(sizes) or f"no size in all six months, at most {most} of 6"


def false_alarms(clean: list[tuple[str, bool]]) -> list[tuple[str, str, int, int]]:
    """Guard, what it saw that is clean, how many of these it refused, and how many there were.

    `clean` are the runs without a fault of the matrix, by their last stage, and whether they were
    refused; the others come from their benchmarks.
    """
    alike = "benchmarks/rollout.json: alike/errors 0.1%"
    shadow = "benchmarks/rollout.json: shadow/noise/of equal models"
    agreement = "benchmarks/outcome.json: agreement"
    candidates = "benchmarks/candidates.json"
    canaries = "benchmarks/real_canaries.json"
    simulated = value(f"{alike}/runs"), value(f"{alike}/alarmed/at_the_plans_end/ours")
    shadows = value(f"{shadow}/runs"), value(f"{shadow}/by_the_plan/rollback")
    attempts = value("benchmarks/loop.json: attempts")
    refits = value("benchmarks/alerts.json: rules/refit")
    return [
        *_of_matrix(clean),
        (
            "validate",
            "tables of the months of 2013, as published",
            len(value("benchmarks/data_faults.json: false_alarms")),
            value("benchmarks/data_faults.json: months"),
        ),
        (
            "rollout, canary",
            "real canaries of the champion against itself",
            value(f"{canaries}: false_rollbacks"),
            value(f"{canaries}: canaries"),
        ),
        (
            "rollout, canary",
            "simulated canaries of equal models, 0.1 % errors",
            round(simulated[0] * simulated[1]),
            simulated[0],
        ),
        (
            "rollout, shadow",
            "simulated shadows of equal models",
            round(shadows[0] * shadows[1]),
            shadows[0],
        ),
        (
            "monitor, labels against flags",
            "weeks of a carrier, as published",
            value(f"{agreement}/false_alarms"),
            value(f"{agreement}/carrier_weeks"),
        ),
        (
            "monitor, a refit wins",
            "alerts of the clean year",
            refits["false"],
            refits["false"] + refits["early"] + refits["late"] + refits["right"],
        ),
        (
            "validate",
            "arrivals of the loop's year, a look each Monday",
            sum(one["result"] == "refused data" for one in attempts),
            len(attempts),
        ),
        (
            "retrain, guards",
            "trainings on clean data",
            len(value(f"{candidates}: clean_stopped_by_guards")),
            len(value(f"{candidates}: cases/clean")),
        ),
    ]


_GUARDS = {
    "register": "validate to register",
    "monitor": "monitor, report",
    "diagnose": "monitor, diagnosis",
    "batch": "serve, batch",
    "skew": "serve, skew test",
    "shadow": "rollout, shadow",
    "canary": "rollout, canary",
    "bluegreen": "rollout, blue-green",
    "validate": "validate",
    "lineage": "reproduce, lineage",
    "guards": "retrain, data guards",
    "repair": "retrain, repair",
    "rollout": "rollout, ledger and registry",
    "explain": "monitor, explanation",
    "materialize": "serve, online store",
    "prune": "serve, retention",
}
"""The last stage of a clean run, and whose guards it has to pass."""


def _of_matrix(clean: list[tuple[str, bool]]) -> list[tuple[str, str, int, int]]:
    runs: dict[str, list[bool]] = {}
    for stage, refused in clean:
        runs.setdefault(_GUARDS[stage], []).append(refused)
    return [(guard, "runs below", sum(those), len(those)) for guard, those in runs.items()]


def table(clean: list[tuple[str, bool]]) -> str:
    """The false alarms of each guard as rows of Markdown, with exact 95 % intervals."""
    from scipy.stats import binomtest

    rows = []
    for guard, what, refused, of in sorted(false_alarms(clean)):
        ends = binomtest(refused, of).proportion_ci()
        interval = f"{refused / of:.1%} [{ends.low:.1%}, {ends.high:.1%}]"
        rows.append(f"| {guard} | {what} | {refused} of {of:,} | {interval} |")
    return "\n".join(rows)
