"""Faults of the label feed: poisoned, told twice, out of order, at odds with itself, or silent.

February's labels come as one file a day into the ledger, through the real `receive`; what they say
of its requests is told by the real `judged`. No model is needed: the risk is the late share of the
flight's hour of day, as the feature table has it.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from exercises.drill import Drill, Outcome
from exercises.drills.release import ran
from pipeline.__main__ import run_command
from pipeline.features.definitions import LABEL, PROXY
from pipeline.features.feature_table import ROWS
from pipeline.flights.names import flight_names
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.label_checks import group_weeks, require_agreement
from pipeline.monitor.performance.label_ledger import read_events, receive
from pipeline.monitor.performance.performance import Performance as Judged
from pipeline.monitor.performance.performance import PerformanceRules, measure_performance
from pipeline.shared.errors import PipelineError

TOLD = ("-m", "exercises.drills.labels")
POISONED = ("UA", "2013-02-11")
LAST_FILE = "2013-02-18"
"""The last day whose file comes, when the feed stops."""
_NOON, _DAY = pd.Timedelta(hours=2), pd.Timedelta(days=1)
Files = dict[pd.Timestamp, pd.DataFrame]
"""Each file of labels by the instant at which it arrives."""


def _flip(files: Files) -> Files:
    """One carrier's labels of one week say the opposite."""

    def flipped(file: pd.DataFrame) -> pd.DataFrame:
        of = group_weeks(file["flight"])
        poisoned = (of["group"] == POISONED[0]) & (of["week"] == POISONED[1])
        return file.assign(late=np.where(poisoned, 1 - file["late"], file["late"]))

    return {at: flipped(file) for at, file in files.items()}


def _twice(files: Files) -> Files:
    """Every file comes again two hours later."""
    return files | {at + _NOON: file for at, file in files.items()}


def _shuffle(files: Files) -> Files:
    """All labels come weeks late, in any order; one in ten is wrong first and corrected before."""
    rng, last = np.random.default_rng(0), max(files)
    told = pd.concat(files.values(), ignore_index=True)
    wrong = told[rng.random(len(told)) < 0.1]
    first = told.assign(late=np.where(told.index.isin(wrong.index), 1 - told["late"], told["late"]))
    mixed = pd.concat([wrong.assign(revision=1), first]).sample(frac=1, random_state=1)
    parts = np.array_split(np.arange(len(mixed)), len(files))
    order = [*parts[len(parts) // 2 :], *parts[: len(parts) // 2]]
    return {last + n * _DAY: mixed.iloc[rows] for n, rows in enumerate(order)}


def _stop(files: Files) -> Files:
    """After one day no file comes any more."""
    end = pd.Timestamp(LAST_FILE, tz="UTC") + 2 * _DAY
    return {at: file for at, file in files.items() if at < end}


def _contradict(files: Files) -> Files:
    """A week later one file says the opposite of 20 flights, without a new revision."""
    at, file = min(files.items())
    again = file.iloc[:20]
    return files | {at + 7 * _DAY + _NOON: again.assign(late=1 - again["late"])}


FAULTS: dict[str, Callable[[Files], Files]] = {
    "poisoned": _flip,
    "twice": _twice,
    "shuffled": _shuffle,
    "stopped": _stop,
    "contradicting": _contradict,
}


def _february() -> pd.DataFrame:
    rows = pd.read_parquet(ROWS)
    rows = rows[rows["month"] == 2].reset_index(drop=True)
    return rows.assign(name=flight_names(rows))


def _served(rows: pd.DataFrame) -> pd.DataFrame:
    asked = rows.drop(columns=[LABEL, PROXY])
    ids = [f"r{n}" for n in range(len(rows))]
    return asked.assign(
        request_id=ids, flight=rows["name"], version="1", risk=rows["hour_late_28d"]
    )


def _judged(files: Files, ledger: Path, rows: pd.DataFrame, now: pd.Timestamp) -> Judged:
    """What is known after all files were received, each at its instant; poison is refused."""
    for at, file in sorted(files.items(), key=lambda pair: pair[0]):
        path = ledger.with_suffix(".parquet")
        file.to_parquet(path, index=False)
        receipt = receive(path, at, ledger)
        if receipt.known:
            sys.stdout.write(f"file of {at:%m-%d %H:%M}Z: known, adds {receipt.added}\n")
    known, rules = rows[f"{PROXY}_known_at"], PerformanceRules.of_configs()
    flags = pd.DataFrame({"flight": rows["name"], PROXY: rows[PROXY], "arrived_at": known})
    found = measure_performance(_served(rows), read_events(ledger), now, rules, flags)
    require_agreement(found.agreement or [], rules.outcome)
    return found


def told(fault: str) -> None:
    """Receive February's labels without a fault and with it, and tell both outcomes as JSON."""
    rows, state = _february(), Path("state/monitor")
    state.mkdir(parents=True, exist_ok=True)
    files = {
        pd.Timestamp(str(at)): file.drop(columns="arrived_at")
        for at, file in delayed_labels.daily(rows).groupby("arrived_at")
    }
    broken = FAULTS[fault](files)
    now = max(max(files), max(broken))
    for name, fed in {"clean": files, "found": broken}.items():
        outcome = _judged(fed, state / f"{name}.db", rows, now)
        said = outcome.model_dump(mode="json", exclude={"slices", "days"})
        sys.stdout.write(f"{name} {json.dumps(said)}\n")


def _inject(fault: str) -> Callable[[Path], list[str]]:
    """Two months and their champion; then this fault in February's labels."""

    def inject(folder: Path) -> list[str]:
        ran(folder, "register")
        return [fault]

    return inject


def _outcomes(outcome: Outcome) -> tuple[Judged, Judged] | None:
    """The clean outcome and the one with the fault, where both were told."""
    lines = dict(re.findall(r"^(clean|found) (\{.*\})$", outcome.words, re.MULTILINE))
    if outcome.code or len(lines) != 2:
        return None
    empty = {"slices": {}, "days": []}
    clean, found = (Judged.model_validate(json.loads(lines[n]) | empty) for n in ("clean", "found"))
    return clean, found


def _refused_by_name(_: Path, outcome: Outcome) -> str:
    carrier, week = POISONED
    said = re.search(
        rf"LabelsRefused: (.*{carrier} in the week of {week}: 0\.\d+.*?);", outcome.words
    )
    return said[1] if outcome.code == 1 and said else ""


def _added_nothing(_: Path, outcome: Outcome) -> str:
    both, known = _outcomes(outcome), outcome.words.count("known, adds 0")
    if both is None or both[0] != both[1].model_copy(update={"feed": both[0].feed}) or known != 28:
        return ""
    events = both[1].feed.events
    return f"{known} files were known by their hash; {events:,} events, the outcome is the same"


def _same_in_the_end(_: Path, outcome: Outcome) -> str:
    both = _outcomes(outcome)
    if both is None or both[0].overall != both[1].overall or both[1].feed.corrected < 1_000:
        return ""
    return (
        f"{both[1].feed.corrected:,} labels corrected in any order: {both[1].overall.labelled:,} "
        f"labels and log loss {both[1].overall.log_loss:.4f} as in order"
    )


def _not_known(_: Path, outcome: Outcome) -> str:
    both = _outcomes(outcome)
    if both is None or both[0].alert.status == "not known" or not both[1].feed.stale:
        return ""
    alert = both[1].alert
    if alert.status != "not known":
        return ""
    return f"not known: {alert.reasons[0]}; labels_age_hours {both[1].feed.labels_age_hours:g}"


def _set_aside(_: Path, outcome: Outcome) -> str:
    both = _outcomes(outcome)
    if both is None or both[1].feed.conflicts != 20 or both[0].feed.conflicts:
        return ""
    if both[0].overall.labelled - both[1].overall.labelled != 20:
        return ""
    return f"20 flights have no label until another revision: {both[1].feed.conflicting[0]}, ..."


DRILLS = [
    Drill(
        slug="flipped-labels",
        stage="monitor",
        fault="one carrier's labels of one week say the opposite of what happened",
        guard="monitor.performance.label_checks: labels against departure-late flags by carrier",
        inject=_inject("poisoned"),
        caught=_refused_by_name,
        command=TOLD,
    ),
    Drill(
        slug="labels-twice",
        stage="monitor",
        fault="every file of labels arrives a second time, under another instant",
        guard="monitor.performance.label_ledger.receive: a file is known by the hash of its bytes",
        inject=_inject("twice"),
        caught=_added_nothing,
        command=TOLD,
    ),
    Drill(
        slug="shuffled-labels",
        stage="monitor",
        fault="labels come weeks late in any order, a tenth wrong at first and corrected",
        guard="monitor.performance.delayed_labels.fold: the highest revision wins, in any order",
        inject=_inject("shuffled"),
        caught=_same_in_the_end,
        command=TOLD,
    ),
    Drill(
        slug="stopped-labels",
        stage="monitor",
        fault=f"after {LAST_FILE} no file of labels comes any more",
        guard="monitor.performance.performance.performance_status: too few labels are no outcome",
        inject=_inject("stopped"),
        caught=_not_known,
        command=TOLD,
    ),
    Drill(
        slug="contradicting-labels",
        stage="monitor",
        fault="20 flights are told late and not late under one revision",
        guard="monitor.performance.delayed_labels.fold: both are set aside by name, none is chosen",
        inject=_inject("contradicting"),
        caught=_set_aside,
        command=TOLD,
    ),
]


def main() -> int:
    """Tell what a fault of the command line does; a refusal as the pipeline tells one."""
    try:
        told(sys.argv[1])
    except PipelineError as refusal:
        sys.stdout.write(f"monitor: {type(refusal).__name__}: {refusal}\n")
        return refusal.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
