"""Drills: a fault is injected into a scratch copy of the real pipeline, and a guard must catch it.

The scratch copy is the checkout as it is, in a temporary folder with its own data and registry;
nothing that a drill does reaches the project.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml

from exercises.drills import OF_FLIGHTS
from exercises.scratch import scratch
from pipeline.__main__ import Parser, run_command
from pipeline.shared import dvc, yaml_files
from pipeline.shared.errors import PipelineError, UsageError
from pipeline.usecase.chosen import USECASE

FLIGHTS = "flights"
"""The use case that all drills are of."""


@dataclass(frozen=True)
class Outcome:
    """What the injected pipeline said: its exit code and its last words."""

    code: int
    words: str


@dataclass(frozen=True)
class Drill:
    """A fault, the guard that must catch it, and how to inject and recognise both.

    `stage` is where the guard stands; "rules" are the tests that a change has to pass. `inject`
    prepares the scratch copy and returns the stages to run in it (or what another `command` of
    Python takes); the drill is passed when `caught` says so of their outcome, looking at the
    scratch copy if it needs to.
    """

    slug: str
    stage: str
    fault: str
    guard: str
    inject: Callable[[Path], list[str]]
    caught: Callable[[Path, Outcome], str]
    command: tuple[str, ...] = ("-m", "simulation")


def drills() -> dict[str, Drill]:
    """Every drill of this checkout's use case by its name."""
    from exercises.drills import (
        callers,
        data,
        delivery,
        features,
        labels,
        models,
        monitoring,
        operations,
        release,
        requests,
        retraining,
        rollout,
        security,
        serving,
        state,
    )

    modules = [data, features, models, delivery, release, security, serving, requests, rollout]
    modules += [callers, labels, operations, monitoring, retraining, state]
    every = [drill for module in modules for drill in module.DRILLS]
    known = {drill.slug: drill for drill in every}
    assert len(known) == len(every), "two drills have one name, and one of them is never run"
    assert known.keys() >= OF_FLIGHTS, "a drill of flights that there is not"
    if USECASE.name == FLIGHTS:
        return known
    return {slug: one for slug, one in known.items() if slug not in OF_FLIGHTS}


def run_stages(
    folder: Path, stages: list[str], command: tuple[str, ...] = Drill.command
) -> Outcome:
    """Run stages of the pipeline in a scratch copy, showing what they say."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**dvc.isolated_environment(), "PYTHONPATH": str(folder), "PATH": programs}
    return shown([sys.executable, *command, *stages], folder, environment)


def shown(command: list[str], folder: Path, environment: dict[str, str]) -> Outcome:
    """Run a command in a folder, showing each line as it is said, and keeping them all."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or []:
            print(f"  | {line}", end="", flush=True)
            lines.append(line)
    return Outcome(process.returncode, "".join(lines))


def replace_once(path: Path, old: str, new: str) -> None:
    """Change a file of the scratch copy; `old` must occur exactly once, or the drill is stale."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        sys.exit(f"{path.name} holds {old!r} {text.count(old)} times, the drill expects it once")
    path.write_text(text.replace(old, new), encoding="utf-8")


def configure(folder: Path, stage: str, **changes: Any) -> None:
    """Change keys of a copy's configs/<stage>.yaml; a dot leads into a section."""
    path = folder / "configs" / f"{stage}.yaml"
    values = yaml_files.parse(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def two_months(folder: Path) -> None:
    """Let a scratch copy have the flights of two months: January teaches, February judges.

    Another use case is small as it is, and keeps its calendar.
    """
    if USECASE.name != FLIGHTS:
        return
    months, february = ["2013-01", "2013-02"], {"first": "2013-02-01", "last": "2013-02-28"}
    configure(folder, "ingest", as_of=months[-1])
    configure(folder, "validate", reference=months)
    january = {"first": "2013-01-08", "last": "2013-01-31"}
    # A month does not surely beat a good linear baseline: this one learns next to nothing.
    less = {"min_rows": 5_000, "logistic_c": 1e-6, "boosting.max_iter": 60}
    configure(folder, "train", window=january, **less)
    configure(folder, "evaluate", window=february, **{"behaviour.calm_morning_max": 0.2})
    configure(folder, "monitor", window=february)


@dataclass(frozen=True)
class Found:
    """How a drill ended, by its own guard, by another one or not; and who was exposed."""

    slug: str
    ended: Literal["CAUGHT", "BY ANOTHER GUARD", "MISSED"]
    by: str
    exposed: str
    seconds: float


def run(drill: Drill) -> Found:
    """Inject, run, and say which guard caught it and after how long."""
    print(f"fault   {drill.fault}\nguard   {drill.guard}", flush=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"drill-{drill.slug}-") as name:
        folder = scratch(Path(name))
        outcome = run_stages(folder, drill.inject(folder), drill.command)
        evidence = drill.caught(folder, outcome)
    another = _REFUSED.findall(outcome.words) if outcome.code else []
    by = evidence or (another[-1] if another else drill.guard)
    ended = "CAUGHT" if evidence else "BY ANOTHER GUARD" if another else "MISSED"
    seconds = time.perf_counter() - started
    print(f"{ended}  after {seconds:.0f} s: {by}")
    return Found(drill.slug, ended, by, exposed(drill, outcome), seconds)


_REFUSED = re.compile(r"^[\w-]+: [A-Z]\w+: [^;\n]+", re.MULTILINE)
"""The line of a refusal, whoever refused."""
_EXPOSED = {"serve": "a replayed morning", "monitor": "a replayed month"}


def exposed(drill: Drill, outcome: Outcome) -> str:
    """Who got an answer with the fault in it: requests counted in a rollout, none before one."""
    met = re.search(r"it met ([\d,]+ of [\d,]+) requests", outcome.words)
    if met:
        return met[1]
    before = re.search("ServersFailed|ArtifactTampered", outcome.words)
    return "none" if before else _EXPOSED.get(drill.stage, "none")


EASIEST = "slow"
"""The drill to begin with: a fault that everybody knows, and its guard within a minute."""


def listing(known: dict[str, Drill]) -> str:
    """Every drill below the stage where its guard stands; the easiest first."""
    lines = []
    if EASIEST in known:
        lines += ["begin with", *_two_lines(known[EASIEST])]
    for stage in dict.fromkeys(drill.stage for drill in known.values()):
        lines.append(f"\n{stage}")
        here = [one for one in known.values() if one.stage == stage and one.slug != EASIEST]
        lines += [line for one in here for line in _two_lines(one)]
    return "\n".join([*lines, "\nOne of them: make drill D=slow"]).strip()


def _two_lines(drill: Drill) -> list[str]:
    return [
        f"  {drill.slug:<{_NAME_WIDTH}} {drill.fault}",
        f"  {'':<{_NAME_WIDTH}} must be caught by {drill.guard}",
    ]


_NAME_WIDTH = 22


def main(arguments: list[str] | None = None) -> int:
    """`list` shows the drills, `run NAME` runs one; 1 missed or refused, 2 wrong usage."""
    if USECASE.context is None:  # faults are put into both tables of a use case
        print(
            f"drill: UsageError: 0 drills are of {USECASE.noun}, 1 is needed: a declared table has "
            "none, flights and bikes have; `make drill` in a clone that adopted nothing",
            file=sys.stderr,
        )
        return UsageError.exit_code
    known = drills()
    parser = Parser(prog="python -m exercises.drill")
    parser.add_argument("action", choices=["list", "run"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--json", type=Path, help="where to write how it ended")
    chosen = parser.parse_args(arguments)
    if chosen.action == "list" or not chosen.name:
        print(listing(known))
        return 0
    if chosen.name not in known:
        near = get_close_matches(chosen.name, known, 1, 0.0)[0]
        print(
            f"drill: {chosen.name!r} is none of the {len(known)} drills of {USECASE.noun}; the "
            f"nearest is `make drill D={near}`, `make drill` lists them",
            file=sys.stderr,
        )
        return 2
    try:
        found = run(known[chosen.name])
    except (PipelineError, UsageError) as refusal:  # there is no scratch copy to be had
        print(f"drill: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0 if found.ended == "CAUGHT" else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
