"""The checks that a handout shows: all but the hidden ones and what only those use."""

import ast
import re

from exercises.workbench import judge
from exercises.workbench.catalogue import Exercise


def visible(exercise: Exercise) -> str:
    """The checks of an exercise without the hidden ones, and without what only those use."""
    text = exercise.checks.read_text(encoding="utf-8")
    hidden = {one.__name__ for one in judge.checks(exercise.checks) if one.hidden}  # type: ignore[attr-defined]
    text = _without(text, hidden)
    while unused := _unused(text):
        text = _without(text, unused)
    text = text.replace("from exercises.workbench.checking import", "from checking import")
    return _without_imports(text)


def _without(text: str, names: set[str]) -> str:
    """A module without some functions and constants."""
    lines = text.splitlines(keepends=True)
    for node in reversed(ast.parse(text).body):
        if set(_bound(node)) & names:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            del lines[first - 1 : node.end_lineno]
    return re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).rstrip() + "\n"


def _without_imports(text: str) -> str:
    """A module without the imports at its top that nothing uses."""
    tree, lines = ast.parse(text), text.splitlines(keepends=True)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in reversed(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in used]
            if len(kept) < len(node.names):
                node.names = kept
                new = [f"{ast.unparse(node)}\n"] if kept else []
                lines[node.lineno - 1 : node.end_lineno] = new
    return re.sub(r'"""\n\n\n+', '"""\n\n', "".join(lines), count=1)


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module gives."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _unused(text: str) -> set[str]:
    """The functions and constants that nothing uses, checks apart."""
    tree = ast.parse(text)
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Name) and isinstance(node.ctx, ast.Load)
    }
    given = {name for node in tree.body for name in _bound(node)}
    return {name for name in given - used if not name.startswith("test_")}
