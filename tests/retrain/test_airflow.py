"""The DAG as text: it imports nothing of the project, decides nothing, and fails by its tasks."""

import ast
import re
from collections.abc import Callable

import pytest
import yaml

from tests.rules import tree

pytestmark = pytest.mark.answer("orchestrators")

DAG = "pipeline/retrain/airflow.py"
STEPS = yaml.safe_load(tree.read("configs/retrain/steps.yaml"))
ORDER = ["calendar", "data", "guards", "gate", "register", "shadow", "canary"]


def test_the_steps_are_those_of_an_attempt_in_its_order():
    from pipeline.retrain import attempt

    assert list(STEPS) == ORDER == list(attempt.STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_one_command_that_a_person_has_too(step):
    words = STEPS[step].split()
    if words[0] == "dvc":
        assert words[:2] == ["dvc", "repro"]
        assert words[2] in tree.graph()
    else:
        assert words[:2] == ["python", "-m"]
        assert words[2] in ("pipeline", "simulation")
        assert words[3] in tree.commands()
    assert not re.search(r"\|\||;|&&", STEPS[step])  # nothing swallows an exit code


@pytest.mark.parametrize("file", [DAG, "pipeline/retrain/kubeflow.py"])
def test_an_orchestrators_file_imports_nothing_of_the_project(file):
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree.parsed(file))
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "pipeline" not in imported


def test_refusals_are_not_tried_again_and_two_runs_never_overlap():
    text = tree.read(DAG)
    assert 'LOCKED = {"register"}' in text
    assert "retries=2 if step in LOCKED else 0" in text
    assert "max_active_runs=1" in text
    assert "catchup=False" in text
    assert "AssetOrTimeSchedule" in text


def test_what_a_form_holds_is_never_part_of_a_command():
    text = tree.read(DAG)
    assert text.count("params.as_of") == text.count('"AS_OF": "{{ params.as_of }}"') == 1


@pytest.mark.parametrize("name", ["airflow", "kubeflow"])
def test_each_orchestrator_has_a_lock_with_hashes_and_without_a_host(
    name, record_property: Callable[[str, object], None]
):
    lock = tree.read(f"configs/retrain/{name}.lock")
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, re.MULTILINE)
    assert len(pinned) > 20
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock
    record_property(f"packages in the lock of {name}, each with its hashes", len(pinned))
