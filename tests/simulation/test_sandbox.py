"""What a command in a replay says names files as they are to be opened from outside."""

import io
import sys
from pathlib import Path

import pytest

from simulation import sandbox
from simulation.sandbox import from_here

pytestmark = pytest.mark.answer("closed-loop")
FOLDER = Path("state/replay/run")


@pytest.fixture
def replayed(tmp_path, monkeypatch):
    """A folder of a replay with one file."""
    monkeypatch.chdir(tmp_path)
    page = FOLDER / "data/evaluate/verdict.html"
    page.parent.mkdir(parents=True)
    page.touch()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("-> data/evaluate/verdict.html", "-> {f}/data/evaluate/verdict.html"),
        ("-> data/evaluate/; decide", "-> {f}/data/evaluate/; decide"),
        ("see data/evaluate/verdict.html, then", "see {f}/data/evaluate/verdict.html, then"),
        ("-> {f}/data/evaluate/verdict.html", "-> {f}/data/evaluate/verdict.html"),
        ("-> data/none.html and /data/evaluate", "-> data/none.html and /data/evaluate"),
    ],
)
def test_a_path_is_lengthened_if_it_is_one_of_the_replay(replayed, said, wanted):
    assert from_here(FOLDER, said.format(f=FOLDER)) == wanted.format(f=FOLDER)


def test_both_outputs_of_a_command_are_passed_on_and_its_exit_code(replayed, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", io.StringIO())
    (FOLDER / "simulation.py").write_text(
        "import sys\n"
        "print('one -> data/evaluate/verdict.html')\n"
        "print('refused: see data/evaluate/verdict.html', file=sys.stderr)\n"
        "sys.exit(1)\n"
    )
    code, last = sandbox.run_in_replay(FOLDER, "loop")
    assert (code, last) == (1, f"one -> {FOLDER}/data/evaluate/verdict.html")
    assert sys.stdout.getvalue() == f"{last}\n"
    assert sys.stderr.getvalue() == f"refused: see {FOLDER}/data/evaluate/verdict.html\n"
