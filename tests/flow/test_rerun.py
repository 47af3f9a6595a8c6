"""An edit re-runs the stages that read what was edited, and no other: DVC itself is asked."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from exercises.scratch import scratch
from pipeline.shared import dvc
from tests.rules import tree

NEVER = ["monitor", "rollout", "serve", "retrain", "register", "reproduce", "records"]
"""Whatever is edited in these folders, the model stays as it is."""
pytestmark = pytest.mark.answer("ci-cd")


@pytest.fixture(scope="module")
def rerun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """By file, the stages that an edit of it re-runs first; every config and module is edited."""
    folder = scratch(tmp_path_factory.mktemp("edited"))
    edited = [*tree.code(), *(f"configs/{path.name}" for path in Path("configs").glob("*.yaml"))]
    for name in edited:
        with (folder / name).open("a", encoding="utf-8") as stream:
            stream.write("edited: 1\n" if name.endswith(".yaml") else "# edited\n")
    changed = json.loads(dvc.run(folder, "status", "--json", settings=dvc.isolated_environment()))
    found: dict[str, set[str]] = defaultdict(set)
    for stage, changes in changed.items():
        for part in changes:
            for name in part.get("changed deps", {}) if isinstance(part, dict) else ():
                found[name].add(stage)
    return found


def test_an_edit_of_a_config_reruns_the_stage_that_reads_it(
    rerun: dict[str, set[str]], record_property: Callable[[str, object], None]
) -> None:
    graph = set(tree.graph())
    configs = {name.stem for name in Path("configs").glob("*.yaml")}
    assert rerun["configs/usecase.yaml"] == graph  # another use case is another pipeline
    for stage in configs - {"usecase"}:
        assert rerun.get(f"configs/{stage}.yaml", set()) == {stage} & graph, stage
    record_property("configs whose edit re-runs no stage of DVC", len(configs - graph) - 1)


def test_an_edit_of_what_serves_or_watches_reruns_no_stage(
    rerun: dict[str, set[str]], record_property: Callable[[str, object], None]
) -> None:
    apart = [n for n in tree.code() if n.startswith(tuple(f"pipeline/{top}/" for top in NEVER))]
    apart += [name for name in tree.code() if name.startswith("simulation/")]
    apart += ["pipeline/features/feast_client.py", "pipeline/features/online_store.py"]
    apart += ["pipeline/shared/config/rollout.py"]
    assert {name: rerun[name] for name in apart if name in rerun} == {}
    record_property("modules whose edit re-runs no stage of DVC", len(apart))


def test_an_edit_of_the_model_reruns_training(rerun: dict[str, set[str]]) -> None:
    assert rerun["pipeline/models/trees.py"] == {"train"}
    assert rerun["pipeline/shared/config/train.py"] == {"train"}
