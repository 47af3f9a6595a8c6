"""Law 3: one tool, one door; and a tool is loaded only by the stage that uses it, when it runs."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase

import pytest

from tests.rules import tree

CONTRACT = next(
    contract
    for contract in tomllib.loads(tree.read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    if contract["id"] == "doors"
)
"""The list of doors is the one that lint-imports reads."""

TOOLS: list[str] = CONTRACT["forbidden_modules"]
DOORS: dict[str, list[str]] = {
    tool: [
        line.partition(" -> ")[0]
        for line in CONTRACT["ignore_imports"]
        if line.endswith(f" {tool}")
    ]
    for tool in TOOLS
}
NAMED_BY_LAW = set(
    "mlflow feast great_expectations evidently prometheus_client onnxruntime skl2onnx".split()
)
SLOW = json.dumps(sorted({*TOOLS, "dvc", "scipy"}))


def _tools(name: str, inside_functions: bool = True) -> set[str]:
    roots = {dotted.split(".")[0] for dotted in tree.imported(name, inside_functions)}
    return roots & set(TOOLS)


def _loaded_after(statements: str) -> set[str]:
    """The slow tools that a fresh Python holds after some statements."""
    script = f"import sys\n{statements}\nprint(*sorted(set({SLOW}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tree.ROOT,
        env=tree.environment(PYTHONPATH=str(tree.ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_contract_covers_every_tool_that_the_law_names() -> None:
    assert NAMED_BY_LAW - set(TOOLS) == set()


SECOND_DOORS = {"sklearn": "pipeline.tune.*"}
"""scikit-learn fits models by one door, and samples settings and splits days by another."""


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_has_at_most_one_door(tool: str) -> None:
    assert len(set(DOORS[tool]) - {SECOND_DOORS.get(tool)}) <= 1
    # A door is one module, or one stage's package: pipeline.<stage>.*, never pipeline.shared.*
    assert all(re.fullmatch(r"pipeline\.(\w+(\.\w+)+|(?!shared)\w+\.\*)", d) for d in DOORS[tool])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_imported_only_by_its_door(tool: str) -> None:
    users = {tree.module_of(name) for name in tree.code() if tool in _tools(name)}
    assert {u for u in users if not any(fnmatchcase(u, door) for door in DOORS[tool])} == set()


@pytest.mark.parametrize("command", tree.commands())
def test_loading_a_stage_runs_no_import_of_a_tool(command: str) -> None:
    """A module that needs a tool at its top, as validate's suites do, is itself imported late."""
    at_once = tree.reached(tree.entry(command), inside_functions=False)
    assert {n: found for n in at_once if (found := _tools(n, inside_functions=False))} == {}


def test_the_help_loads_no_tool_and_no_data_library() -> None:
    assert (
        _loaded_after(
            "import pipeline.__main__ as door\ntry: door.main(['--help'])\n"
            "except SystemExit: pass\nassert not {'numpy', 'pandas', 'pydantic'} & set(sys.modules)"
        )
        == set()
    )


def test_every_stage_loads_without_its_tools() -> None:
    assert (
        _loaded_after(
            "import pkgutil\nfrom pipeline.__main__ import STAGES\n"
            "assert all(callable(pkgutil.resolve_name(target)) for target in STAGES.values())"
        )
        == set()
    )
