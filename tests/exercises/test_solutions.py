"""The solutions that are files of their own: the contract of their start, and more than checked."""

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.ab_test import arm_size
from exercises.workbench import catalogue, edits, handout, quality, submission
from exercises.workbench.catalogue import Exercise
from exercises.workbench.modules import load
from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, VIEWS
from pipeline.features.online_store import REPLAY, open_store, store_requests
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load as load_config
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.secrets import Address

EXTENDS = [one for one in catalogue.exercises() if one.kind == "extend"]
BEGUN = [one for one in EXTENDS if any(edit.source for edit in one.start)]


def _contract(path: Path) -> dict[str, tuple[str, str | None]]:
    """Each public class and function: its signature or its fields, and its docstring."""
    found = {}
    for name, node in edits.definitions(path.read_text(encoding="utf-8")).items():
        if any(part.startswith("_") and part != "__init__" for part in name.split(".")):
            continue
        if isinstance(node, ast.ClassDef):
            fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
            signature = "; ".join(fields)
        else:
            signature = f"{ast.unparse(node.args)} -> {node.returns and ast.unparse(node.returns)}"
        found[name] = (signature, ast.get_docstring(node))
    return found


def _solution(slug: str) -> ModuleType:
    """The module of a solution, under its own name, so that its records find their types."""
    found: ModuleType = load(catalogue.exercise(slug).folder / "solution.py")
    sys.modules.setdefault(found.__name__, found)
    return found


@pytest.mark.parametrize("exercise", BEGUN, ids=lambda one: one.slug)
def test_a_skeleton_is_the_contract_of_its_solution(exercise: Exercise) -> None:
    start, solution = (_contract(exercise.folder / f"{name}.py") for name in ("start", "solution"))
    assert start == {name: solution[name] for name in start}


@pytest.mark.nightly
@pytest.mark.parametrize("exercise", EXTENDS, ids=lambda one: one.slug)
def test_a_solution_costs_no_point_of_the_code(exercise: Exercise, tmp_path: Path) -> None:
    if not any(name.endswith(".py") for name in exercise.files):
        return
    folder = tmp_path / "ada"
    handout.build(exercise, folder)
    edits.apply(exercise.solution, folder, exercise)
    taken = submission.take(exercise, folder, tmp_path / "taken")
    part = quality.code(taken, tmp_path / "taken/original")
    assert (part.share, part.findings) == (1.0, [])


def test_the_size_of_a_test_is_that_of_the_benchmark() -> None:
    size = _solution("ab-test").flights_an_arm
    for deviation, effect in ((0.4, 0.005), (1.0, -0.1), (2.0, 0.3)):
        wanted = arm_size(deviation, effect)
        assert wanted <= size(deviation, effect, 0.05, 0.8) < wanted + 1


@pytest.mark.slow
def test_the_file_store_answers_as_the_store_does(tmp_path: Path) -> None:
    """The same pushes into Feast's store and into the exercise's: equal values, bit by bit."""
    checks = load(catalogue.exercise("second-store").checks)
    config, (views, asked) = load_config(FeaturesConfig), checks._day()
    url = {"online_url": Address(f"sqlite:///{tmp_path}/online.db")}
    serve = load_config(ServeConfig).model_copy(update=url)
    mine: Any = _solution("second-store").FileStore(
        tmp_path / "file", config, serve.max_lag_minutes
    )
    last = windows.NEVER
    with open_store(config, serve, tmp_path, REPLAY, empty=True) as theirs:
        for place in range(40, 340, 60):
            at = int(windows.minutes(asked["predict_at"].iloc[[place]])[0])
            for view, rows in views.items():
                new = rows[(rows["available_at"] > last) & (rows["available_at"] <= at)]
                if len(new):
                    assert mine.push(view, new) == theirs.push(view, new)
            complete = [view for view in VIEWS if view != "route" or place < 200]
            mine.complete(complete, at)
            theirs.complete(complete, windows.instant(at))
            some, last = store_requests(asked.iloc[place : place + 9]), at
            found, wanted = mine.read(some), theirs.read(some)
            for name in (*NUMERIC, *KNOWN_AT):
                np.testing.assert_array_equal(found.values[name], wanted.values[name], name)
            for view in VIEWS:
                assert found.flags[view].tolist() == wanted.flags[view].tolist()
        assert mine.watermarks() == theirs.watermarks()
        assert mine.counts == theirs.counts
