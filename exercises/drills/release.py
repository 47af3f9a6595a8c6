"""Faults in a release: parts of two runs, a swapped model, a lost snapshot, a forged verdict."""

import json
import re
from pathlib import Path

from exercises.drill import Drill, Outcome, configure, run_stages, two_months
from exercises.scratch import begun
from pipeline.usecase.chosen import USECASE

DVC = ("-m", "dvc")
SNAPSHOT = f"data/ingest/{USECASE.context.name}/{USECASE.begins[:7]}.parquet"
"""The first month of the events' context."""


def ran(folder: Path, *stages: str) -> Path:
    """The scratch copy on two months, after the graph and these stages."""
    two_months(folder)

    def make() -> None:
        if stages:
            passed(ran(folder), list(stages))
        else:
            passed(folder, ["repro", "--quiet"], DVC)

    begun(folder, "-".join(["graph", *stages]), make)
    return folder


def passed(folder: Path, words: list[str], command: tuple[str, ...] = Drill.command) -> None:
    """Run what the drill itself needs; without it there is nothing to inject a fault into."""
    if run_stages(folder, words, command).code:
        raise SystemExit(f"the drill's own `{words[0]}` did not pass: run `make run` first")


def _refusal(outcome: Outcome, kind: str) -> str:
    """What the refusal of this kind said, where it was one and no other answer."""
    told = re.search(rf"^\w+: {kind}: (.+?)(?:; run|; push|; `|:\n|$)", outcome.words, re.MULTILINE)
    return told[1] if outcome.code == 1 and told else ""


def _train_by_hand(folder: Path) -> list[str]:
    """The graph ran; then somebody tries another config without it, and registers what came out."""
    configure(ran(folder), "train", **{"boosting.max_iter": 61})
    return ["train", "evaluate", "register"]


def _not_in_step(_: Path, outcome: Outcome) -> str:
    told = _refusal(outcome, "ReleaseRefused")
    return told if "model: " in told and "config: configs/train.yaml" in told else ""


def _swap_the_model(folder: Path) -> list[str]:
    ran(folder, "register")
    (stored,) = (folder / "state/artifacts").rglob("model.onnx")
    stored.write_bytes((folder / "data/train/hour_rate.onnx").read_bytes())
    return ["lineage"]


def _found_in_the_store(folder: Path, outcome: Outcome) -> str:
    told = _refusal(outcome, "ArtifactTampered")
    return told if "was registered" in told and not (folder / "data/reproduce").exists() else ""


def _lose_a_snapshot(folder: Path) -> list[str]:
    ran(folder, "register")
    snapshot = folder / SNAPSHOT
    from pipeline.shared.dvc_lock import cache_path, md5

    cache_path(str(md5(snapshot)), folder / ".dvc/remote").unlink()
    return ["reproduce"]


def _named_as_lost(_: Path, outcome: Outcome) -> str:
    told = _refusal(outcome, "DataUnavailable")
    return told if SNAPSHOT in told else ""


def _forge_the_verdict(folder: Path) -> list[str]:
    """A challenger fails the gate; somebody who may write data/ makes the verdict a yes."""
    configure(ran(folder), "train", logistic_c=1.0)  # which it does not surely beat
    if run_stages(folder, ["repro", "--quiet"], DVC).code == 0:
        raise SystemExit("the challenger of the drill was not refused: the drill is stale")
    path = folder / "data/evaluate/verdict.json"
    verdict = json.loads(path.read_text())
    checks = [check | {"passed": True} for check in verdict["checks"]]
    path.write_text(json.dumps(verdict | {"checks": checks, "passed": True}))
    run_stages(folder, ["commit", "--force", "--quiet", "evaluate"], DVC)
    if run_stages(folder, ["register"]).code:
        raise SystemExit("the forged verdict was not registered: the drill is stale")
    return ["reproduce"]


def _found_by_the_rebuild(_: Path, outcome: Outcome) -> str:
    told = _refusal(outcome, "NotReproduced")
    return told if "evaluate is the first stage that differs" in told else ""


DRILLS = [
    Drill(
        slug="mixed-release",
        stage="register",
        fault="the graph ran, then a model is trained by hand with another config and registered",
        guard="registry.release_consistency.require_in_step: "
        "commit, data, model and config are of one run",
        inject=_train_by_hand,
        caught=_not_in_step,
    ),
    Drill(
        slug="swapped-model",
        stage="register",
        fault="the champion's file in the registry is replaced by another model",
        guard="the digest that was registered, before anything is loaded or written",
        inject=_swap_the_model,
        caught=_found_in_the_store,
    ),
    Drill(
        slug="lost-snapshot",
        stage="reproduce",
        fault="a month of weather is deleted from the DVC remote",
        guard="reproduce, which fetches every recorded file by its hash and names what is gone",
        inject=_lose_a_snapshot,
        caught=_named_as_lost,
    ),
    Drill(
        slug="forged-verdict",
        stage="reproduce",
        fault="a challenger fails the gate, and its verdict is rewritten to a yes and registered",
        guard="reproduce: the rebuilt verdict is not the recorded one",
        inject=_forge_the_verdict,
        caught=_found_by_the_rebuild,
    ),
]
