"""Faults in models: better on the whole, worse where it matters."""

import shutil
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once, run_stages
from exercises.drills.release import DVC, passed
from exercises.scratch import ROOT


def _without_storms(folder: Path) -> list[str]:
    """A champion of January to March, then a fresher challenger whose storms were cleaned away.

    Chosen after looking: of 37 training faults tried on May to August, this one wins overall and
    loses a slice; most of the others did no harm that a month can show.
    """
    if (ROOT / ".dvc/cache").is_dir():  # what was made here is not made again
        shutil.copytree(ROOT / ".dvc/cache", folder / ".dvc/cache")
        run_stages(folder, ["checkout", "--quiet", "--force"], DVC)
    passed(folder, ["repro", "--quiet"], DVC)
    passed(folder, ["register"])
    replace_once(folder / "configs/ingest.yaml", "as_of: 2013-04", "as_of: 2013-06")
    train, evaluate = folder / "configs/train.yaml", folder / "configs/evaluate.yaml"
    replace_once(train, 'last: "2013-03-31"', 'last: "2013-05-31"')
    replace_once(
        folder / "pipeline/train.py",
        "    frame = read(window, known_before)\n",
        "    frame = read(window, known_before)\n"
        '    frame = frame[frame["system_dep_late_3h"] <= 0.4].reset_index(drop=True)\n',
    )
    replace_once(evaluate, '"2013-04-01", last: "2013-04-30"', '"2013-06-01", last: "2013-06-30"')
    return ["ingest", "validate", "features", "train", "evaluate", "register"]


def _vetoed_by_a_slice(folder: Path, outcome: Outcome) -> str:
    import json

    if outcome.code != 1 or "GateRefused" not in outcome.words:
        return ""
    checks = json.loads((folder / "data/evaluate/verdict.json").read_text())["checks"]
    failed = [check for check in checks if check["blocking"] and not check["passed"]]
    overall = next(check for check in checks if check["kind"] == "champion")
    if not overall["passed"] or not all(check["kind"] == "champion slice" for check in failed):
        return ""
    vetoes = "; ".join(f"{check['name']} {check['detail']}" for check in failed)
    return f"overall it beats the champion ({overall['detail']}), but {vetoes}"


DRILLS = [
    Drill(
        slug="slice",
        stage="evaluate",
        fault="somebody cleans the storms out of the training data: a fresher model that wins June",
        guard="the gate's veto of a critical slice (evaluate.gate.holds_slice)",
        inject=_without_storms,
        caught=_vetoed_by_a_slice,
    )
]
