"""The closed loop from April to December, and what it was worth.

The loop lives in a checkout of its own, state/replay/year, with Envoy, MLflow, Feast and DVC; if it
is killed, the same command goes on. benchmarks/loop.json says what came of it, beside a champion
that is never retrained; `make measure M=policies` holds it against others.
"""

import contextlib
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.policies import ANSWERS, BEGINS, DAY, less, scored, table
from benchmarks.study import Watch, kept
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain import journal, training_windows
from pipeline.retrain.decisions import recorded_checks
from pipeline.retrain.journal import JournalEvent
from pipeline.retrain.loop import YEAR
from pipeline.retrain.policy import differing_decisions
from pipeline.retrain.replayed_predictions import ReplayedYear
from pipeline.shared import dvc_lock
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.files import read_json, write_json, write_parquet
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss
from simulation.sandbox import open_sandbox, run_checked

FIRST = "2013-03"
"""What has arrived when the first champion is trained: it is live from April 1."""
_SECONDS = Path("state/seconds.json")
AFTER_DAYS = 28


def lived() -> tuple[Path, float, float]:
    """Let the loop live through the year; where, in how many seconds, with how many GB at most."""
    folder, new = open_sandbox("year")
    if new:
        _begin(folder)
    started, before = time.perf_counter(), _seconds(folder)
    run_checked(folder, "loop", f"--until={YEAR.last}")
    seconds = before + time.perf_counter() - started
    write_json(folder / _SECONDS, {"seconds": round(seconds, 1)})
    unit = 1024**3 if sys.platform == "darwin" else 1024**2
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return folder, seconds, peak


def _seconds(folder: Path) -> float:
    """Seconds of earlier calls: a loop that was killed goes on, and so does its clock."""
    path = folder / _SECONDS
    return float(read_json(path, "year")["seconds"]) if path.is_file() else 0.0


def _begin(folder: Path) -> None:
    """The first champion, of what had arrived by the end of March."""
    with contextlib.chdir(folder):
        training_windows.move(FIRST, "asked")  # back: `retrain` only goes forward
        dvc_lock.repro("evaluate")
    run_checked(folder, "register")


def of_attempts(
    events: list[JournalEvent], year: ReplayedYear, known: list[Entry]
) -> list[dict[str, Any]]:
    """Every attempt: what called for it, what the gate found, how it ended, what came after."""
    found = []
    for event in events:
        if event.kind != "ended":
            continue
        mine = [e for e in events if e.at == event.at]
        steps = {e.told["step"]: e.told for e in mine if e.kind == "step"}
        check = next(e for e in mine if e.kind == "check").told
        found.append(
            {
                "on": event.day,
                "called_by": check["decision"]["triggers"],
                "result": event.told["result"],
                "why": event.told["why"],
                "gate": steps.get("gate", {}).get("found", {}),
                "live_on": steps.get("canary", {}).get("on"),
                "after": after(year, known, steps["canary"]["on"]) if "canary" in steps else None,
            }
        )
    return found


def after(year: ReplayedYear, known: list[Entry], promoted: str) -> dict[str, float]:
    """What a promotion changed over the next four weeks, against the champion before it."""
    move = next(e.move for e in known if f"{e.move.at:%Y-%m-%dT%H:%MZ}" == promoted)
    assert move.challenger is not None
    first = pd.Timestamp(promoted[:10])
    last = min(first + AFTER_DAYS * DAY, pd.Timestamp(YEAR.last))
    chosen = year.between(f"{first + DAY:%Y-%m-%d}", f"{last:%Y-%m-%d}")
    late = year.frame[LABEL].to_numpy()[chosen]
    ours, theirs = (year.risk(s.release)[chosen] for s in (move.challenger, move.champion))
    worse = log_loss(late, ours) - log_loss(late, theirs)
    found = difference(worse, year.day[chosen], load(EvaluateConfig).bootstrap)
    return {
        "point": round(found.point, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "days": found.days,
    }


def main() -> int:
    """Write benchmarks/loop.json and the answers that it is about; prints the year by month."""
    folder, seconds, peak = lived()
    watch = Watch()
    events = journal.events(folder / journal.JOURNAL)
    known = rollout_ledger.entries(folder / rollout_ledger.LEDGER)
    with contextlib.chdir(folder):
        year = ReplayedYear.of(YEAR)
        rows = year.predictions(known, year.between(BEGINS, YEAR.last))
        tries = of_attempts(events, year, known)
        first = known[0].move.champion
        never = pd.Series(year.risk(first.release), year.base["flight"])[rows["flight"]].to_numpy()
    late = pd.Series(year.frame[LABEL].to_numpy(), year.base["flight"])[rows["flight"]].to_numpy()
    told = rows[["flight", "version", "risk"]].assign(never=never, late=late)
    write_parquet(ANSWERS, told)
    found = {
        "flights": len(told),
        "seconds": round(seconds),
        "peak_gb": round(peak, 2),
        "checks": Counter(a.decision.action for a in recorded_checks(events)),
        "not_decided_again": differing_decisions(recorded_checks(events)),
        "attempts": tries,
        "promotions": sum(one["result"] == "promoted" for one in tries),
        "harmful": [o["on"] for o in tries if o["after"] and o["after"]["point"] > 0],
        "surely_harmful": [o["on"] for o in tries if o["after"] and o["after"]["low"] > 0],
        "alerted": sorted({e.told["day"] for e in events if is_alert(e)}),
        "journal": journal.last_hash(folder / journal.JOURNAL),
        "loop": scored(told, "risk"),
        "never": scored(told, "never"),
        "against_never": less(told, "risk", "never"),
    }
    kept("loop", found)
    watch.said("benchmarks/loop.json")
    print(table({name: found[name] for name in ("never", "loop")}))
    return 0


def is_alert(event: JournalEvent) -> bool:
    """Whether the outcome alerted on a day."""
    return event.kind == "day" and event.told["outcome"] == "alert"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(run_command(main))
