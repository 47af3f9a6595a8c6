"""Edits of a tree: bodies blanked, functions replaced, texts replaced, files written."""

import ast
import textwrap
from collections.abc import Iterable
from pathlib import Path

from exercises.workbench.catalogue import Edit, Exercise
from exercises.workbench.modules import load
from pipeline.shared.errors import ArtifactTampered

NOT_WRITTEN = 'raise NotImplementedError("not written yet")'
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def apply(edits: Iterable[Edit], tree: Path, exercise: Exercise) -> None:
    """Change the files of a tree; a file is replaced and never written into.

    Raises:
        ArtifactTampered: an edit does not fit the tree: main has changed, and it has not.
    """
    for edit in edits:
        path = tree / edit.file
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        after = changed(before, edit, exercise)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a link to main's
        path.write_text(after, encoding="utf-8")


def changed(text: str, edit: Edit, exercise: Exercise) -> str:
    """A file's text after an edit.

    Raises:
        ArtifactTampered: the edit does not fit it.
    """
    if edit.text is not None:
        return edit.text
    if edit.source is not None:
        return (exercise.folder / edit.source).read_text(encoding="utf-8")
    if edit.made:
        return str(load(exercise.folder / "evidence.py").files()[edit.file])
    if edit.old is not None and edit.new is not None:
        return _replaced(text, edit, exercise)
    if edit.code is not None:
        return _with_definitions(text, edit, exercise)
    for name in edit.blank:
        text = _blanked(text, name, edit, exercise)
    return text


def _replaced(text: str, edit: Edit, exercise: Exercise) -> str:
    assert edit.old is not None
    assert edit.new is not None
    if (count := text.count(edit.old)) != 1:
        raise _stale(edit, exercise, f"holds {edit.old[:60]!r} {count} times, wanted is once")
    return text.replace(edit.old, edit.new)


def definitions(text: str) -> dict[str, Definition]:
    """The functions and classes of a module by name, a class's as "Class.name"."""
    found: dict[str, Definition] = {}
    for node in ast.parse(text).body:
        if isinstance(node, Definition):
            found[node.name] = node
            if isinstance(node, ast.ClassDef):
                inner = (one for one in node.body if isinstance(one, Definition))
                found |= {f"{node.name}.{one.name}": one for one in inner}
    return found


def lines_of(node: Definition) -> tuple[int, int]:
    """The first and last line of a definition, its decorators included."""
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return first, node.end_lineno or node.lineno


def source(text: str, name: str) -> str:
    """The source of a function or class of a module."""
    first, last = lines_of(definitions(text)[name])
    return "".join(text.splitlines(keepends=True)[first - 1 : last])


def _blanked(text: str, name: str, edit: Edit, exercise: Exercise) -> str:
    """Leave signature and docstring of a function, and an empty body."""
    node = definitions(text).get(name)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise _stale(edit, exercise, f"has no function {name}")
    has_words = ast.get_docstring(node) is not None
    body = node.body[1:] if has_words else node.body
    lines = text.splitlines(keepends=True)
    indent = " " * node.body[0].col_offset
    first = (node.body[0].end_lineno or 0) + 1 if has_words else node.body[0].lineno
    last = (body[-1] if body else node).end_lineno or 0
    kept, after = lines[: first - 1], lines[last:]
    return "".join([*kept, f"{indent}{NOT_WRITTEN}\n", *after])


def _with_definitions(text: str, edit: Edit, exercise: Exercise) -> str:
    """Replace functions and classes by those of the same name; others are added at the end."""
    code = textwrap.dedent(edit.code or "")
    known = definitions(text)
    new = {name: source(code, name) for name in definitions(code) if "." not in name}
    lines = text.splitlines(keepends=True)
    for name in sorted(new.keys() & known.keys(), key=lambda one: -known[one].lineno):
        first, last = lines_of(known[name])
        lines[first - 1 : last] = [new[name]]
    added = [f"\n\n{new[name]}" for name in new if name not in known]
    if not new:
        raise _stale(edit, exercise, "gets no function")
    return "".join([*lines, *added])


def _stale(edit: Edit, exercise: Exercise, what: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"exercise {exercise.slug} is older than main: {edit.file} {what}; correct "
        f"exercises/{exercise.topic}/{exercise.slug}/exercise.toml"
    )
