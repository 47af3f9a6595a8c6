"""How often is an equal challenger rolled back by real servers? Goes on where it was stopped.

The champion against itself (an A/A test): real servers, Envoy and store, beside 0, 1, 2 and 4 busy
loops in turn. Each canary draws its own assignment. The record is written after every canary, so
that the command goes on where it was stopped; a record of another plan is begun anew.
"""

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.stalls import stalled
from benchmarks.study import ROOT, Watch, kept
from pipeline.__main__ import run_command
from pipeline.features import windows
from pipeline.records import rollout_ledger
from pipeline.records.arrivals import read_until
from pipeline.retrain.loop import YEAR
from pipeline.retrain.replayed_predictions import ReplayedYear
from pipeline.rollout.analysis.decision import Decision, plan_hash
from pipeline.rollout.analysis.guardrails import COMPARED_ARMS
from pipeline.rollout.canary import run_canary
from pipeline.rollout.traffic.resources import LABELS
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.errors import NotPromoted, RolledBack
from pipeline.shared.files import read_json, read_parquet, write_text
from simulation import year as simulated
from simulation.faults import injection
from simulation.sandbox import open_sandbox, run_checked

NAME = "real_canaries"
LOADS = (0, 1, 2, 4)
"""Busy loops beside a canary; the machine of the record has two processors."""
WANTED = 100
UNITS = {
    "canaries": "real canaries of the champion against itself",
    "false_rollbacks": "of these, less is better; rate: with its exact 95 % interval",
    "slow": "bad requests of challenger and control; events: stalls of either",
    "resources": "of the challenger beyond its control's, at the last look",
    "load_average": "of the last minute, when a canary ended",
}
STALLS = ROOT / "benchmarks" / "stalls.csv"
_FIRST = Path("state/first")
Record = dict[str, Any]


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that want a processor all the time."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def ready() -> tuple[Path, simulated.Year]:
    """A checkout with a champion and a ledger that knows no rollout, and the traffic to come."""
    folder, _ = open_sandbox("canaries")
    if not (folder / _FIRST).is_dir():
        if not rollout_ledger.entries(folder / rollout_ledger.LEDGER):
            run_checked(folder, "register")
        shutil.copytree((folder / rollout_ledger.LEDGER).parent, folder / _FIRST)
    with contextlib.chdir(folder):
        views = windows.views(*read_until(), load(FeaturesConfig))
        return folder, simulated.Year(ReplayedYear.of(YEAR).frame, views)


def one(loops: int, source: simulated.Year, bad: str = "") -> Record:
    """A canary from the first step to its end, and how it ended."""
    shutil.rmtree(rollout_ledger.LEDGER.parent, ignore_errors=True)
    shutil.rmtree(ROLLOUT, ignore_errors=True)
    shutil.copytree(_FIRST, rollout_ledger.LEDGER.parent)
    started = time.perf_counter()
    why = ""
    with busy(loops):
        try:
            run_canary(source, injection(bad))
        except (RolledBack, NotPromoted) as error:
            why = str(error)
    return {
        "busy_loops": loops,
        **({"injected": bad} if bad else {}),
        **ended(),
        "stalls": stalls(),
        "why": why[:300],
        "seconds": round(time.perf_counter() - started, 1),
        "load_average": round(os.getloadavg()[0], 1),
    }


def ended() -> Record:
    """The last decision of the ledger."""
    known = [entry.move for entry in rollout_ledger.entries()]
    move = next(m for m in reversed(known) if m.decision and "outcome" in m.decision)
    decision = Decision.model_validate(move.decision)
    slow, errors = decision.metric("slow"), decision.metric("errors")
    return {
        "ended": "promoted" if decision.outcome == "promote" else decision.outcome,
        "by": [m.name for m in decision.metrics if m.alarmed]
        + [b.name for b in decision.breakers if b.tripped],
        "requests": [errors.challenger.of, errors.control.of],
        "slow": [slow.challenger.bad, slow.control.bad],
        "events": slow.events,
        "resources": {
            words: breaker.found
            for breaker in decision.breakers
            if (words := breaker.name.removesuffix(" beyond the control's")) in LABELS.values()
        },
        "p": {m.name: m.p for m in decision.metrics},
        "salt": move.salt,
    }


def stalls() -> list[list[float]]:
    """Each slow request: its beginning and its waiting in ms, and 1 if it is the challenger's."""
    move = next(
        e.move for e in reversed(rollout_ledger.entries()) if e.move.evidence and e.move.decision
    )
    decision = Decision.model_validate(move.decision)
    assert decision.start is not None, "a canary records what it started with"
    rows = read_parquet(ROLLOUT / move.rollout / next(iter(move.evidence)), "canary")
    found = rows[
        rows["arm"].isin(COMPARED_ARMS) & ~(rows["seconds"] <= decision.start.slow_seconds)
    ]
    began = 1000 * (found["at"] - rows["at"].min())
    columns = (began.round(), (1000 * found["seconds"]).round(), found["arm"] == COMPARED_ARMS[0])
    return [[int(x) for x in row] for row in sorted(zip(*columns, strict=True))]


def summary(each: list[Record], plan: str) -> Record:
    """All canaries, by their load, with the exact interval of the rate of false rollbacks."""
    by_load = {
        str(loops): counted([run for run in each if run["busy_loops"] == loops]) for loops in LOADS
    }
    whole = counted(each)
    return {"units": UNITS, "plan": plan, **whole, "by_load": by_load, "each": each}


def write(each: list[Record], plan: str) -> None:
    """The record, and the slow requests from which `make measure M=rollouts` draws stalls."""
    told = [{key: value for key, value in run.items() if key != "stalls"} for run in each]
    kept(NAME, summary(told, plan))
    rows = [(n, *row) for n, run in enumerate(each) for row in run.get("stalls", [])]
    frame = pd.DataFrame(rows, columns=["canary", "began_ms", "waited_ms", "is_challenger"])
    write_text(STALLS, frame.to_csv(index=False))


def counted(runs: list[Record]) -> Record:
    """How many were promoted, rolled back, or ended otherwise."""
    if not runs:
        return {"canaries": 0, "false_rollbacks": 0}
    from scipy.stats import binomtest

    false = sum(run["ended"] == "rollback" for run in runs)
    ends = binomtest(false, len(runs)).proportion_ci()
    return {
        "canaries": len(runs),
        "false_rollbacks": false,
        "rate": {
            "point": round(false / len(runs), 4),
            "low": round(float(ends.low), 4),
            "high": round(float(ends.high), 4),
        },
        "promoted": sum(run["ended"] == "promoted" for run in runs),
        "paused": sum(run["ended"] == "pause" for run in runs),
        "seconds": round(median(run["seconds"] for run in runs), 1),
        "slow_share": round(median(sum(r["slow"]) / sum(r["requests"]) for r in runs), 4),
        "load_average": round(median(run["load_average"] for run in runs), 1),
    }


def recorded(plan: str) -> list[Record]:
    """The canaries of the record, if it is of this plan."""
    path = ROOT / "benchmarks" / f"{NAME}.json"
    found = read_json(path, NAME) if path.is_file() else {}
    if found.get("plan") != plan:
        return []
    rows = {
        n: of.drop(columns="canary").values.tolist()
        for n, of in pd.read_csv(STALLS).groupby("canary")
    }
    return [run | {"stalls": rows.get(n, [])} for n, run in enumerate(found["each"])]


def main(arguments: list[str] | None = None) -> int:
    """Run what is wanting, the load that has fewest first, and write the record after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_canaries")
    parser.add_argument("--wanted", type=int, default=WANTED, help="canaries in all")
    parser.add_argument("--loads", type=int, nargs="*", default=list(LOADS), help="busy loops")
    chosen = parser.parse_args(arguments)
    watch, plan = Watch(), plan_hash(load(RolloutConfig))
    each = recorded(plan)
    folder, source = ready()
    watch.said(f"{len(each)} of {chosen.wanted} canaries are on record")
    while len(each) < chosen.wanted:
        loops = min(chosen.loads, key=lambda n: sum(run["busy_loops"] == n for run in each))
        with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
            each.append(one(loops, source))
        write(each, plan)
        watch.said(f"canary {len(each)} beside {loops} busy loops: {each[-1]['ended']}")
    found = read_json(ROOT / "benchmarks" / f"{NAME}.json", NAME)
    kept(NAME, found | {"stalls": stalled(pd.read_csv(STALLS), load(RolloutConfig).canary)})
    watch.said("recorded stalls drawn anew")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
