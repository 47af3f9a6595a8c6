"""A month in four readings, and what the real rules say of each."""

import json

from exercises.workbench.checking import ROOT
from pipeline.monitor.operations.alerts import alerts
from pipeline.monitor.operations.job_signals import JobSignals
from pipeline.monitor.performance.performance import performance_status
from pipeline.monitor.performance.quality import Figures
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.yaml_files import parse

RULE = OutcomeRule.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))["outcome"]
)
WEEKS = {
    "2013-06-10": (13, 0.991, 0.004, -0.011),
    "2013-06-17": (14, 0.874, -0.012, -0.031),
    "2013-06-24": (14, 0.996, 0.028, 0.032),
    "2013-07-01": (6, 0.998, 0.041, 0.036),
}
"""By Monday: days with due labels, coverage, excess loss in nats, gap."""


def figures(monday: str) -> tuple[Figures, int]:
    """The figures of a window that ends before a Monday, and its days."""
    days, coverage, excess, gap = WEEKS[monday]
    labelled = round(12_000 * coverage)
    values = {"rows": 12_000, "labelled": labelled, "days": days, "late": 2_900}
    found = Figures.model_validate(values | {"coverage": coverage, "excess": excess, "gap": gap})
    return found, days


def statuses() -> dict[str, str]:
    """What the outcome's rule says of each Monday."""
    return {monday: performance_status(*figures(monday), RULE)[0] for monday in WEEKS}


def signals(monday: str) -> JobSignals:
    """The monitoring job's signals of a Monday."""
    days, coverage, excess, gap = WEEKS[monday]
    return JobSignals(
        at=f"{monday}T12:00:00Z",
        version="3",
        release="0" * 64,
        model_age_days=40.0,
        labels_age_hours=2.0,
        coverage=coverage,
        due_days=days,
        excess_loss=excess,
        outcome_gap=gap,
        labels_disagreeing=0,
        refit_gain=-0.004,
        refit_gain_high=0.003,
        prediction_psi=0.22,
        quality_failures=0,
        skew_mismatches=0,
    )


def firing(monday: str, rules: str) -> dict[str, str]:
    """The alerts of the real rules that fire on a Monday, each with its severity."""
    known = alerts_of(rules)
    return {one.name: one.severity for one in known if one.evidence(signals(monday))}


def alerts_of(rules: str):
    """The alerts of the file at a path, whatever the working folder is."""
    import os
    from pathlib import Path

    before = Path.cwd()
    os.chdir(Path(rules).parents[2])
    try:
        return alerts()
    finally:
        os.chdir(before)


def files() -> dict[str, str]:
    """The readings as a person gets them, and the limits."""
    rows = [
        {"monday": monday, **signals(monday).model_dump(mode="json", exclude={"at", "input_psi"})}
        for monday in WEEKS
    ]
    return {"evidence/month.json": json.dumps(rows, indent=1) + "\n"}
