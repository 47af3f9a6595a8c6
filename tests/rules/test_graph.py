"""The graph is whole: what a DVC stage runs, reads and writes is what dvc.yaml says."""

import ast
import re
from typing import Any

import pytest

from tests.rules import tree

MAPS = {name for name in tree.code() if name.endswith("/__init__.py")}
"""Loaded with what is in their folder, and nothing but a docstring, as a test below says."""

RECORDERS = {
    # Not deps of these stages, nor is what lies behind them (lineage): they change no output.
    ("train", "pipeline/registry/runs.py"): "records the run from what train has written",
    ("evaluate", "pipeline/registry/runs.py"): "notes the verdict, which is already written",
    ("evaluate", "pipeline/registry/versions.py"): "fetches the champion; the stage always runs",
    ("evaluate", "pipeline/registry/champions.py"): "asks who is champion; the stage always runs",
}
REGISTRY = {
    ("train", "register"): "where the run is recorded",
    ("evaluate", "register"): "where the champion is looked up; the stage always runs",
}
"""Configs that a stage loads and that change none of its outputs."""


def _stage(name: str) -> dict[str, Any]:
    return tree.graph()[name]


def _deps(name: str) -> list[str]:
    return tree.paths(_stage(name)["deps"])


def _recorders(stage: str) -> frozenset[str]:
    return frozenset(name for user, name in RECORDERS if user == stage)


def _runs(stage: str) -> set[str]:
    """The code and templates that can change the stage's outputs; behind a recorder nothing can.

    Of the use cases only the one of this checkout runs.
    """
    without = _recorders(stage) | tree.other_use_cases()
    code = tree.reached(tree.entry(stage), without=without) - without - MAPS
    return code | tree.templates(code)


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_is_run_by_its_own_command(stage: str) -> None:
    assert _stage(stage)["cmd"] == f"python -m pipeline {stage}"


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_depends_on_all_the_code_that_it_runs(stage: str) -> None:
    missing = {n for n in _runs(stage) if not any(tree.covers(dep, n) for dep in _deps(stage))}
    assert missing == set()


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_depends_on_no_code_that_it_does_not_run(stage: str) -> None:
    deps = [dep for dep in _deps(stage) if dep.startswith("pipeline/")]
    assert [dep for dep in deps if not any(tree.covers(dep, n) for n in _runs(stage))] == []


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_depends_on_its_config_on_the_use_case_and_on_the_lock(stage: str) -> None:
    assert tree.paths(_stage(stage)["params"]) == [f"configs/{stage}.yaml"]
    assert {"configs/usecase.yaml", "requirements.lock"} <= set(_deps(stage))


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_loads_no_config_but_its_own(stage: str) -> None:
    loaded = {
        found.removesuffix("Config").lower()
        for name in tree.own(stage)
        for found in re.findall(r"\bload\((\w+Config)\)", tree.read(name))
    } | {"validate" for name in tree.own(stage) if "load(USECASE.limits)" in tree.read(name)}
    assert loaded == {stage} | {config for user, config in REGISTRY if user == stage}


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_depends_on_the_data_that_its_code_names(stage: str) -> None:
    named = {
        folder
        for constant, folder in tree.data_folders().items()
        for name in tree.own(stage)
        if f"pipeline.shared.contracts.{constant}" in tree.imported(name)
    } - {f"data/{stage}"}
    assert {f for f in named if not any(tree.covers(f, dep) for dep in _deps(stage))} == set()


@pytest.mark.parametrize("stage", tree.graph())
def test_every_dependency_is_in_git_or_written_by_an_earlier_stage(stage: str) -> None:
    order = list(tree.graph())
    written = [out for s in order[: order.index(stage)] for out in tree.outs(_stage(s))]
    lost = [
        dep
        for dep in _deps(stage)
        if not any(tree.covers(dep, name) for name in tree.files() if not name.startswith("data/"))
        if not any(tree.covers(out, dep) or tree.covers(dep, out) for out in written)
    ]
    assert lost == []


@pytest.mark.parametrize("stage", tree.graph())
def test_an_alert_that_is_changed_runs_no_stage_again(stage: str) -> None:
    named = [*tree.paths(_stage(stage)["params"]), *_deps(stage)]
    alerts = ["configs/monitor.yaml", "configs/monitor/alerts.yml"]
    assert [path for path in named if any(tree.covers(path, one) for one in alerts)] == []


def test_no_output_is_written_by_two_stages() -> None:
    written = [(stage, out) for stage in tree.graph() for out in tree.outs(_stage(stage))]
    shared = [
        (one, other)
        for i, one in enumerate(written)
        for other in written[i + 1 :]
        if tree.covers(one[1], other[1]) or tree.covers(other[1], one[1])
    ]
    assert shared == []


@pytest.mark.parametrize("name", sorted(MAPS))
def test_a_map_holds_nothing_but_its_docstring(name: str) -> None:
    """A use case's own names its nouns too: the cockpit reads them, and no table with them."""
    body = tree.parsed(name).body
    cases = [f"pipeline/{case}/__init__.py" for case in tree.use_cases()]
    nouns = ["from pipeline.shared.nouns import Words", "WORDS = Words"] if name in cases else []
    rest = [ast.unparse(one).partition("(")[0] for one in body[1:]]
    assert rest in ([], nouns)
    assert ast.get_docstring(tree.parsed(name))


def test_every_exemption_is_still_needed() -> None:
    used = {(stage, name) for stage in tree.graph() for name in tree.reached(tree.entry(stage))}
    assert set(RECORDERS) - used == set()


@tree.each(tree.code())
def test_imports_can_be_read_from_the_text(name: str) -> None:
    """A module found by a computed name would be missing from every rule of this file."""
    late = {"__import__", "import_module", "resolve_name", "exec", "eval", "run_module", "run_path"}
    calls = {
        ast.unparse(node.func).split(".")[-1]
        for node in ast.walk(tree.parsed(name))
        if isinstance(node, ast.Call)
    }
    named = {
        "pipeline/__main__.py",
        "pipeline/rollout/traffic/supervisor.py",
        "pipeline/usecase/chosen_words.py",  # for the cockpit alone, which is no stage
    }
    allowed = {"resolve_name"} if name in named else set()
    assert calls & late == allowed


def test_the_gate_is_kept_out_of_the_run_cache() -> None:
    """Else DVC brings back a verdict from before a promotion, which it cannot see."""
    outs = [out for out in tree.graph()["evaluate"]["outs"] if isinstance(out, dict)]
    assert {"data/evaluate/verdict.json": {"persist": True}} in outs
