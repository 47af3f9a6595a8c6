"""Every regular expression that the project's code runs, found in its syntax trees."""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from tests.rules import tree

FOLDERS = ("pipeline/", "docs/", "benchmarks/", ".ci/")
"""What reads other people's text. Tests and drills read the words of a command that they ran."""
RUNS = {
    **dict.fromkeys(("sub", "subn", "findall", "finditer", "split"), "findall"),
    **{name: name for name in ("search", "match", "fullmatch")},
}
_WEAKEST = ["findall", "search", "match", "fullmatch"]


@dataclass(frozen=True)
class Used:
    """A pattern, its flags and how it is run; `text` is None where only a run of the code tells."""

    file: str
    source: str
    text: str | bytes | None
    flags: int
    how: str


@cache
def module(name: str) -> ModuleType:
    """A file of the project, imported."""
    dotted = tree.module_of(name)
    if dotted in sys.modules:
        return sys.modules[dotted]
    if not name.startswith("."):
        return importlib.import_module(dotted)
    spec = importlib.util.spec_from_file_location("outside", tree.ROOT / name)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def used() -> Iterator[Used]:
    """Every pattern that is given to `re`, to a text column of pandas, or to a check of values."""
    for name in tree.files():
        if name.startswith(FOLDERS) and name.endswith(".py"):
            for node in ast.walk(tree.parsed(name)):
                if isinstance(node, ast.Call) and _of(node, "re") in {*RUNS, "compile"}:
                    yield _used(name, node, _of(node, "re"))
                elif isinstance(node, ast.Call) and _of(node, "str") in _OF_PANDAS:
                    yield _used(name, node, _OF_PANDAS[_of(node, "str")])
                elif isinstance(node, ast.keyword) and node.arg in ("pattern", "regex"):
                    text = _value(name, node.value)
                    if isinstance(text, str):
                        yield Used(name, ast.unparse(node.value), text, 0, "search")


_OF_PANDAS = {name: name for name in ("match", "fullmatch", "findall", "split")} | {
    "contains": "search",
    "extract": "search",
    "extractall": "findall",
}


def _of(call: ast.Call, owner: str) -> str:
    """The function that is called, if it is one of `re` or one of a column's `str`."""
    of = call.func
    if not isinstance(of, ast.Attribute):
        return ""
    name = of.value.id if isinstance(of.value, ast.Name) else getattr(of.value, "attr", "")
    return of.attr if name == owner else ""


def _used(name: str, call: ast.Call, function: str) -> Used:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    place = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(function, 2)
    flags = given.get("flags", call.args[place] if len(call.args) > place else None)
    how = RUNS.get(function) or _run_of_compiled(name, call)
    value = int(_value(name, flags) or 0) if flags is not None else 0
    return Used(name, ast.unparse(call.args[0]), _value(name, call.args[0]), value, how)


def _value(name: str, node: ast.AST) -> Any:
    """What an expression comes to in its module; what a function fills in, is a letter here."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    known = vars(module(name)) if names - {"re"} else {"re": re}
    parts = _Filled(known).visit(ast.parse(ast.unparse(node), mode="eval"))
    try:
        return eval(compile(ast.fix_missing_locations(parts), name, "eval"), dict(known))
    except NameError:
        return None


class _Filled(ast.NodeTransformer):
    """Puts a letter where a pattern is filled with a value that only a function knows."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        return node if names <= set(self.known) else ast.Constant("x")


def _run_of_compiled(name: str, call: ast.Call) -> str:
    """How a compiled pattern is run: the costliest way in which any code uses its name."""
    for node in ast.walk(tree.parsed(name)):
        if isinstance(node, ast.Assign) and node.value is call:
            own = ast.unparse(node.targets[0])
            found = {
                RUNS[method]
                for file in tree.files()
                if file.endswith(".py")
                for method in re.findall(rf"\b{own}\.(\w+)\(", tree.read(file))
                if method in RUNS
            }
            return next((how for how in _WEAKEST if how in found), "findall")
    return "findall"
