"""`make test` runs both halves whatever fails, fails if one does, and says what it left out."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.shared import programs
from tests import needs, suite
from tests.rules import tree

PASSES = "def test_passes():\n    assert True\n"
FAILS = "def test_fails():\n    assert False\n"
SKIPS = "import pytest\n\n@pytest.mark.parametrize('n', range(3))\ndef test_skips(n):\n"
SKIPS += "    pytest.skip('needs {}')\n"
BROKEN = "import nothing_that_there_is\n"


def run(folder: Path, unit: str, flow: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The suite of a project that has one file of tests in each half."""
    for name, text in {"tests/test_unit.py": unit, "tests/flow/test_flow.py": flow}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  long\n  nightly\n"
        "addopts = --import-mode=importlib\njunit_family = xunit1\n"
    )
    # Of the installed plugins it needs one; loading all of them takes longer than the tests.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist"}
    environment = tree.environment(PYTHONPATH=str(tree.ROOT), **plugins)
    return subprocess.run(
        [sys.executable, "-m", "tests.suite", *arguments],
        cwd=folder,
        env=environment | {"PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )


def test_what_passes_ends_with_pytests_line_for_each_half_and_what_was_left_out(tmp_path):
    done = run(tmp_path, PASSES, PASSES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("= 1 passed in ") == 2
    assert done.stdout.splitlines()[-1] == "test: everything was tested here"


@pytest.mark.long
@pytest.mark.parametrize(
    ("unit", "flow", "named"),
    [
        (FAILS, PASSES, ["tests/test_unit.py::test_fails"]),
        (PASSES, FAILS, ["tests/flow/test_flow.py::test_fails"]),
        (FAILS, FAILS, ["tests/test_unit.py::test_fails", "tests/flow/test_flow.py::test_fails"]),
        (BROKEN, PASSES, ["test_unit"]),
    ],
    ids=["a unit test fails", "the flow fails", "both fail", "a file cannot be imported"],
)
def test_both_halves_run_and_are_reported_and_one_that_fails_fails_all(tmp_path, unit, flow, named):
    done = run(tmp_path, unit, flow)
    assert done.returncode == 1
    told = done.stdout[done.stdout.rindex("test: unit tests: ") :]
    assert "test: flow: " in told
    assert all(name in told for name in named)
    assert told.splitlines()[-1] == "test: everything was tested here"


MARKED = "import pytest\n\n" + "\n\n".join(
    f"{marks}def test_{name}():\n    assert {name!r} in {{}}\n"
    for name, marks in {
        "plain": "",
        "long": "@pytest.mark.long\n",
        "nightly": "@pytest.mark.nightly\n",
        "both": "@pytest.mark.long\n@pytest.mark.nightly\n",
    }.items()
)
"""Four tests that fail, so that what ran is what is named."""


@pytest.mark.long
@pytest.mark.parametrize(("asked", "name"), [([], "plain"), (["long"], "long")])
def test_each_test_is_run_by_one_command(tmp_path, asked, name):
    done = run(tmp_path, MARKED, MARKED, *asked)
    told = done.stdout[done.stdout.rindex("test: unit tests: ") :]
    assert re.findall(r"::test_(\w+)", told) == [name, name]


def test_the_last_line_says_what_was_left_out_over_both_halves(tmp_path):
    done = run(tmp_path, SKIPS.format("promtool"), SKIPS.format("axe-core"))
    assert done.returncode == 0
    last = done.stdout.splitlines()[-1]
    assert last.startswith("test: not tested here: 3 (without promtool), 3 (without axe-core)")
    assert last.endswith("; .ci/run")
    assert needs.installing(["promtool"]) in last


@pytest.mark.parametrize(
    ("there", "command"),
    [
        ({"apt-get"}, "sudo apt-get install prometheus prometheus-alertmanager redis-server"),
        ({"dnf"}, "sudo dnf install /usr/bin/promtool /usr/bin/amtool /usr/bin/redis-server"),
        ({"apk"}, "sudo apk add prometheus alertmanager redis"),
        ({"brew"}, "brew install prometheus alertmanager redis"),
        (
            {"apt-get", "brew"},
            "sudo apt-get install prometheus prometheus-alertmanager redis-server",
        ),
        (set(), "install prometheus prometheus-alertmanager redis-server"),
    ],
    ids=lambda told: told if isinstance(told, str) else "+".join(sorted(told)) or "none",
)
def test_what_is_missing_is_installed_in_the_platforms_way(monkeypatch, there, command):
    monkeypatch.setattr(programs.shutil, "which", lambda name: name if name in there else None)
    assert needs.installing(["promtool", "amtool", "redis-server"]) == command


def test_another_reason_is_told_in_its_words():
    told = suite.left_out(Counter({"this machine lets nobody do it": 2}))
    assert told == "test: not tested here: 2 (this machine lets nobody do it)"


def test_make_test_and_long_are_the_suite_and_ci_calls_both():
    assert "\t@python -m tests.suite\n" in tree.read("Makefile")
    assert "\t@python -m tests.suite long\n" in tree.read("Makefile")
    assert "\nmake test\n" in tree.read(".ci/run")
    assert "\nmake long\n" in tree.read(".ci/run")
    assert "set -euo pipefail" in tree.read(".ci/run")


def test_no_target_leaves_tests_out_because_others_failed():
    assert re.findall(r"pytest[^\n|]*&&[^\n]*pytest", tree.read("Makefile")) == []


def test_one_line_finds_the_repository_so_that_a_test_may_move():
    """A count of parents is wrong the day its file is moved; slow tests tell it last."""
    places = [
        name
        for name in tree.files()
        if name.startswith("tests/") and name.endswith(".py")
        if "__file__).parents[" in tree.read(name)
    ]
    assert places == ["tests/rules/test_suite.py", "tests/rules/tree.py"]
