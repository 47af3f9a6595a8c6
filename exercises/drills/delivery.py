"""Faults in what runs the pipeline: the workflows and the calendar."""

import re
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once


def _misspell_a_target(folder: Path) -> list[str]:
    replace_once(folder / ".github/workflows/nightly.yml", "run: make audit", "run: make audti")
    return ["tests/rules/test_make.py"]


def _found_by_the_rules(_: Path, outcome: Outcome) -> str:
    failed = re.findall(r"^FAILED \S+::(\w+)\[(\S+)\]", outcome.words, re.MULTILINE)
    if outcome.code != 1 or len(failed) != 1 or "make audti" not in outcome.words:
        return ""
    rule, workflow = failed[0]
    return f"{rule} fails for {workflow}: 'make audti' names no target"


def _learn_from_the_judged_month(folder: Path) -> list[str]:
    replace_once(folder / "configs/ingest.yaml", "as_of: 2013-04", "as_of: 2013-02")
    replace_once(
        folder / "pipeline/retrain/training_windows.py",
        "held_out - pd.Timedelta(days=1)",
        "newest - pd.Timedelta(days=1)",
    )
    return ["retrain", "ingest", "validate", "features", "train", "evaluate"]


def _refused_as_not_new(_: Path, outcome: Outcome) -> str:
    check = re.search(r"window is new to the challenger: found [^\n]*", outcome.words)
    return check[0] if outcome.code == 1 and "GateRefused" in outcome.words and check else ""


DRILLS = [
    Drill(
        slug="unknown-target",
        stage="rules",
        fault="the nightly workflow calls a target that does not exist: its audit never runs",
        guard="the rule that a workflow's step names only targets of make (make rules)",
        inject=_misspell_a_target,
        caught=_found_by_the_rules,
        command=("-m", "pytest", "-q"),
    ),
    Drill(
        slug="own-month",
        stage="evaluate",
        fault="retraining takes the newest days into what the gate judges, and judges on them too",
        guard="the gate's check that its window is new to the challenger (evaluate.gate)",
        inject=_learn_from_the_judged_month,
        caught=_refused_as_not_new,
    ),
]
