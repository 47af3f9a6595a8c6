"""What a cluster would be given, as compiled: every step, in order, none behind a condition."""

import re
import tomllib
from collections.abc import Callable

import pytest
import yaml

from tests.rules import tree

pytestmark = pytest.mark.answer("orchestrators")

STEPS = yaml.safe_load(tree.read("configs/retrain/steps.yaml"))
PIPELINE = yaml.safe_load(tree.read("configs/retrain/kubeflow.yaml"))
TASKS = PIPELINE["root"]["dag"]["tasks"]
DOCKERFILE = tree.read("configs/retrain/Dockerfile")


def ordered():
    """Tasks by what they wait for."""
    left, found = dict(TASKS), []
    while left:
        ready = [n for n, t in left.items() if set(t.get("dependentTasks", [])) <= set(found)]
        assert len(ready) == 1, "steps run one after another"
        found += ready
        left.pop(ready[0])
    return found


def test_every_step_is_a_task_in_its_order(record_property: Callable[[str, object], None]):
    words = [
        TASKS[name]["inputs"]["parameters"]["words"]["runtimeValue"]["constant"]
        for name in ordered()
    ]
    assert words == list(STEPS.values())
    record_property(
        f"of {len(STEPS)} steps that are tasks of Kubeflow in the same order", len(words)
    )


def test_no_task_waits_behind_a_condition_and_none_is_taken_from_a_cache():
    assert not any("triggerPolicy" in task for task in TASKS.values())
    assert not any(task["cachingOptions"].get("enableCache") for task in TASKS.values())


def test_a_step_installs_nothing_when_it_runs():
    executors = PIPELINE["deploymentSpec"]["executors"].values()
    told = [" ".join(one["container"]["command"]) for one in executors]
    assert told
    assert not any("pip install" in words for words in told)


def test_every_step_runs_in_the_image_of_this_release():
    """A tag that moves, such as `latest`, would run other code tomorrow."""
    project = tomllib.loads(tree.read("pyproject.toml"))["project"]
    image = f"{project['name']}:{project['version']}"
    executors = PIPELINE["deploymentSpec"]["executors"].values()
    assert {one["container"]["image"] for one in executors} == {image}
    assert f"--tag {image} ." in DOCKERFILE


@tree.each([n for n in tree.files() if n.startswith(("configs/", "pipeline/"))])
def test_no_image_is_named_by_a_tag_that_moves(name):
    assert not re.search(
        r"""[\w/-]+:(latest|stable|main)\b["']?\s*$""", tree.read(name), re.MULTILINE
    )


def test_the_image_installs_the_lock_by_its_hashes_and_runs_as_nobody_special():
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert re.search(r"^USER pipeline$", DOCKERFILE, re.MULTILINE)
    for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
        assert source == "." or source in tree.files()
