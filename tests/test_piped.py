"""A command whose reader has had enough ends as a filter does: without a word, with 141."""

import os
import re
import subprocess
import sys

import pytest

from tests.rules import tree

COMMANDS = [
    ["-m", "exercises.drill", "list"],
    ["-m", "docs.ask", "questions"],
    ["-m", "docs.ask", "answer", "rollback"],
    ["-m", "docs.tonight"],
]
APART = {
    ".ci/registry.py": "prints nothing: uv takes its place",
    ".ci/setup.py": "prints nothing there",
    "benchmarks/joins/run.py": "a process of its own, which prints nothing",
    "benchmarks/model_servers/serve.py": "a server of its own, in another environment",
    "cockpit/again.py": "a process of its own, which the cockpit reads",
    "exercises/workbench/subject.py": "a process of its own, which the judge reads",
    "pipeline/retrain/kubeflow.py": "a cluster runs it, with nothing of the project",
    "pipeline/rollout/traffic/supervisor.py": "a process of its own, which writes to files",
    "pipeline/serve/kserve.py": "a cluster runs it",
    "pipeline/serve/workers.py": "a process of its own, whose output goes into a file",
    "pipeline/usecase/every_config.py": "prints nothing there",
    "pipeline/usecase/take.py": "prints nothing there",
    "pipeline/shared/dvc.py": "DVC itself, which ends as DVC does",
    "pipeline/shared/git.py": "prints nothing there",
    "pipeline/shared/watcher.py": "a process of its own, which prints nothing",
    "tests/features/elsewhere.py": "a test's other process",
}
"""Files that are run and need no such end, and why."""
CALL = "import sys; from pipeline.__main__ import run_command; sys.exit(run_command({}))"


def unread(*arguments):
    """Run Python with an output that nobody reads."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tree.ROOT,
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writes)


@pytest.mark.long
@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "PYTHONUNBUFFERED"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_is_read_no_more_ends_without_a_word(command, buffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    done = unread(*command)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "PYTHONUNBUFFERED"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("lambda: print('x')", 141),
        ("lambda: print('x', flush=True)", 141),
        ("lambda: print('x' * 10 ** 6)", 141),
        ("lambda: sys.exit(print('x'))", 141),
        ("lambda: 3", 3),
        ("lambda: None", 0),
        ("lambda: sys.exit(5)", 5),
    ],
)
def test_the_exit_code_is_the_commands_own_where_it_has_printed_nothing(
    command, code, buffered, monkeypatch
):
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    done = unread("-c", CALL.format(command))
    assert (done.returncode, done.stderr) == (code, "")


def test_another_pipe_that_breaks_is_a_fault_as_before():
    broken = "lambda: (_ for _ in ()).throw(BrokenPipeError('a socket'))"
    done = subprocess.run(
        [sys.executable, "-c", CALL.format(broken)],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "BrokenPipeError: a socket" in done.stderr


def test_every_file_that_people_run_ends_so():
    run = {
        name: block
        for name in tree.files()
        if name.endswith(".py") and not re.search(r"/test_\w+\.py$", name)
        for block in re.findall(r'^if __name__ == "__main__":\n(.*)', tree.read(name), re.M | re.S)
    }
    assert len(run) > 30
    bare = {name for name, block in run.items() if "(run_command(" not in block}
    assert bare == set(APART)
