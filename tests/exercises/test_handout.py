"""A handout runs on its own, and holds nothing that would give the task away."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exercises.workbench import catalogue, edits, handout, judge
from exercises.workbench.catalogue import Exercise
from exercises.workbench.rubric import rubric
from pipeline.shared.errors import StorageFailed

EVERY = catalogue.exercises()
WITH_TESTS = [one for one in EVERY if one.kind != "decide"]
SOME = ["long-haul-slice", "point-in-time-join"]
FAST = [one for one in WITH_TESTS if one.slug in SOME]


def _pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a handout's tests as a person would, without anything of this checkout on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, text=True, check=False
    )


def _solve(exercise: Exercise, folder: Path) -> None:
    handout.copy_main(exercise, folder)
    edits.apply(exercise.solution, folder, exercise)


def _runs_alone(exercise: Exercise, folder: Path) -> None:
    handout.handout(exercise, folder)
    begun = _pytest(folder)
    assert begun.returncode == 1, begun.stdout
    assert "error" not in begun.stdout.splitlines()[-1]
    assert f"FAILED tests/test_{exercise.slug.replace('-', '_')}.py" in begun.stdout
    _solve(exercise, folder)
    solved = _pytest(folder)
    assert solved.returncode == 0, solved.stdout


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("exercise", FAST, ids=lambda one: one.slug)
def test_a_handout_fails_as_it_is_and_passes_with_the_solution(
    exercise: Exercise, tmp_path: Path
) -> None:
    _runs_alone(exercise, tmp_path / "handout")


@pytest.mark.nightly
@pytest.mark.parametrize("exercise", WITH_TESTS, ids=lambda one: one.slug)
def test_every_handout_fails_as_it_is_and_passes_with_the_solution(
    exercise: Exercise, tmp_path: Path
) -> None:
    _runs_alone(exercise, tmp_path / "handout")


@pytest.mark.long
@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_a_handout_holds_no_answer(exercise: Exercise, tmp_path: Path) -> None:
    lines = handout.build(exercise, tmp_path)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    texts = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in paths
    }
    assert not [name for name in texts if name.startswith((".git", "docs/", "exercises/"))]
    assert not [name for name, text in texts.items() if "exercises.workbench" in text]
    hidden = [one.__name__ for one in judge.checks(exercise.checks) if one.hidden]  # type: ignore[attr-defined]
    every = "\n".join(texts.values())
    assert [name for name in hidden if name in every] == []
    assert [hint for hint in exercise.hints if hint in every] == []
    assert [one.why for one in exercise.wrong if one.why in texts["README.md"]] == []
    if exercise.kind == "decide":
        assert "answers.toml" in texts
        assert not [name for name in texts if name.startswith("tests/")]
    assert (f"{lines:,} lines" in texts["README.md"]) is (lines > 0)


@pytest.mark.long
@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_the_page_of_a_handout_is_one_page(exercise: Exercise, tmp_path: Path) -> None:
    handout.build(exercise, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 420
    points = re.findall(r"\| (\d+) \|$", text, re.MULTILINE)
    assert sum(map(int, points)) == 100
    assert f"{exercise.minutes} minutes" in text


def test_a_blanked_function_keeps_its_signature_and_docstring(tmp_path: Path) -> None:
    exercise = catalogue.exercise("point-in-time-join")
    handout.build(exercise, tmp_path)
    text = (tmp_path / exercise.files[0]).read_text(encoding="utf-8")
    main = (catalogue.ROOT / exercise.files[0]).read_text(encoding="utf-8")
    mine, theirs = (edits.source(one, "as_of").splitlines() for one in (text, main))
    assert mine[:-1] == theirs[: len(mine) - 1]
    assert mine[-1].strip() == edits.NOT_WRITTEN
    assert mine[-2].strip() == '"""'


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(handout.HandoutRefused, match=r"not empty.*make handout E="):
        handout.handout(catalogue.exercise("first-step"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_no_half_handout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(names: list[str], tree: Path, source: Path = catalogue.ROOT) -> Path:
        if tree == tmp_path / "to":
            real(names[:1], tree, source)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(names, tree, source)

    real = handout.trees.copy
    monkeypatch.setattr(handout.trees, "copy", full)
    with pytest.raises(StorageFailed, match="No space left"):
        handout.handout(catalogue.exercise("psi"), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_an_exercise_without_python_has_no_code_to_grade(tmp_path: Path) -> None:
    exercise = catalogue.exercise("early-ticket")
    assert set(rubric().weights_of(exercise)) == {"working", "tests", "explanation"}
    handout.build(exercise, tmp_path)
    assert "mypy" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_requirements_are_those_of_this_environment(tmp_path: Path) -> None:
    from importlib.metadata import version

    handout.build(catalogue.exercise("anytime-p"), tmp_path)
    lines = (tmp_path / "requirements.txt").read_text(encoding="utf-8").split()
    assert f"scipy=={version('scipy')}" in lines
    assert f"numpy=={version('numpy')}" in lines
    assert {line.partition("==")[0] for line in lines} >= {"pytest", "ruff", "mypy"}
    assert not [line for line in lines if line.startswith(("mlflow", "feast", "dvc"))]
    handout.build(catalogue.exercise("another-model"), tmp_path / "onnx")
    lines = (tmp_path / "onnx/requirements.txt").read_text(encoding="utf-8").split()
    assert f"protobuf=={version('protobuf')}" in lines
    assert not [line for line in lines if line.startswith("google")]
