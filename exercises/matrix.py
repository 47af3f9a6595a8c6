"""All drills, a few at a time, and what came of each: the matrix of faults and guards.

Beside them runs what has no fault, in all months: whatever it refuses is a false alarm.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exercises.drill import FLIGHTS, configure, drills, run_stages
from exercises.drills.release import ran
from exercises.error_rates import found_from, table
from exercises.scratch import ROOT, scratch
from pipeline.__main__ import run_command
from pipeline.shared.files import write_json
from pipeline.usecase.chosen import USECASE

RECORD = ROOT / "benchmarks" / "drills.json"
IN_FLIGHTS = USECASE.name == FLIGHTS
if not IN_FLIGHTS:
    RECORD = RECORD.with_stem(f"drills-{USECASE.name}")


@dataclass(frozen=True)
class Clean:
    """What has no fault: stages to run, and what the last of them has to say.

    On the graph of two months that has ended with a champion; or on two other `months` as they were
    published. A rollout here is of the champion itself.
    """

    stages: list[str]
    ends: str = ""
    months: tuple[str, str] | None = None


_DAYS = ("02-09", "02-14", "02-18", "02-27")
"""February 9 is the day of a blizzard, 18 a holiday."""
_MONTHS = [f"2013-{number:02}" for number in range(1, 13)]
CLEAN = {
    "graph and registry": Clean(
        ["ingest", "validate", "features", "train", "evaluate", "register"]
    ),
    "a month's report": Clean(["monitor"]),
    "a report in the middle of a month": Clean(["monitor", "--at=2013-02-15T10:00Z"]),
    "a month's diagnosis": Clean(["diagnose"]),
    "a month scored in a batch": Clean(["batch", "--month=2013-02"]),
    "a shadow": Clean(["shadow"], "shadow passed"),
    "a canary": Clean(["canary"], "promoted"),
    "a second shadow": Clean(["shadow"], "shadow passed"),
    "a third shadow": Clean(["shadow"], "shadow passed"),
    "a second canary": Clean(["canary"], "promoted"),
    "a third canary": Clean(["canary"], "promoted"),
    "a switch of all traffic": Clean(["bluegreen"]),
    "the lineage of the champion": Clean(["lineage"]),
    "another month scored in a batch": Clean(["batch", "--month=2013-01"]),
    "the guards of a retraining": Clean(["guards"]),
    "a repair of what is whole": Clean(["repair"]),
    "who serves": Clean(["rollout"]),
    "an explained prediction": Clean(["explain", "--request=2013-02-18/9E/3422/JFK"]),
    "the online store for a morning": Clean(["materialize"]),
    "the past pruned": Clean(["prune"]),
    **{
        f"served 2013-{day} against training": Clean(["skew", f"--day=2013-{day}"]) for day in _DAYS
    },
    **{
        f"the data gate on {both[0]} and {both[1]}": Clean(["ingest", "validate"], months=both)
        for both in zip(_MONTHS[::2], _MONTHS[1::2], strict=True)
    },
}
"""What has to end without a refusal."""
_AT_ONCE = 3
"""More than the processors of a small machine: a rollout waits as much as it computes."""
_MEMORY, _ROOM = Path("/dev/shm"), 4 * 2**30
"""A file system in memory, as Linux has it, and the bytes that must be free in it.

Each scratch copy has 3,000 files, and a disk takes seconds to make and to remove them.
"""


def roomy(memory: Path, room: int, otherwise: str) -> str:
    """The folder for scratch copies: `memory` if it has `room` bytes free, `otherwise` if not."""
    usable = os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free >= room
    return str(memory) if usable else otherwise


def played(slug: str, folder: Path) -> dict[str, Any]:
    """How a drill ended, in a process of its own; what it said is in the folder."""
    path = folder / f"{slug}.json"
    command = [sys.executable, "-m", "exercises.drill", "run", slug, "--json", str(path)]
    with (folder / f"{slug}.txt").open("w", encoding="utf-8") as stream:
        subprocess.run(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if not path.is_file():
        said = (folder / f"{slug}.txt").read_text(encoding="utf-8").splitlines()
        last = said[-1] if said else "it said nothing"
        return {"slug": slug, "ended": "BROKEN", "by": last, "exposed": "", "seconds": 0.0}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def run_clean(name: str) -> dict[str, Any]:
    """Whether what has no fault ends without a refusal."""
    began, clean = time.perf_counter(), CLEAN[name]
    with tempfile.TemporaryDirectory(prefix="drill-clean-") as folder:
        copy = scratch(Path(folder))
        if clean.months is None:
            ran(copy, "register")
        else:
            configure(copy, "ingest", first_month=clean.months[0], as_of=clean.months[1])
            configure(copy, "validate", reference=list(clean.months))
        outcome = run_stages(copy, clean.stages)
    return {
        "name": name,
        "refused": outcome.code != 0 or clean.ends not in outcome.words,
        "said": outcome.words.splitlines()[-1].strip(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _champion() -> None:
    """Make what most begin with, so that they only copy it."""
    with tempfile.TemporaryDirectory(prefix="drill-champion-") as folder:
        ran(scratch(Path(folder)), "register")


def _all(
    slugs: list[str], clean: list[str], folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every drill and what has no fault, in their order: a few at a time, the longest first.

    Most begin with a champion, which one makes meanwhile, so what needs none comes before them.
    """
    record = _record()
    took = {one["slug"]: one["seconds"] for one in record["drills"]}
    took |= {one["name"]: one["seconds"] for one in record["clean"]}
    ended: dict[str, dict[str, Any]] = {}
    jobs = {slug: lambda slug=slug: played(slug, folder) for slug in slugs}
    jobs |= {name: lambda name=name: run_clean(name) for name in clean}
    needs_none = {name for name, of in CLEAN.items() if of.months}
    with ThreadPoolExecutor(_AT_ONCE) as beside:
        made = beside.submit(_champion if len(jobs) > _AT_ONCE else lambda: None)
        order = sorted(jobs, key=lambda name: (name not in needs_none, -took.get(name, 0.0)))
        begun = {beside.submit(jobs[name]): name for name in order}
        for number, one in enumerate(as_completed(begun), 1):
            ended[begun[one]] = one.result()
            _say(f"{number:2}/{len(jobs)}", one.result())
        made.result()
    return [ended[slug] for slug in slugs], [ended[name] for name in clean]


def _say(place: str, found: dict[str, Any]) -> None:
    """A line for each that ended."""
    ended = found.get("ended") or ("REFUSED" if found["refused"] else "PASSED")
    words = " ".join((found.get("by") or found["said"]).split())
    name = found.get("slug") or found["name"]
    sys.stdout.write(f"{place}  {ended:<8}{found['seconds']:4.0f} s  {name}: {words[:90]}\n")
    sys.stdout.flush()


def _record() -> dict[str, Any]:
    if not RECORD.is_file():
        return {"drills": [], "clean": []}
    told: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return told


def caught_at(found: list[dict[str, Any]]) -> dict[str, int]:
    """How many faults were caught by guards of each stage, of which "rules" are the tests of code.

    A fault whose drill is gone has no stage, and is not counted.
    """
    known = drills()
    met = [one["slug"] for one in found if one["ended"] == "CAUGHT" and one["slug"] in known]
    counts = Counter(known[slug].stage for slug in met)
    return {stage: counts[stage] for stage in STAGES} | {"all": len(met)}


def _renewed(found: list[dict[str, Any]], controls: list[dict[str, Any]]) -> dict[str, Any]:
    """The record with other ends of those that were run, and with those that it did not have."""
    record = _record()
    ends = {one["slug"]: one for one in [*record["drills"], *found]}
    clean = {one["name"]: one for one in [*record["clean"], *controls]}
    renewed = [ends[slug] for slug in drills() if slug in ends]
    return record | {
        "drills": renewed,
        "caught_at": caught_at(renewed),
        "clean": [clean[name] for name in CLEAN if name in clean],
    }


STAGES = [
    *("rules", "validate", "features", "evaluate", "register", "reproduce"),
    *("serve", "rollout", "monitor", "retrain"),
]
_PAGE = """# Drills: faults and guards

Each row is a fault that `make drill D=<name>` injects into a scratch copy of the real pipeline, and
the stage whose guard caught it, the one that must; BY ANOTHER GUARD means that another was first,
MISSED that none was. `rules` are the tests that a change has to pass before its merge. Exposed are
the requests that were answered with the fault, where a rollout counted them. Seconds are of the
whole drill, {at_once} at a time. The size is the least at which the guard finds the fault: any,
where it compares exactly; a limit of its config; or what a benchmark measured, as
`exercises/sizes.yaml` says for each. Written by `make drill-all`, which took {seconds} s.

{caught} of {drills} faults were caught by the guard that is named for them; of {clean} runs without
a fault {alarms} were refused. Its shadows and canaries run beside drills; `make measure
M=real-canaries` runs some alone. Here a clean one was once taken out as slow, 12 of its 137
requests beside 3 of 143: a false alarm, of the time when each request was counted by itself
(ADR 0017).

| drill | caught by | fault | found from | exposed | s |
|---|---|---|---|---|---|
{rows}

## False alarms

What is clean and was refused, by guard, with the exact 95 % interval of the rate. A guard that
refused none of a few has not shown that it never will: the upper end says how often it may.

| guard | what is clean | refused | rate |
|---|---|---|---|
{alarms_by_guard}

## Without a fault

| what | found | last words | s |
|---|---|---|---|
{controls}
"""


def page(told: dict[str, Any]) -> str:
    """The record as a page."""
    known = drills()
    rows = []
    for found in told["drills"]:
        drill = known[found["slug"]]
        guard = drill.stage if found["ended"] == "CAUGHT" else found["ended"]
        rows.append(
            f"| `{drill.slug}` | {guard} | {drill.fault} | {found_from(drill.slug)} "
            f"| {found['exposed']} | {found['seconds']:.0f} |"
        )
    controls = [
        f"| {one['name']} | {'REFUSED' if one['refused'] else 'passed'} "
        f"| {_short(one['said'])} | {one['seconds']:.0f} |"
        for one in told["clean"]
    ]
    return _PAGE.format(
        at_once=told["at_once"],
        seconds=told["seconds"],
        caught=sum(one["ended"] == "CAUGHT" for one in told["drills"]),
        drills=len(told["drills"]),
        clean=len(told["clean"]),
        alarms=sum(one["refused"] for one in told["clean"]),
        rows="\n".join(rows),
        alarms_by_guard=table(_by_stage(told["clean"])),
        controls="\n".join(controls),
    )


def _by_stage(clean: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """The last stage of each clean run and whether it was refused."""
    ends = {
        name: [one for one in of.stages if not one.startswith("--")][-1]
        for name, of in CLEAN.items()
    }
    return [(ends[one["name"]], one["refused"]) for one in clean if one["name"] in ends]


def _short(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:120]


def main(arguments: list[str] | None = None) -> int:
    """Run all, or the drills and clean runs that are named; 1 if one did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m exercises.matrix")
    parser.add_argument("names", nargs="*", default=[])
    chosen = parser.parse_args(arguments)
    known, began = drills(), time.perf_counter()
    if unknown := set(chosen.names) - set(known) - set(CLEAN):
        parser.error(f"{sorted(unknown)} are no drills; `make drill` lists all {len(known)}")
    tempfile.tempdir = os.environ["TMPDIR"] = roomy(_MEMORY, _ROOM, tempfile.gettempdir())
    folder = ROOT / "state" / "drills-said"
    folder.mkdir(parents=True, exist_ok=True)
    names = chosen.names or [*known, *(CLEAN if IN_FLIGHTS else [])]
    slugs, clean = ([name for name in of if name in names] for of in (known, CLEAN))
    found, controls = _all(slugs, clean, folder)
    caught = sum(one["ended"] == "CAUGHT" for one in found)
    alarms = [one["name"] for one in controls if one["refused"]]
    seconds = time.perf_counter() - began
    told = {"drills": found, "clean": controls, "seconds": round(seconds), "at_once": _AT_ONCE}
    told["caught_at"] = caught_at(found)
    write_json(RECORD, told if not chosen.names else _renewed(found, controls))
    sys.stdout.write(
        f"drills: {caught} of {len(found)} caught by their own guard, {len(alarms)} of "
        f"{len(controls)} clean runs refused{': ' if alarms else ''}{', '.join(alarms)}; "
        f"{seconds:.0f} s; what each said is in state/drills-said/\n"
    )
    return 0 if caught == len(found) and not alarms else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
