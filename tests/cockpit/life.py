"""A project's folder in which two months went by, written by what the pipeline writes with.

A first champion, quiet weeks, an alert, a retraining; a shadow, a canary whose decisions are made
of requests, and a second canary with a fault that is rolled back. No model was trained for it.
"""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from pipeline.records import analyses, command_runs, rollout_ledger
from pipeline.records.analyses import Analysis
from pipeline.records.command_runs import CommandRun
from pipeline.records.rollout_ledger import LEDGER, Move
from pipeline.retrain import journal
from pipeline.retrain.policy import RetrainingDecision as PolicyDecision
from pipeline.retrain.policy import RetrainingSignals
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.decision import Decision, Position
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.files import file_hash, write_json, write_parquet
from tests.rollout.edge import PLAN, START, bad, requests
from tests.rules.tree import ROOT
from tests.shared.moves import NEW, OLD, move, registered

DAY = 24 * 60
BEGUN = 54 * DAY
"""The minute, from the ledger's first, at which the rollouts begin."""


def start(folder: Path) -> Path:
    """A folder with the configs, in which nothing happened yet."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "docs/answers", folder / "docs/answers")
    for name in ("dvc.yaml", "docs/drills.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def live_through(folder: Path) -> Path:
    """Let two months go by in a folder."""
    start(folder)
    _released(folder)
    _days(folder)
    _shadow(folder)
    _canary(folder)
    _slow_canary(folder)
    _refused_data(folder)
    _runs(folder)
    return folder


def _append(folder: Path, one: Move) -> None:
    rollout_ledger.append(one, folder / LEDGER)


def _released(folder: Path) -> None:
    _append(folder, registered(by="somebody"))


def _days(folder: Path) -> None:
    """The journal: every day's performance, and every Monday's check."""
    path = folder / journal.JOURNAL
    for number in range(61):
        at = pd.Timestamp("2013-05-02T10:00Z") + pd.Timedelta(days=number)
        excess = -0.03 + 0.001 * number
        status = "alert" if excess > 0.02 else "quiet"
        if at.day_name() == "Monday":
            journal.add(at, "check", _check(at, excess, status), path)
        told = {
            "day": f"{at - pd.Timedelta(days=1):%Y-%m-%d}",
            "rows": 900,
            "versions": ["1"],
            "labels": 900,
            "outcome": status,
            "excess": excess,
            "excess_interval": [excess - 0.01, excess + 0.01],
            "gap": excess / 2,
        }
        journal.add(at, "day", told, path)


def _check(at: pd.Timestamp, excess: float, status: str) -> dict[str, object]:
    signals = RetrainingSignals.model_validate(
        {
            "at": f"{at:%Y-%m-%dT%H:%MZ}",
            "champion": "1",
            "trained_until": "2013-03-31",
            "served_since": "2013-05-01",
            "fresh_labels": 20_000,
            "outcome": status,
            "outcome_reasons": [f"log loss is {excess:+.4f} above its own expectation, limit 0.02"],
            "excess": excess,
            "gap": excess / 2,
            "labels_stale": False,
            "labels_age_hours": 0.0,
            "broken": [],
            "skew": 0,
            "prediction_psi": 0.02,
            "drift": "quiet",
        }
    )
    act, reasons = ("retrain", signals.outcome_reasons) if status == "alert" else ("hold", ["fine"])
    decision = PolicyDecision.model_validate(
        {"action": act, "triggers": [], "reasons": reasons, "rules": "c" * 64}
    )
    return {"signals": signals.model_dump(), "decision": decision.model_dump(), "policy": {}}


def _shadow(folder: Path) -> None:
    name = {"rollout": "0002-shadow", "shares": {"champion": 10_000}}
    _append(folder, move("shadow", BEGUN, mirrored=True, **name))
    serving = {"serving": {"pairs": 900, "both_answered": 900}}
    _append(folder, move("shadow passed", BEGUN + DAY, decision=serving, **name))


def _canary(folder: Path) -> None:
    """A clean canary of three steps, each decided from its requests."""
    told: dict[str, object] = {"rollout": "0003-canary", "plan": "d" * 64}
    begun = BEGUN + 2 * DAY
    _append(folder, move("canary", begun, **told))
    ends = [("step", 2_500), ("step", 5_000), ("promoted", 10_000)]
    for step, (event, share) in enumerate(ends):
        days = 3.0 * (step + 1)
        seen = pd.concat([requests(900 * (n + 1) + 100, step=n) for n in range(step + 1)])
        at = Position(step=step, days=days, days_at_step=3)
        decision = decide_canary(PLAN, START, bad(seen, "control", 2, seconds=0.5), at)
        minute = begun + int(days * DAY)
        shares = {"champion": 10_000 - 2 * share, "control": share, "challenger": share}
        if event == "promoted":
            shares = {"challenger": share}
        _publish(folder, "0003-canary", minute, decision)
        evidence = _evidence(folder, "0003-canary", step, seen)
        kept = {"decision": decision.model_dump(), "evidence": evidence, "shares": shares}
        _append(folder, move(event, minute, step=step + 1, **told | kept))
    _append(folder, move("baked", minute + DAY, shares={"challenger": 10_000}, **told))


def _slow_canary(folder: Path) -> None:
    """The champion again with a slow server: taken back."""
    fault = NEW.model_copy(update={"fault": "slow"})
    told = {"rollout": "0004-canary", "champion": NEW, "challenger": fault}
    begun = BEGUN + 16 * DAY
    _append(folder, move("canary", begun, **told))
    seen = requests(60)
    seen.loc[seen["arm"] == "challenger", "seconds"] = 0.5
    decision = decide_canary(PLAN, START, seen, Position(step=0, days=0.1, days_at_step=0.1))
    assert decision.outcome == "rollback", decision.reasons
    _publish(folder, "0004-canary", begun + 60, decision)
    evidence = _evidence(folder, "0004-canary", 0, seen)
    kept = {"decision": decision.model_dump(), "evidence": evidence, "shares": {"champion": 10_000}}
    _append(folder, move("rolled back", begun + 60, **told | kept))


def _publish(folder: Path, name: str, minute: int, decision: Decision) -> None:
    at = _instant(minute)
    shares = {"challenger": 500, "control": 500, "champion": 9_000}
    fields = decision.model_dump(mode="json", exclude={"slices"})
    analyses.append(folder / ROLLOUT / name, Analysis(at=at, shares=shares, decision=fields))


def _instant(minute: int) -> datetime:
    return move().at + timedelta(minutes=minute)


def _evidence(folder: Path, name: str, step: int, seen: pd.DataFrame) -> dict[str, str]:
    path = folder / ROLLOUT / name / f"evidence-{step + 1:02}.parquet"
    write_parquet(path, seen)
    write_json(path.with_name("plan.json"), PLAN.model_dump(mode="json"))
    return {path.name: file_hash(path)}


def _refused_data(folder: Path) -> None:
    """A report of the data gate in which one month was refused."""
    rule = {
        "rule": "mean-shift",
        "columns": ["distance"],
        "action": "refuse",
        "passed": False,
        "observed": 1703.63,
        "unexpected": 0,
        "limit": {"max_value": 1100.0},
    }
    month = {"table": "flights", "rows": 28_000, "quarantined": 0, "reference": []}
    accepted = month | {"month": "2013-05", "verdict": "accepted", "rules": []}
    refused = month | {"month": "2013-06", "verdict": "refused", "rules": [rule]}
    report = {"verdict": "refused", "snapshots": [accepted, refused]}
    write_json(folder / "data/validate/report.json", report)


def _runs(folder: Path) -> None:
    path = folder / command_runs.RUNS
    command_runs.note(CommandRun("register", 1.6e9, 4.5, "done", "version 1 registered"), path)
    words = "DataRejected: 2013-06 flights: mean-shift of distance"
    command_runs.note(CommandRun("validate", 1.7e9, 31.0, "refused", words), path)


def fingerprint(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its time and content: what a reader may not change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


__all__ = ["BEGUN", "DAY", "OLD", "fingerprint", "live_through", "start"]
