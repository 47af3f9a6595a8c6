"""A wrong, empty or missing argument of a target ends in one sentence with the next command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules import tree

TEXT = tree.read("Makefile")
WRONG = """
adopt FROM=nosuch
run USECASE=nosuch
reproduce VERSION=nosuch
reproduce THREADS=nosuch
reproduce AT=nosuch
lineage VERSION=nosuch
serve DAY=nosuch
serve-http VERSION=nosuch
serve-http PORT=nosuch
materialize UNTIL=nosuch
skew DAY=nosuch
batch MONTH=nosuch
shadow BAD=nosuch
canary BAD=nosuch
bluegreen BAD=nosuch
rollback VERSION=nosuch
ui TOOL=nosuch
ui PORT=nosuch
ui PORT=0
demo PORT=nosuch
monitor MONTH=nosuch
monitor AT=nosuch
diagnose MONTH=nosuch
exporter PORT=nosuch
monitor-live FAULT=nosuch
retrain AS_OF=nosuch
loop UNTIL=nosuch
who-served AT=nosuch
replay-decision ROLLOUT=nosuch
explain REQUEST=nosuch
explain ROW=nosuch
answer Q=qqqq
prove Q=qqqq
drill D=nosuch
exercise E=nosuch
submit E=nosuch
hint E=nosuch
reset E=nosuch
solution E=nosuch
exam MINUTES=nosuch
exam TOPIC=nosuch
exam SEED=nosuch
handout E=nosuch
grade E=nosuch
brief B=nosuch
interview E=nosuch
prove-exercises E=nosuch
prune UNTIL=nosuch
""".split("\n")[1:-1]
WRONG.append("measure " + "M=nosuch")  # no name of a benchmark that a page could mean
"""Targets, each with a value that it does not take."""
NEEDED = {
    **dict.fromkeys("submit hint reset solution handout grade interview".split(), "E"),
    **dict.fromkeys(["answer", "prove"], "Q"),
    "brief": "B",
}
"""Targets that do nothing without an argument."""
ELSEWHERE = {
    "YES", "END", "FORCE", "FLOW", "REBASE", "REBUILD_ENV", "STATIC",  # switches
    "BASE", "PULL_REQUEST", "PYTHON", "STEP", "NAME", "TO", "TRUST",  # of other tools, and paths
    "TRIALS",  # comes after the DVC pipeline's features: tests/test_main.py
}  # fmt: skip
"""Arguments with no value to be wrong about, or one that is read only after minutes."""


def _refused(*arguments: str) -> list[str]:
    """What make says on standard error, without its own lines; it must not succeed."""
    stands = [f"--old-file={name}" for name in ("setup", "checkout", ".venv/installed")]
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["make", *stands, *arguments],
        cwd=tree.ROOT,
        env=tree.environment(PATH=path, NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    return [one for one in done.stderr.splitlines() if not one.startswith("make: ***")]


def _is_one_sentence(said: list[str], listed: bool = False) -> None:
    text = "\n".join(said)
    assert "Traceback" not in text
    assert not re.search(r"(?m)^usage: ", text)
    assert len(said) == 1 or listed, text
    assert re.search(r"`?\bmake [a-z]", said[0]) or "`ls " in said[0], said[0]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG)
def test_a_wrong_value_ends_in_one_sentence_with_the_next_command(typed: str) -> None:
    _is_one_sentence(_refused(*typed.split()), listed=typed.startswith("measure"))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("given", ["missing", "blank"])
@pytest.mark.parametrize(("target", "name"), NEEDED.items())
def test_a_needed_value_that_is_not_there_ends_so_too(target: str, name: str, given: str) -> None:
    value = [f"{name}= "] if given == "blank" else []
    _is_one_sentence(_refused(target, *value))


def test_every_argument_has_a_wrong_value_here() -> None:
    declared = re.search(r"^ARGUMENTS := ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
    assert declared is not None
    names = set(declared[1].replace("\\", "").split())
    tried = {re.split("[ =]", typed)[1] for typed in WRONG} | {*NEEDED.values()}
    assert names == tried | ELSEWHERE


def test_an_optional_value_that_is_empty_counts_as_missing() -> None:
    """A recipe passes on none that is empty, unless the command needs it or has a default."""
    recipes = [line for line in TEXT.splitlines() if line.startswith(("\t", "ROLLED"))]
    bare = {name for line in recipes for name in re.findall(r'"\$\$([A-Z][A-Z_]*)"', line)}
    assert bare <= {"B", "D", "E", "M", "Q", "PULL_REQUEST", "PYTHON", "USECASE"}
