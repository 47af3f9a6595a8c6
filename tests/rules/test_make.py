"""Make is the only vocabulary: people, hooks, MLflow and the CI say the same words."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.rules import tree

WORKFLOWS = [name for name in tree.files() if re.match(r"\.github/workflows/.+\.ya?ml$", name)]
PINNED = re.compile(r"uses: +([\w-]+/[\w.-]+)@([0-9a-f]{40}) +# v\d+\.\d+\.\d+$")
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=tree.environment(GIT_CEILING_DIRECTORIES=str(folder.parent)),
        capture_output=True,
        text=True,
        check=False,
    )


def _steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in tree.load(workflow)["jobs"].values() for step in job["steps"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile and the lock in a folder of their own, which is no git checkout."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(tree.ROOT / name, tmp_path)
    return tmp_path


def _claiming(version: str, folder: Path) -> Path:
    """A Python that says it is this version, and fits nothing."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\nexit 1\n')
    path.chmod(0o755)
    return path


def test_every_target_that_people_may_use_says_what_it_does() -> None:
    silent = {name for name, text in tree.targets().items() if not text}
    assert silent == set(tree.INNER_TARGETS)


def test_help_lists_every_public_target_in_the_order_of_the_flow() -> None:
    lines = _make(tree.ROOT, "help").stdout.splitlines()
    listed = [line.split()[1] for line in lines]
    assert listed == [name for name in tree.targets() if name not in tree.INNER_TARGETS]
    assert [name for name in listed if name in tree.commands()] == list(tree.commands())
    assert listed[:3] == ["help", "setup", "run"]


def test_help_is_what_make_alone_does() -> None:
    assert _make(tree.ROOT).stdout == _make(tree.ROOT, "help").stdout


def test_every_target_is_declared_to_be_no_file() -> None:
    declared = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", tree.read("Makefile"), re.MULTILINE)
    assert declared
    assert declared[1].replace("\\\n", " ").split() == list(tree.targets())


def test_every_command_of_mlflow_names_known_stages() -> None:
    for name, point in tree.load("MLproject")["entry_points"].items():
        *before, last = point["command"].split(" && ")
        assert set(before) <= {"dvc repro"}
        last, _, options = last.partition(" --")
        program, words = last[: len("python -m pipeline")], last.split()[3:]
        assert program == "python -m pipeline"
        assert options == " --".join(f"{o} {{{o}}}" for o in point.get("parameters", {}))
        assert words == [name] if name != "main" else set(words) <= set(tree.commands())


def test_there_is_a_workflow() -> None:
    assert WORKFLOWS


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_runs_nothing_but_make(workflow: str) -> None:
    commands = [step["run"] for step in _steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        program, *words = command.split()
        assert program == "make"
        assert set(words) - set(tree.targets()) == set()


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_uses_actions_by_commit_and_says_which_release_it_is(workflow: str) -> None:
    lines = [line.strip() for line in tree.read(workflow).splitlines() if "uses:" in line]
    pins = [PINNED.search(line) for line in lines]
    assert lines
    assert [line for line, pin in zip(lines, pins, strict=True) if pin is None] == []
    assert {pin[1].split("/")[0] for pin in pins if pin} == {"actions"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_may_read_and_nothing_else(workflow: str) -> None:
    content = tree.load(workflow)
    assert content["permissions"] == {"contents": "read"}
    assert [job for job in content["jobs"].values() if "permissions" in job] == []
    checkouts = [s for s in _steps(workflow) if s.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "secrets." not in tree.read(workflow)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_ends_and_is_overtaken(workflow: str) -> None:
    content = tree.load(workflow)
    assert content["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 60 for job in content["jobs"].values())


def test_the_workflow_and_the_ci_script_check_and_test() -> None:
    commands = [step["run"] for step in _steps(".github/workflows/ci.yml") if "run" in step]
    assert commands == ["make check", "make test"]
    assert re.findall(r"^make .*$", tree.read(".ci/run"), re.MULTILINE)[-2:] == commands
    assert os.access(tree.ROOT / ".ci/run", os.X_OK)


def test_hooks_call_make() -> None:
    hooks = [
        (repo["repo"], hook)
        for repo in tree.load(".pre-commit-config.yaml")["repos"]
        for hook in repo["hooks"]
    ]
    assert [hook["entry"] for _, hook in hooks] == ["make check", "make rules"]
    assert {(repo, hook["language"]) for repo, hook in hooks} == {("local", "system")}


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0"])
def test_a_python_outside_the_range_is_refused_by_its_version(folder: Path, version: str) -> None:
    done = _make(folder, "setup", f"PYTHON={_claiming(version, folder)}")
    assert done.returncode == 2
    assert f"Python 3.11 to 3.13 is needed, found Python {version}" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("prepare", [[], ["git init --quiet"]], ids=["no git", "no commit"])
def test_a_run_needs_a_checkout_with_a_commit(folder: Path, prepare: list[str]) -> None:
    for command in prepare:
        subprocess.run(command.split(), cwd=folder, env=tree.environment(), check=True)
    (folder / ".venv").mkdir()
    (folder / ".venv/installed").touch()
    before = sorted(path.name for path in folder.iterdir())
    done = _make(folder, "run")
    assert done.returncode == 2
    assert f"run: {folder} is not a git checkout with a commit" in done.stderr
    assert "git init && git add -A && git commit" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before
