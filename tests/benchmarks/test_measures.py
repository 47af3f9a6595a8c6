"""Every benchmark has a name and a line in the list; another name is refused with the nearest."""

import os
import sys

import pytest

from benchmarks import __main__ as door
from pipeline.shared.errors import EnvironmentUnfit
from tests.rules import tree


@pytest.fixture
def measure(monkeypatch):
    """What `make measure` does with a name: its exit code, and the command that it becomes."""
    became = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command[1:]))

    def run(*name):
        monkeypatch.setattr(sys, "argv", ["measure", *name])
        return door.main(), became

    return run


def test_every_module_that_can_be_run_is_a_benchmark():
    runnable = {
        name
        for name in tree.files()
        if name.startswith("benchmarks/") and "run_command(main))" in tree.read(name)
    }
    files = {f"benchmarks/{path.name}" for path in door.benchmarks().values()}
    assert runnable - {"benchmarks/__main__.py"} == files


def test_the_list_has_a_line_for_each(measure, capsys):
    assert measure("") == (0, [])
    lines = [line.strip().split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == [f"M={name}" for name in door.benchmarks()]
    assert all(question.endswith((".", "?")) for _, question in lines)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(door.benchmarks()) - door.NEED_A_COMMIT))
def test_a_name_becomes_its_module(measure, name):
    _, became = measure(name)
    assert became == [["-m", f"benchmarks.{door.benchmarks()[name].stem}"]]


@pytest.mark.parametrize(
    ("name", "nearest"), [("skew", "skews"), ("alarm", "alarms"), ("data_faults", "data-faults")]
)
def test_a_name_that_is_none_is_refused_with_the_nearest_and_the_list(
    measure, capsys, name, nearest
):
    assert measure(name) == (2, [])
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"measure: no benchmark {name!r}; the nearest is `make measure M={nearest}`"
    assert len(lines) == len(door.benchmarks())


@pytest.mark.parametrize("name", sorted(door.NEED_A_COMMIT))
def test_what_works_on_a_commit_is_refused_without_one(
    measure, capsys, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    assert measure(name) == (EnvironmentUnfit.exit_code, [])
    assert "is not a git checkout with a commit" in capsys.readouterr().err
