"""What a drill changes stands where it expects it: a drill that is stale shows nothing."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exercises import matrix
from exercises.drill import drills
from tests.rules import tree
from tests.rules.patterns import module

DOTTED = re.compile(r"\b(?!configs)[a-z_]+(?:\.(?!yaml)[A-Za-z_]+)+")
_HARMLESS = {"replace", "format", "join"}


def _value(node: ast.expr, known: dict[str, object]) -> object:
    """What an expression comes to that calls nothing but methods of text."""
    calls = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    if any(not isinstance(f, ast.Attribute) or f.attr not in _HARMLESS for f in calls):
        raise ValueError(ast.unparse(node))
    return eval(compile(ast.Expression(node), "drill", "eval"), dict(known))


def _changes() -> Iterator[tuple[str, Path, str]]:
    """Each drill's function, the file it changes, and what it expects there exactly once."""
    for file in (
        n for n in tree.files() if n.startswith("exercises/drills/") and n.endswith(".py")
    ):
        known = vars(module(file)) | {"folder": tree.ROOT}
        functions = (n for n in ast.walk(tree.parsed(file)) if isinstance(n, ast.FunctionDef))
        for function in functions:
            local = dict(known)
            for node in ast.walk(function):
                try:
                    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                        local[node.targets[0].id] = _value(node.value, local)
                    elif isinstance(node, ast.Call):
                        for place, before in _replaced(node):
                            path, old = Path(str(_value(place, local))), _value(before, local)
                            yield (
                                f"{tree.module_of(file)}.{function.name}",
                                tree.ROOT / path,
                                str(old),
                            )
                except (ValueError, NameError, TypeError):  # only a run of the drill knows it
                    continue


def _replaced(call: ast.Call) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The file and the text that a call replaces, itself or by a tuple that it is given."""
    if ast.unparse(call.func) == "replace_once":
        yield call.args[0], call.args[1]
    for given in call.args:
        if isinstance(given, ast.Tuple) and len(given.elts) == 3:
            yield given.elts[0], given.elts[1]


CHANGES = list(_changes())


@pytest.mark.parametrize(("name", "path", "old"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_what_a_drill_replaces_stands_there_once(name: str, path: Path, old: str) -> None:
    assert path.read_text(encoding="utf-8").count(old) == 1, f"{name}: {path.name}: {old!r}"


def test_most_changes_are_known_without_a_run() -> None:
    assert len(CHANGES) >= 30


@pytest.mark.parametrize("drill", drills().values(), ids=lambda drill: drill.slug)
def test_a_guard_names_code_that_there_is(drill):
    missing = [name for name in DOTTED.findall(drill.guard) if not _is_known(name)]
    assert missing == []


def _is_known(dotted: str) -> bool:
    """Whether a path of a module, and of what stands in it, leads somewhere."""
    parts = ["pipeline", *dotted.split(".")]
    for end in range(len(parts), 1, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def test_scratch_copies_live_in_memory_only_where_there_is_room(tmp_path):
    assert matrix.roomy(tmp_path, 0, "otherwise") == str(tmp_path)
    assert matrix.roomy(tmp_path, 2**80, "otherwise") == "otherwise"
    assert matrix.roomy(tmp_path / "none", 0, "otherwise") == "otherwise"
