"""The figures of a soak: errors, refusals, recovery, memory, open files and the slowest answers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.open_loop import UNSENT, Answers
from pipeline.records.request_log import make_engine

if TYPE_CHECKING:
    from benchmarks.soak import Run

RECOVERY = 5.0
"""Seconds after a burst within which all has to be as before it."""
WINDOWS, PARTS = 30, 3
BEFORE = 10
"""A second after a burst is normal if it is no slower than the slowest of so many before it."""
UNITS = (
    "capacity: answers a second to as many callers as are answered best, before the run; errors: "
    "requests of known callers that were answered neither with 200 nor with 503; "
    "refused_outside_bursts: with 503, apart from bursts and the seconds after them; "
    "unsent_outside_bursts: given up, since all callers waited for answers; ratios: "
    "medians of the last third of the run over those of the first third; milliseconds count from "
    "when a request was due; stalls: seconds in which the whole machine stood still, requests that "
    "met them are left out"
)


def record(run: "Run", log_url: str) -> dict[str, Any]:
    """Every figure of a run."""
    steady = run.steady.but_stalled()
    at = steady.column("due") - run.began
    code, milliseconds = steady.column("code"), 1000 * steady.column("seconds")
    meant = np.zeros(len(at), dtype=bool)
    for began, ended, _ in run.bursts:
        meant |= (at >= began - 1) & (at < ended + RECOVERY)
    calm = ~meant
    answered = calm & (code == 200)
    return {
        "requests": int((run.steady.column("code") != UNSENT).sum()),
        "capacity": round(run.capacity, 1),
        "errors": int((~np.isin(code, (200, 503, UNSENT))).sum()),
        "refused_outside_bursts": int((calm & (code == 503)).sum()),
        "unsent_outside_bursts": int((calm & (code == UNSENT)).sum()),
        "milliseconds": {
            f"p{q}": round(float(np.percentile(milliseconds[answered], q)), 2) for q in (50, 95, 99)
        },
        "ratios": {"p99": _p99_ratio(at[answered], milliseconds[answered], run.seconds)}
        | _growth(run),
        "changes": _changes(run, steady),
        "kills": {
            "kills": len(run.operator.kills),
            "seconds_until_ready": round(max(run.operator.back), 2),
        },
        "bursts": _bursts(run, at, code, milliseconds),
        "log": _log(run, log_url),
        "conditions": {
            "units": UNITS,
            "seconds": run.seconds,
            "stalls": round(float((run.steady.stalls[:, 1] - run.steady.stalls[:, 0]).sum()), 1),
        },
    }


def _thirds(at: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    return at < seconds / PARTS, at >= seconds * (PARTS - 1) / PARTS


def _p99_ratio(at: np.ndarray, milliseconds: np.ndarray, seconds: float) -> float:
    """The p99 of the last windows over that of the first ones, each the median of its windows."""
    window = np.minimum((at * WINDOWS / seconds).astype(int), WINDOWS - 1)
    p99 = np.array([np.percentile(milliseconds[window == w], 99) for w in np.unique(window)])
    first, last = _thirds(np.unique(window) * seconds / WINDOWS, seconds)
    return round(float(np.median(p99[last]) / np.median(p99[first])), 3)


def _growth(run: "Run") -> dict[str, float]:
    """Memory and open files, last over first: the largest ratio of those that were not killed."""
    found: dict[str, list[float]] = {"memory": [], "files": []}
    for name in ("envoy", "champion", "control"):
        rows = [row for row in run.samples.rows if row["name"] == name]
        first, last = _thirds(np.array([row["at"] for row in rows]), run.seconds)
        for what, ratios in found.items():
            values = np.array([row[what] for row in rows])
            ratios.append(float(np.median(values[last]) / np.median(values[first])))
    return {what: round(max(ratios), 3) for what, ratios in found.items()}


def _changes(run: "Run", steady: Answers) -> dict[str, Any]:
    version = steady.column("version")[steady.column("code") == 200].astype(int)
    named = {str(one): int((version == one).sum()) for one in np.unique(version)}
    return {
        "changes": len(run.operator.changes),
        "slowest_ms": round(1000 * max(run.operator.changes), 1),
        "answers_by_version": named,
    }


def _bursts(
    run: "Run", at: np.ndarray, code: np.ndarray, milliseconds: np.ndarray
) -> dict[str, Any]:
    """Refusals in the bursts, how many were inside, and the seconds until all was normal."""
    rows = np.concatenate([found.but_stalled().rows for _, _, found in run.bursts])
    rows = rows[Answers(rows, run.steady.stalls).column("code") != UNSENT]
    every = Answers(rows, run.steady.stalls)
    theirs, retry = every.column("code"), every.column("retry_after")
    whole = sum(ended - began for began, ended, _ in run.bursts)
    ours = sum(((at >= b) & (at < e) & (code != UNSENT)).sum() for b, e, _ in run.bursts)
    refused = theirs == 503
    fine = 1000 * every.column("seconds")[theirs == 200]
    return {
        "bursts": len(run.bursts),
        "asked_over_capacity": round(float((len(theirs) + ours) / whole / run.capacity), 2),
        "answered": int((theirs == 200).sum()),
        "refused": int(refused.sum()),
        "refused_without_retry_after": int((refused & (retry < 1)).sum()),
        "errors": int((~np.isin(theirs, (200, 503))).sum()),
        "most_waiting": int(run.waiting),
        "p99_ms_of_the_answered": round(float(np.percentile(fine, 99)), 1),
        "seconds_until_normal": max(
            _until_normal(began, ended, at, code, milliseconds) for began, ended, _ in run.bursts
        ),
    }


def _until_normal(
    began: float, ended: float, at: np.ndarray, code: np.ndarray, milliseconds: np.ndarray
) -> float:
    """Seconds after a burst until one with all answered and a p99 as before it; -1 for never."""

    def p99(second: float) -> float:
        here = (at >= second) & (at < second + 1)
        if not here.any() or (code[here] != 200).any():
            return float("inf")
        return float(np.percentile(milliseconds[here], 99))

    before = max(p99(began - 1 - n) for n in range(1, BEFORE + 1))
    for later in range(int(10 * RECOVERY)):
        if p99(ended + later) <= before:
            return float(later)
    return -1.0


def _log(run: "Run", url: str) -> dict[str, int]:
    """All answers of 200, and those of them that are not in the request log, by their ids.

    What a killed server had not written yet is lost.
    """
    rows = [run.steady.rows, *(found.rows for _, _, found in run.bursts)]
    code = Answers(np.concatenate(rows), run.steady.stalls).column("code")
    answered = run.answered_before + int((code == 200).sum())
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            text = "SELECT count(DISTINCT request_id) FROM answers"
            (logged,) = connection.exec_driver_sql(text).one()
    finally:
        engine.dispose()
    return {"answered": answered, "lost": answered - int(logged)}
