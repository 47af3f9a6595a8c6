"""Where a symbol stands in the code: file, line and what it does, read and not imported.

Python alone reads them, without an environment: importing the code would take seconds.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from pathlib import Path

from docs.pages import ROOT


def place(symbol: str) -> str:
    """Where a symbol such as "pipeline.registry.model:load" stands: file:line, and what.

    The source is read and not imported: that would take seconds.
    """
    path, node = _found(symbol)
    line, doc = _first_line(node), _said_below(path, node)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        doc = ast.get_docstring(node) or ""
    doc = doc.split("\n\n")[0].replace("\n", " ")
    return f"{path.relative_to(ROOT)}:{line}  {doc}".rstrip()


def source(symbol: str) -> list[str]:
    """The lines of a symbol's statement, or of its module."""
    path, node = _found(symbol)
    last = None if isinstance(node, ast.Module) else node.end_lineno
    lines = path.read_text(encoding="utf-8").splitlines()[_first_line(node) - 1 : last]
    return textwrap.dedent("\n".join(lines)).splitlines()


def _said_below(path: Path, node: ast.AST) -> str:
    """The text that stands below a constant and explains it; empty if none does."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    after = next(
        (two for one, two in pairwise(body) if one.lineno == getattr(node, "lineno", 0)), None
    )
    text = getattr(getattr(after, "value", None), "value", None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def _first_line(node: ast.Module | ast.stmt) -> int:
    if isinstance(node, ast.Module):
        return 1
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _found(symbol: str) -> tuple[Path, ast.Module | ast.stmt]:
    """A symbol's file and its statement there, where it is made and not where it is passed on."""
    module, _, name = symbol.partition(":")
    path = ROOT / module.replace(".", "/")
    package = path / "__init__.py"  # a folder without it may be left of an earlier version
    path = package if package.is_file() else path.with_suffix(".py")
    node: ast.Module | ast.stmt = ast.parse(path.read_text(encoding="utf-8"))
    for part in filter(None, name.split(".")):
        node = next(one for one in getattr(node, "body", []) if part in _names(one))
        if isinstance(node, ast.ImportFrom):
            made = next(one.name for one in node.names if part in (one.name, one.asname))
            return _found(f"{node.module}:{made}")
    return path, node


def _names(node: ast.stmt) -> list[str]:
    """What a statement gives a name to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [one.asname or one.name for one in node.names]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [one.id for one in targets if isinstance(one, ast.Name)]
