"""Proves the exercises: `python -m exercises.prove [SLUG ...]`.

For each: the start fails for the reason stated, the solution passes, and each wrong solution is
rejected by the check that is named. The time from save to verdict is that of the solution's checks.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from exercises.workbench import catalogue, judge, trees
from exercises.workbench.catalogue import Exercise
from exercises.workbench.progress import STATE
from exercises.workbench.verdict import Verdict
from pipeline.__main__ import Parser, run_command
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import write_json

WORKERS = 2


@dataclass(frozen=True)
class Proof:
    """One state of one exercise: what is wrong with it, "" if nothing, and how long it took."""

    slug: str
    state: str
    fault: str
    seconds: float


def states(exercise: Exercise) -> list[str]:
    """The states of an exercise that are proven."""
    return ["start", "solution", *(one.name for one in exercise.wrong)]


def prove(chosen: Iterable[Exercise], folder: Path) -> list[Proof]:
    """Prove every state of some exercises, two at a time, in trees below a folder."""
    every = list(chosen)
    base = trees.copy(trees.files(every), folder / "base")
    for one in every:
        judge.checks(one.checks)  # a broken file of checks ends this here, and not in a thread
    pairs = [(one, state) for one in every for state in states(one)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda pair: _prove(pair[0], pair[1], base, folder), pairs))


def _prove(exercise: Exercise, state: str, base: Path, folder: Path) -> Proof:
    try:
        tree = trees.in_state(exercise, base, folder / exercise.slug / state, state)
    except ArtifactTampered as stale:
        return Proof(exercise.slug, state, str(stale), 0.0)
    began = time.perf_counter()
    verdict = judge.judge(exercise, tree)
    seconds = time.perf_counter() - began
    return Proof(exercise.slug, state, fault(exercise, state, verdict), seconds)


def fault(exercise: Exercise, state: str, verdict: Verdict) -> str:
    """What a verdict says of a state that it should not; "" if all is as it should be."""
    failed = {one.name: one for one in verdict.failed()}
    if state == "solution":
        return "; ".join(f"{one.words}: {one.seen}" for one in failed.values())
    named = exercise.fails.check if state == "start" else _rejecting(exercise, state)
    if named not in {one.name for one in verdict.checks}:
        return f"there is no check {named}"
    if named not in failed:
        return f"{named} passes, and should fail; {len(failed)} others do"
    said = " ".join([failed[named].expected, failed[named].seen, failed[named].why])
    if state == "start" and exercise.fails.words not in said:
        return f"{named} fails for another reason than {exercise.fails.words!r}: {said}"
    return ""


def _rejecting(exercise: Exercise, state: str) -> str:
    return next(one.rejected_by for one in exercise.wrong if one.name == state)


def main(arguments: list[str] | None = None) -> int:
    """Prove the named exercises, or all; exit code 1 if one is not as it should be."""
    parser = Parser(prog="python -m exercises.prove")
    parser.add_argument("slugs", nargs="*", metavar="SLUG")
    slugs = parser.parse_args(arguments).slugs
    try:
        chosen = [catalogue.exercise(slug) for slug in slugs] or catalogue.exercises()
    except catalogue.ExerciseUnknown as unknown:
        sys.stderr.write(f"prove-exercises: ExerciseUnknown: {unknown}\n")
        return unknown.exit_code
    console, began = Console(soft_wrap=True), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        proofs = prove(chosen, Path(folder))
    record = {f"{one.slug} {one.state}": round(one.seconds, 1) for one in proofs}
    write_json(STATE / "proofs.json", {"seconds from save to verdict": record})
    for one in proofs:
        mark = f"[red]NO[/] {one.fault}" if one.fault else "ok"
        console.print(f"{one.slug:<28} {one.state:<34} {one.seconds:5.1f} s  {mark}")
    console.print(summary(chosen, proofs, time.perf_counter() - began))
    return 1 if any(one.fault for one in proofs) else 0


def summary(chosen: list[Exercise], proofs: list[Proof], seconds: float) -> str:
    """How many of everything, and the time from save to verdict."""
    weighted = sum(len(judge.checks(one.checks)) for one in chosen)
    wrong = sum(len(one.wrong) for one in chosen)
    times = sorted(one.seconds for one in proofs if one.state == "solution")
    nine_in_ten = times[min(len(times) - 1, int(0.9 * len(times)))]
    faults = sum(bool(one.fault) for one in proofs)
    return (
        f"{len(chosen)} exercises, {weighted} weighted checks, {wrong} wrong solutions: "
        f"{len(proofs) - faults} of {len(proofs)} states as they should be in {seconds:.0f} s; "
        f"save to verdict: median {statistics.median(times):.1f} s, nine in ten "
        f"{nine_in_ten:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
