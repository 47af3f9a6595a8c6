"""Where does the time go: the ten largest costs of each stage, the story, a request and the tests.

A function of ours costs its own time and that of the libraries that it calls; imports are a cost of
their own, whoever asks for them. The profiler slows small functions more than large ones, so costs
are shares of a run under it, and seconds are of runs without it. The story is many processes: its
costs are its commands, as it records them.
"""

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.serving import Server, bodies, free, taken, wait_for
from benchmarks.study import Watch, kept
from exercises.scratch import ROOT, scratch
from pipeline.__main__ import STAGES as OF_PIPELINE
from pipeline.__main__ import run_command
from pipeline.records.command_runs import RUNS, CommandRun, read_runs
from pipeline.registry.release_loader import export
from pipeline.serve import handler
from pipeline.serve.server import serve
from pipeline.shared import dvc
from simulation.up_to_date import REPLAY_FOLDER
from tests.suite import FOLDER

STAGES = ("ingest", "validate", "features", "train", "evaluate", "register", "monitor")
NOTHING_TO_DO = ("-m", "simulation.up_to_date")
LARGEST, REQUEST_SECONDS = 10, 6.0
OURS = ("pipeline/", "simulation/")
IMPORTS = "imports"
UNITS = "seconds: without the profiler; share: of the time under it; waits are of other processes"
Place = tuple[str, int, str]


def costs(path: Path, folder: Path) -> dict[str, float]:
    """The largest costs in a profile, by "module:function", as shares of all."""
    stats: dict[Place, Any] = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    found: Counter[str] = Counter()
    for place, (_, _, own, _, callers) in stats.items():
        if name := _ours(place, folder):
            found[name] += own
        else:
            for caller, (_, _, _, spent) in callers.items():
                if asked := _ours(caller, folder):
                    found[asked if place[2] != "_find_and_load" else IMPORTS] += spent
    whole = sum(found.values())
    return {name: round(spent / whole, 3) for name, spent in found.most_common(LARGEST)}


def _ours(place: Place, folder: Path) -> str:
    """The name of a function of ours, "" of another; a module's own code is what imports run."""
    if not place[0].startswith(str(folder)) or place[2] == "<module>":
        return ""
    name = str(Path(place[0]).relative_to(folder))
    return f"{name.removesuffix('.py')}:{place[2]}" if name.startswith(OURS) else ""


def _run(folder: Path, *command: str) -> float:
    """Run a module in a scratch copy; the seconds that it took, its start included."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    call = [sys.executable, *command]
    subprocess.run(call, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - began, 1)


def run(watch: Watch, quick: bool = False) -> dict[str, Any]:
    """The stages to the first champion, then the story, then a run with nothing to do.

    Each is run twice in a scratch copy: as it is, and under the profiler; the story once.
    """
    with tempfile.TemporaryDirectory(prefix="profiles-") as name:
        folder = scratch(Path(name).resolve())
        commands = {one: ("-m", "pipeline", one) for one in STAGES}
        _run(folder, *NOTHING_TO_DO)  # notes what the run begins from
        found = {what: _costs(folder, what, one, watch) for what, one in commands.items()}
        if quick:
            return found
        found["story"] = _story(folder, watch)
        _run(folder, *NOTHING_TO_DO, "--note")
        return found | {"nothing to do": _costs(folder, "nothing to do", NOTHING_TO_DO, watch)}


def _costs(folder: Path, what: str, command: tuple[str, ...], watch: Watch) -> dict[str, Any]:
    """The seconds of a command, and its largest costs, each from the same state."""
    state, before = folder / "state", folder.with_name(f"{folder.name}-before")
    shutil.copytree(state, before, symlinks=True)
    try:
        seconds = _run(folder, *command)
        watch.said(f"{what}: {seconds} s; again under the profiler")
        shutil.rmtree(state)
        before.rename(state)
    finally:
        shutil.rmtree(before, ignore_errors=True)
    profile = state / "profile"
    _run(folder, "-m", "cProfile", "-o", str(profile), *command)
    found = costs(profile, folder)
    profile.unlink()
    return {"seconds": seconds, "share": found}


def _story(folder: Path, watch: Watch) -> dict[str, Any]:
    """The seconds of the story, and the largest of its commands."""
    dvc.run(folder, "commit", "--force", "--quiet")  # the stages ran without it till now
    seconds = _run(folder, "-m", "simulation", "replay")
    watch.said(f"story: {seconds} s")
    return {
        "seconds": seconds,
        "share": by_command(read_runs(folder / REPLAY_FOLDER / RUNS), seconds),
    }


def by_command(runs: Iterable[CommandRun], whole: float) -> dict[str, float]:
    """The largest commands as shares of a whole; what one starts in turn is not its own."""
    spans = [(run.ended_at - run.seconds, run.ended_at, run) for run in runs]
    found: Counter[str] = Counter()
    for began, ended, run in spans:
        inner = sum(o.seconds for b, e, o in spans if o is not run and began <= b and e <= ended)
        part = "pipeline" if run.command in OF_PIPELINE else "simulation"
        found[f"{part}/__main__:{run.command}"] += run.seconds - inner
    return {name: round(spent / whole, 3) for name, spent in found.most_common(LARGEST)}


def profiled(digest: str, port: int, path: str) -> None:
    """Serve under the profiler, the thread that computes too, and write what it saw."""
    both = [cProfile.Profile()]
    if sys.version_info < (3, 12):  # from then on a profile is of all threads
        both.append(cProfile.Profile())
        handler._thread = lambda: ThreadPoolExecutor(1, initializer=both[1].enable)
    both[0].enable()
    serve(digest, port)
    both[0].disable()
    stats = pstats.Stats(both[0])
    for one in both[1:]:
        one.create_stats()
        if one.stats:  # type: ignore[attr-defined]  # none where no request needed the thread
            stats.add(one)
    stats.dump_stats(path)


def requests(folder: Path) -> dict[str, Any]:
    """A request of one flight by each path."""
    digest, content, found = export("champion"), bodies(), {}
    for way in ("features", "online"):
        port, path = free(), folder / f"{way}.profile"
        seconds = [_asked(serve, (digest, port), port, content[way])]
        seconds.append(_asked(profiled, (digest, port, str(path)), port, content[way]))
        found[way] = {"milliseconds": round(1000 * seconds[0], 3), "share": costs(path, ROOT)}
    return found


def _asked(target: Any, arguments: tuple[Any, ...], port: int, content: list[bytes]) -> float:
    """The median seconds of a request to a server in a process of its own."""
    server = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    server.start()
    try:
        wait_for(port, "/v2")
        taken(Server(port, content), 1.0)
        found = sorted(taken(Server(port, content), REQUEST_SECONDS))
        return found[len(found) // 2]
    finally:
        server.terminate()
        server.join()


def tests() -> dict[str, Any]:
    """The files of tests that took longest in the last `make test` of this folder, if there was."""
    found: dict[str, Any] = {}
    for report in sorted(FOLDER.glob("*.xml")):
        seconds: Counter[str] = Counter()
        for case in ElementTree.parse(report).iter("testcase"):
            seconds[str(case.get("classname"))] += float(case.get("time", 0))
        largest = {name: round(spent) for name, spent in seconds.most_common(LARGEST)}
        found[report.stem] = {"processor_seconds": round(seconds.total()), "files": largest}
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure and write benchmarks/profiles.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles")
    parser.add_argument("--quick", action="store_true", help="no story; records nothing")
    quick, watch = parser.parse_args(arguments).quick, Watch()
    os.chdir(ROOT)
    found: dict[str, Any] = {"tests": tests()}
    named = ", ".join(found["tests"]) or "none, `make test` writes them"
    watch.said(f"reports of tests in {FOLDER}: {named}")
    with tempfile.TemporaryDirectory(prefix="profiles-") as name:
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{name}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{Path(name).resolve()}/log.db"
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found["request"] = requests(Path(name))
        watch.said("requests")
    for name in ("PIPELINE_ONLINE_URL", "PIPELINE_LOG_URL"):
        del os.environ[name]
    found["run"] = run(watch, quick)
    if not quick:
        kept("profiles", found | {"units": UNITS, "seconds": watch.seconds()})
    print(json.dumps(found["run"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
