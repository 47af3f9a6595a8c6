"""A training script or a notebook, read as text and never run: its target and its model."""

import ast
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.adopt.recipe import KINDS, Recipe
from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.tabular.declaration import identifier

_MAX_BYTES = 5_000_000
_CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*\n?")
_OF_PYTHON = ("capture", "time", "timeit", "prun")
"""Cell magics whose cell is Python."""
_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\s*=\s*[%!].*|[\w.]+\?+\s*)$")


@dataclass
class ScriptFindings:
    """The findings in a file, each with its line: target, dropped columns, estimator.

    `targets` are all names that a target can be, each with its line; `target` is the chosen one.
    """

    file: str
    target: str | None = None
    targets: list[tuple[str, int]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    recipe: Recipe | None = None
    found: list[str] = field(default_factory=list)

    def choose_target(self, columns: Collection[str]) -> None:
        """Choose the first target that is one of a table's columns; else the first of all."""
        there = [one for one in self.targets if identifier(one[0]) in columns]
        for name, line in (there or self.targets)[:1]:
            self.target = name
            self.found.append(f"line {line}: the target is `{name}`")


def find(folder: Path) -> Path | None:
    """The only script or notebook in a folder, if there is one.

    Raises:
        AdoptionRefused: there are several.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix in (".py", ".ipynb") and p.is_file())
    if len(files) > 1:
        raise AdoptionRefused(
            f"{folder} holds {len(files)} scripts or notebooks "
            f"({', '.join(path.name for path in files[:5])}), at most 1 is read: keep the one that "
            f"trains the model; `ls {shell_quote(folder)}`"
        )
    return files[0] if files else None


def read(path: Path, columns: Collection[str] = ()) -> ScriptFindings:
    """Find a file's target, which is best one of `columns`, dropped columns and estimator.

    Raises:
        AdoptionRefused: it is no Python, or no notebook.
    """
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise _refuse(
            path, f"has {size:,} bytes, at most {_MAX_BYTES:,} are read: clear its outputs"
        )
    said = ScriptFindings(path.name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        trees = _cells(text, said.found) if path.suffix == ".ipynb" else [ast.parse(text)]
    except (SyntaxError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        kind = "notebook" if path.suffix == ".ipynb" else "Python"
        raise _refuse(
            path,
            f"is no {kind} of {size:,} bytes: {type(error).__name__} in line {line}: move it away",
        ) from error
    nodes = [node for tree in trees for node in _in_order(tree)]
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in nodes:
        _read_node(node, names, said)
    said.choose_target(columns)
    return said


def _in_order(tree: ast.AST) -> list[ast.AST]:
    return sorted(ast.walk(tree), key=lambda one: getattr(one, "lineno", 0))


def _refuse(path: Path, what: str) -> AdoptionRefused:
    return AdoptionRefused(f"{path.name} {what}; `head -c 300 {shell_quote(path)}` shows it")


def _cells(text: str, found: list[str]) -> list[ast.Module]:
    """The code of a notebook, cell by cell; a cell that is no Python is left out, and noted.

    Lines that are IPython's own become `pass`; a cell in another language is empty. Lines are
    counted through all cells.
    """
    notebook: Any = json.loads(text)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    trees, begins = [], 0
    for number, cell in enumerate(cells, 1):
        try:
            trees.append(ast.parse("\n" * begins + _without_magics(cell)))
        except (SyntaxError, ValueError):
            found.append(f"code cell {number} is no Python, left out")
        begins += len(cell.splitlines())
    if cells and not trees:
        raise SyntaxError(f"0 of {len(cells)} code cells are Python")
    return trees


def _without_magics(cell: str) -> str:
    """A cell's Python; a line that is IPython's own is `pass`, so that a block has a body."""
    if magic := _CELL_MAGIC.match(cell):
        cell = f"\n{cell[magic.end() :]}" if magic[1] in _OF_PYTHON else ""
    lines: list[str] = []
    goes_on = False
    for line in cell.splitlines():
        own = goes_on or _MAGIC.match(line) is not None
        indented = line[: len(line) - len(line.lstrip())]
        lines.append("" if goes_on else f"{indented}pass" if own else line)
        goes_on = own and line.rstrip().endswith("\\")
    return "\n".join(lines)


def _read_node(node: ast.AST, names: dict[str, str], said: ScriptFindings) -> None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        _read_target(node.targets[0], node.value, said)
    if isinstance(node, ast.Call):
        _read_drop(node, said)
        _read_estimator(node, names, said)


def _read_target(name: ast.expr, value: ast.expr, said: ScriptFindings) -> None:
    """`y = df["churned"]`, `y = df.churned`, `y = df.pop("churned")`, `target = "churned"`."""
    called = name.id.lower() if isinstance(name, ast.Name) else ""
    if called not in ("y", "target", "label", "labels", "target_column", "label_column"):
        return
    while isinstance(value, ast.Call | ast.Compare) or (
        isinstance(value, ast.Attribute) and value.attr in ("values", "str")
    ):
        if isinstance(value, ast.Call) and ast.unparse(value.func).endswith(".pop"):
            value = value.args[0] if value.args else ast.Constant(None)
            break
        value = value.left if isinstance(value, ast.Compare) else _inner(value)
    column = value.attr if isinstance(value, ast.Attribute) else _text(value)
    if isinstance(value, ast.Subscript):
        column = _text(value.slice)
    if column:
        said.targets.append((column, name.lineno))


def _inner(value: ast.Call | ast.Attribute) -> ast.expr:
    """The expression that a method or an attribute is of."""
    if isinstance(value, ast.Attribute):
        return value.value
    return value.func.value if isinstance(value.func, ast.Attribute) else ast.Constant(None)


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _read_drop(call: ast.Call, said: ScriptFindings) -> None:
    """`df.drop(columns=["id"])`, `df.drop(["id"], axis=1)`, `df.drop("id", axis=1)`."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "drop"):
        return
    words = {word.arg: word.value for word in call.keywords}
    axis = words.get("axis")
    in_columns = isinstance(axis, ast.Constant) and axis.value in (1, "columns")
    given = words.get("columns") or (call.args[0] if call.args and in_columns else None)
    parts = given.elts if isinstance(given, ast.List | ast.Tuple) else [given] if given else []
    columns = [text for part in parts if (text := _text(part))]
    said.dropped += [column for column in columns if column not in said.dropped]
    if columns:
        said.found.append(f"line {call.lineno}: leaves out {', '.join(columns)}")


def _read_estimator(call: ast.Call, names: dict[str, str], said: ScriptFindings) -> None:
    """The first classifier that is made; arguments that are no plain values are left out."""
    called = ast.unparse(call.func).split(".")[-1]
    kind = names.get(called, called)
    if kind in ("StandardScaler", "MinMaxScaler", "RobustScaler"):
        said.found.append(
            f"line {call.lineno}: scales by {kind}; inputs of linear models are scaled"
        )
    if not kind.endswith(("Classifier", "Regression", "NB", "SVC", "Regressor")):
        return
    if kind not in KINDS:
        said.found.append(f"line {call.lineno}: {kind} is not taken over: no kind with a converter")
        return
    arguments: dict[str, Any] = {}
    for word in call.keywords:
        try:
            arguments[str(word.arg)] = ast.literal_eval(word.value)
        except ValueError:
            said.found.append(
                f"line {call.lineno}: {word.arg} of {kind} is no plain value: left out"
            )
    if said.recipe is None:
        said.recipe = Recipe(kind, arguments)
        said.found.append(f"line {call.lineno}: the model is {said.recipe.call}")
