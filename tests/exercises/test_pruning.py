"""A handout's modules hold what the task reaches, and nothing else."""

from pathlib import Path

import pytest

from exercises.workbench import catalogue, handout
from exercises.workbench.pruning import Pruning

FILES = {
    "pipeline/__init__.py": '"""The map."""\n',
    "pipeline/rates.py": '''"""Rates."""

import math
from typing import TYPE_CHECKING

from pipeline.words import FIRST, SECOND

if TYPE_CHECKING:
    from pipeline.other import Never

LIMIT = 3
"""Of a rate."""
UNUSED = 4
"""Of nothing."""


# Of nobody's interest.
def unused() -> float:
    return math.pi


def rate(n: int) -> "str":
    """Not about `unused`."""
    from pipeline.other import late

    return FIRST * min(n, LIMIT) + late()
''',
    "pipeline/words.py": 'FIRST = "a"\nSECOND = "b"\n',
    "pipeline/other.py": 'def late() -> str:\n    return ""\n\n\nclass Never:\n    pass\n',
    "pipeline/task.py": """from pipeline import rates


def solve() -> str:
    return rates.rate(2)


def other() -> str:
    from pipeline.other import late

    return late()
""",
}


@pytest.fixture
def found(tmp_path: Path) -> Pruning:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Pruning(tmp_path)


def test_a_name_comes_with_what_it_reaches(found: Pruning) -> None:
    found.need_name("pipeline.rates", "rate")
    texts = found.texts()
    assert sorted(texts) == ["pipeline/__init__.py", "pipeline/rates.py", "pipeline/words.py"]
    assert texts["pipeline/words.py"] == 'FIRST = "a"\n'
    assert texts["pipeline/rates.py"] == (
        '"""Rates."""\n\nfrom pipeline.words import FIRST\n\n'
        'LIMIT = 3\n"""Of a rate."""\n\n\n'
        + FILES["pipeline/rates.py"].partition("math.pi\n\n\n")[2]
    )


def test_a_file_is_whole_and_only_what_runs_of_it_takes_its_late_imports(found: Pruning) -> None:
    found.need_file("pipeline/task.py", {"solve"})
    texts = found.texts()
    assert texts["pipeline/task.py"] == FILES["pipeline/task.py"]
    assert "def rate" in texts["pipeline/rates.py"]
    assert "pipeline/other.py" not in texts
    found.need_file("pipeline/task.py", {"other"})
    assert "def late" in found.texts()["pipeline/other.py"]


def test_what_a_kept_function_imports_late_is_kept_where_its_module_is(found: Pruning) -> None:
    found.need_name("pipeline.rates", "rate")
    found.need_name("pipeline.other", "Never")
    assert "def late" in found.texts()["pipeline/other.py"]


def test_a_name_that_a_module_passes_on_is_kept_there(found: Pruning, tmp_path: Path) -> None:
    door = tmp_path / "pipeline/door.py"
    door.write_text("from math import floor, pi\n\nx = 1\n", encoding="utf-8")
    found.need_imports("from pipeline.door import pi")
    assert found.texts()["pipeline/door.py"] == "from math import pi\n"


def test_a_way_in_goes_with_what_only_it_uses(found: Pruning, tmp_path: Path) -> None:
    command = tmp_path / "pipeline/command.py"
    kept = "LIMIT = 2\n\n\ndef solve() -> int:\n    return _least() + LIMIT\n"
    least = "\n\ndef _least() -> int:\n    return 1\n"
    way_in = """

def run() -> str:
    return _read() + str(solve() + _least())


def _read() -> str:
    return _deeper()


def _deeper() -> str:
    return rates.rate(1)
"""
    head = '"""A command."""\n\nfrom pipeline import rates\n\n'
    command.write_text(head + kept + way_in + least, encoding="utf-8")
    found.need_file("pipeline/command.py", {"solve"}, ["run"])
    texts = found.texts()
    assert texts["pipeline/command.py"] == f'"""A command."""\n\n{kept}{least}'
    assert "pipeline/rates.py" not in texts


LARGER = {"renamed-metric": 5_100, "broken-data-first": 4_300, "unknown-is-no-pass": 3_600}
"""These reach the server and the diagnosis, and both the whole use case; one ships all alerts."""


@pytest.mark.long
@pytest.mark.parametrize("exercise", catalogue.exercises(), ids=lambda one: one.slug)
def test_a_handout_is_small(exercise: catalogue.Exercise, tmp_path: Path) -> None:
    assert handout.build(exercise, tmp_path) <= LARGER.get(exercise.slug, 3_500)
