"""Every target starts, and stops where it has to, with the make that every Mac has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rules import apple, tree

TEXT = tree.read("Makefile")
KNOWN = apple.variables(TEXT)
LINES = [
    (target, apple.expanded(line, KNOWN))
    for target, lines in apple.recipes(TEXT).items()
    for line in lines
]
BASE = {"bash", "/bin/bash", "/usr/bin/env"}
"""Programs that a Mac has on the PATH of make itself."""
PROBE = """
include Makefile
fails:
\t@false; touch went-on
pipes:
\t@false | true; touch went-on
unset:
\t@: $$NOTHING_OF_THIS_NAME; touch went-on
"""


def _lost(shell: str) -> list[tuple[str, str]]:
    """Lines started without a shell whose program make's own PATH does not have."""
    started = [(target, apple.direct(line, shell)) for target, line in LINES]
    return [
        (target, words[0])
        for target, words in started
        if words and "/" not in words[0] and words[0] not in BASE
    ]


def test_the_reader_sees_the_lines_of_every_target() -> None:
    assert {target for target, _ in LINES} >= {
        name for name in tree.targets() if name not in {"setup", "ci"}
    }
    assert len(LINES) >= len(tree.targets()) - 2


def test_no_line_is_started_on_a_path_that_lacks_its_program() -> None:
    assert _lost(KNOWN["SHELL"]) == []


def test_the_shell_is_found_on_the_path_of_make_itself() -> None:
    program, *options = KNOWN["SHELL"].split()
    assert program in BASE
    assert not apple.PLAIN.fullmatch(KNOWN["SHELL"])
    assert options == ["-peu", "-o", "pipefail"]


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh", "/bin/zsh"])
def test_with_a_plain_shell_lines_would_be_lost(shell: str) -> None:
    lost = _lost(shell)
    assert len(lost) > 20
    assert ("fill", "python") in lost
    assert ("rules", "pytest") in lost
    assert "run" not in dict(lost)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python3 -m docs.ask questions", ["python3", "-m", "docs.ask", "questions"]),
        ("pytest -n 2 -m 'not slow; at all'", ["pytest", "-n", "2", "-m", "not slow; at all"]),
        ('pytest -m "slow"', None),
        ("python -m x && echo", None),
        ("A=1 python", None),
        ("python --a=1", ["python", "--a=1"]),
        ("cd state", None),
        ("exit", None),
        ("ls ~", None),
        ("echo 'it", None),
        ("", []),
    ],
)
def test_a_line_that_a_shell_has_to_read_is_told_from_another(
    line: str, words: list[str] | None
) -> None:
    assert apple.direct(line, "/bin/bash") == words
    assert apple.direct(line, "bash") is None


def test_the_makefile_asks_for_nothing_that_a_later_make_added() -> None:
    found = {
        name for name, pattern in apple.NEWER.items() if re.search(pattern, TEXT, re.MULTILINE)
    }
    assert found == set()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (".SHELLFLAGS := -e -c", ".SHELLFLAGS"),
        (".ONESHELL:", ".ONESHELL"),
        ("run: setup .WAIT test", ".WAIT"),
        ("undefine X", "undefine"),
        ("define X :=", "define with an assignment"),
        ("X != date", "shell assignment"),
        ("a b &: c", "grouped targets"),
        ("X := $(file <x)", "functions"),
    ],
)
def test_what_a_later_make_added_would_be_found(line: str, name: str) -> None:
    found = {k for k, p in apple.NEWER.items() if re.search(p, f"{TEXT}\n{line}\n", re.MULTILINE)}
    assert found == {name}


@pytest.mark.parametrize("target", ["fails", "pipes", "unset"])
@pytest.mark.parametrize("flags", [[], [".SHELLFLAGS=-c"]], ids=["this make", "make 3.81"])
def test_a_recipe_stops_at_the_first_command_that_fails(
    target: str, flags: list[str], tmp_path: Path
) -> None:
    """Version 3.81 passes `-c` to its shell, whatever .SHELLFLAGS says."""
    shutil.copy(tree.ROOT / "Makefile", tmp_path)
    (tmp_path / "probe.mk").write_text(PROBE)
    done = subprocess.run(
        ["make", *flags, "-f", "probe.mk", target],
        cwd=tmp_path,
        env=tree.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert not (tmp_path / "went-on").exists()
