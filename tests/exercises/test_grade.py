"""A grade: four parts by the rubric, the same twice, and a page that shows it."""

import json
import shutil
from pathlib import Path

import pytest

from exercises.workbench import catalogue, edits, grade, handout, quality, submission, trees
from exercises.workbench.rubric import Rubric, rubric

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXERCISE = catalogue.exercise("long-haul-slice")
FILE = EXERCISE.files[0]
NOTES = """# Notes

## What I did, and why
I gave `slices` in slices.py a mask for long flights, since the gate compares every mask that
it returns
with the champion and with the naive baseline, and nothing else has to change for the veto. The
limit is a
constant with its unit, because no config key was asked for, and because a reader should see it
beside the mask.

## What I checked, and how
Flights of just the limit, flights without a distance, and that every slice of before is as it
was. I ran
the tests that came with the folder and wrote three of my own, each of which fails on a mistake
that I made.

## What I left out, and what I would do next
How many slices a gate can carry before chance alone refuses a good model, and who decides
which are critical.
"""
TESTS = '''"""My own tests."""

import pandas as pd

from pipeline.flights.slices import slices
from pipeline.flights.slices import FlightSlices

RULE = FlightSlices(
    hour_bands=[0], named_carriers=["UA"], storm_share=0.5,
    min_positives=50, min_days=5, veto_point=0.01,
)


def _masks(distances):
    rows = len(distances)
    frame = pd.DataFrame({
        "origin": ["EWR"] * rows, "carrier": ["UA"] * rows, "sched_hour": [7] * rows,
        "distance": pd.Series(distances, dtype="float64"), "system_dep_late_3h": [0.7] * rows,
        "aircraft_known_at": pd.to_datetime(["2013-05-01"] * rows, utc=True),
    })
    return slices(frame, RULE)


def test_long_flights():
    assert _masks([2000, 1999, 2500])["long haul"].tolist() == [True, False, True]


def test_unknown_distances():
    assert _masks([None, 3000])["long haul"].tolist() == [False, True]


def test_the_storm_stays():
    assert {"storm", "origin EWR", "hour 00-23"} <= set(_masks([2500]))
'''


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission that deserves all points."""
    folder = tmp_path_factory.mktemp("submission") / "ada"
    handout.build(EXERCISE, folder)
    edits.apply(EXERCISE.solution, folder, EXERCISE)
    (folder / "NOTES.md").write_text(NOTES, encoding="utf-8")
    (folder / "tests/test_mine.py").write_text(TESTS, encoding="utf-8")
    return folder


@pytest.fixture
def mine(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "ada"))


def _points(found: grade.Grade) -> dict[str, float]:
    return {part.part: part.points for part in found.parts}


def test_a_good_submission_gets_all_points_the_same_twice_and_a_page(
    whole: Path, tmp_path: Path
) -> None:
    first, second = (grade.grade(EXERCISE, whole) for _ in range(2))
    assert _points(first) == {"working": 40, "code": 25, "tests": 20, "explanation": 15}
    assert first.total == 100
    for name, one in (("a", first), ("b", second)):
        grade.write(one, tmp_path / name)
    for file in ("grade.json", "grade.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    record = json.loads((tmp_path / "a/grade.json").read_text(encoding="utf-8"))
    assert record["exercise"] == EXERCISE.slug
    page = (tmp_path / "a/grade.html").read_text(encoding="utf-8")
    assert "A slice with a veto: 100.0 of 100" in page
    assert "How many slices can a gate have" in page
    assert str(whole) not in page


def test_a_start_gets_next_to_nothing_and_questions(tmp_path: Path) -> None:
    folder = tmp_path / "start"
    handout.build(EXERCISE, folder)
    found = grade.grade(EXERCISE, folder)
    assert _points(found) == {"working": 14.5, "code": 0, "tests": 0, "explanation": 0}
    assert found.ask[0].startswith("Show me where your code decides this")


def test_tests_that_catch_nothing_are_worth_nothing(mine: Path, tmp_path: Path) -> None:
    (mine / "tests/test_mine.py").write_text("def test_x():\n    assert True\n", encoding="utf-8")
    part = _own_tests(mine, tmp_path)
    assert part.share == 0
    assert part.findings[0] == "0 of 4 wrong solutions are caught"


def test_tests_that_always_fail_are_worth_nothing(mine: Path, tmp_path: Path) -> None:
    (mine / "tests/test_mine.py").write_text("def test_x():\n    assert 0\n", encoding="utf-8")
    assert _own_tests(mine, tmp_path).findings == ["its own tests on its own solution: failed"]


def test_a_copy_of_the_given_tests_is_no_test_of_its_own(mine: Path, tmp_path: Path) -> None:
    given = mine / "tests/test_long_haul_slice.py"
    shutil.copyfile(given, mine / "tests/test_mine.py")
    assert _own_tests(mine, tmp_path).findings == ["no tests of its own: tests/test_*.py"]


def test_tests_that_know_how_and_not_what_are_worth_nothing(mine: Path, tmp_path: Path) -> None:
    text = "from pipeline.flights.slices import MY_LIMIT\n\n\ndef test_x():\n    assert MY_LIMIT\n"
    (mine / "tests/test_mine.py").write_text(text, encoding="utf-8")
    with (mine / FILE).open("a", encoding="utf-8") as stream:
        stream.write("\nMY_LIMIT = 2000\n")
    part = _own_tests(mine, tmp_path)
    assert part.share == 0
    assert "another right solution" in part.findings[0]


def test_one_test_that_decides_what_the_brief_leaves_open_costs_its_share(
    mine: Path, tmp_path: Path
) -> None:
    before = _own_tests(mine, tmp_path / "before")
    with (mine / "tests/test_mine.py").open("a", encoding="utf-8") as stream:
        stream.write("\n\ndef test_how():\n    import pipeline.flights.slices as it\n")
        stream.write("\n    assert it.MY_LIMIT\n")
    with (mine / FILE).open("a", encoding="utf-8") as stream:
        stream.write("\nMY_LIMIT = 2000\n")
    part = _own_tests(mine, tmp_path / "after")
    assert before.share == 1
    assert 0.7 <= part.share < 1
    assert "set aside" in part.findings[1]
    assert "test_how" in part.findings[1]


def _own_tests(folder: Path, tmp_path: Path) -> quality.Part:
    taken = submission.take(EXERCISE, folder, tmp_path / "taken")
    base = grade._base(EXERCISE, tmp_path / "states")
    return quality.own_tests(EXERCISE, taken, base, tmp_path / "made")


def test_what_ruff_and_mypy_find_costs_points_and_noqa_hides_nothing(
    mine: Path, tmp_path: Path
) -> None:
    with (mine / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            "\n\nimport os  # noqa\n\n\ndef f(x: int) -> str:\n    return x  # type: ignore\n"
        )
    taken = submission.take(EXERCISE, mine, tmp_path / "taken")
    part = quality.code(taken, tmp_path / "taken/original")
    words = " ".join(part.findings)
    assert part.share < 1
    assert "F401" in words
    assert "E402" in words
    assert "Incompatible return value" in words


def test_long_functions_cost_points(mine: Path, tmp_path: Path) -> None:
    body = "".join(f"    x = {n}\n" for n in range(60))
    with (mine / FILE).open("a", encoding="utf-8") as stream:
        stream.write(f"\n\ndef long(x: int) -> int:\n{body}    return x\n")
    taken = submission.take(EXERCISE, mine, tmp_path / "taken")
    findings = quality.code(taken, tmp_path / "taken/original").findings
    assert f"{FILE}: long has 62 lines, at most 40" in findings


def test_notes_that_say_nothing_are_said(mine: Path, tmp_path: Path) -> None:
    taken = submission.take(EXERCISE, mine, tmp_path / "taken")
    assert quality.explanation(EXERCISE, taken).share == 1
    (taken.tree / "NOTES.md").write_text("# Notes\n\nI did it.\n", encoding="utf-8")
    part = quality.explanation(EXERCISE, taken)
    assert part.share == 0
    assert "3 words, wanted are 80 to 900" in part.findings


def test_a_decision_is_graded_without_code_and_tests(tmp_path: Path) -> None:
    exercise = catalogue.exercise("read-a-canary")
    folder = tmp_path / "ada"
    handout.build(exercise, folder)
    edits.apply(exercise.solution, folder, exercise)
    found = grade.grade(exercise, folder)
    assert _points(found) == {"working": 70, "explanation": 0}
    broken = (folder / "answers.toml").read_text(encoding="utf-8").replace('"rollback"', '"roll')
    (folder / "answers.toml").write_text(broken, encoding="utf-8")
    again = grade.grade(exercise, folder)
    assert again.total == 0
    assert "answers.toml is no TOML" in again.checks[0].seen


def test_evidence_that_was_edited_is_restored(tmp_path: Path) -> None:
    exercise = catalogue.exercise("read-a-canary")
    folder = tmp_path / "ada"
    handout.build(exercise, folder)
    (folder / "evidence/canary.json").write_text("{}", encoding="utf-8")
    taken = submission.take(exercise, folder, tmp_path / "taken")
    assert taken.restored == ["evidence/canary.json (changed)"]
    assert (taken.tree / "evidence/canary.json").stat().st_size > 1000


@pytest.mark.parametrize("change", [{"working": 41}, {"tests": 0}])
def test_a_rubric_that_is_not_whole_is_refused(change: dict[str, int]) -> None:
    values = rubric().model_dump()
    with pytest.raises(ValueError, match="add up to"):
        Rubric.model_validate(values | {"weights": values["weights"] | change})


def test_the_trees_of_the_states_are_the_handouts(tmp_path: Path) -> None:
    base = grade._base(EXERCISE, tmp_path)
    made = trees.in_state(EXERCISE, base, tmp_path / "solution", "solution")
    assert "LONG_HAUL_MILES" in (made / FILE).read_text(encoding="utf-8")
    assert "LONG_HAUL_MILES" not in (base / FILE).read_text(encoding="utf-8")
