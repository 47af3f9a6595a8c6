"""Law 9, plain words: a name says a result or an action, a docstring's subject is a noun."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.rules import tree

PARTICIPLES = set(
    "told shown found asked lived looked mended begun answered served judged drawn taken kept held "
    "sealed known given said seen met put gained received loaded moved opened ended".split()
)
"""Names of functions that say neither a result nor an action."""
PRIVATE = {"keeper", "desk", "envelope", "tripwires", "tripwire", "papers"}
"""Words of this project alone where the field has its own: docs/answers speak the field's."""
SUBJECT = re.compile(r"(?:Who|Whoever|Whatever|That which|What)\b")
BUDGET = {"names": 0, "words": 2, "subjects": 0}
"""How many are left; they may only become fewer."""


def _definitions() -> Iterator[tuple[str, ast.AST]]:
    for name in tree.code():
        for node in ast.walk(tree.parsed(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                yield name, node


def _words(name: str) -> list[str]:
    """The words of a name in snake or camel case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def test_no_function_is_named_by_a_bare_participle() -> None:
    found = [
        f"{name}: {node.name}"
        for name, node in _definitions()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.strip("_").lower() in PARTICIPLES
    ]
    assert len(found) <= BUDGET["names"], found


def test_names_use_the_fields_words() -> None:
    found = [
        f"{name}: {node.name}"
        for name, node in _definitions()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and set(_words(node.name)) & PRIVATE
    ]
    assert len(found) <= BUDGET["words"], found


def test_the_subject_of_a_docstring_is_a_noun() -> None:
    found = [
        f"{name}: {text.splitlines()[0]}"
        for name, node in _definitions()
        if (text := ast.get_docstring(node)) and SUBJECT.match(text)  # type: ignore[arg-type]
    ]
    assert len(found) <= BUDGET["subjects"], found


@pytest.mark.parametrize("word", sorted(PARTICIPLES))
def test_a_participle_that_stands_alone_would_be_found(word: str) -> None:
    assert _words(f"_{word}") == [word]
