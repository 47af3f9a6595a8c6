"""One word per thing: a public name of pipeline/ and simulation/ stands in one module.

It may stand in more of them where it is the same thing, such as what each use case gives, or where
callers always say whose it is: `release.read`. Any other has a reason in EXCEPTIONS.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache

from tests.rules import tree

EXCEPTIONS = {
    "FEATURES": "a stage's folder is its name in capitals; train.py names the inputs so",
    "SERVICE": "train.py names the service's file so, and onnx_export.py its version",
}
"""Names that stand twice and are neither, and why: the text of training is in a model's recipe."""
RECIPE = [n for n in tree.code() if n == "pipeline/train.py" or n.startswith("pipeline/models/")]
"""The files that a model's recipe has the digest of, so that no name in them changes."""
CASES = {*tree.use_cases(), "usecase"}
"""The folders of use cases, and the one that says which of them this checkout serves."""

Homes = dict[str, ast.stmt]
"""The files that give a name to something, each with its first statement that does."""


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under a condition included."""
    for one in body:
        yield one
        if isinstance(one, ast.If | ast.Try):
            handlers = [handler.body for handler in getattr(one, "handlers", [])]
            for block in [one.body, one.orelse, *handlers]:
                yield from _statements(block)


def _given(statement: ast.stmt) -> set[str]:
    """The names that a statement gives to its module; what it imports is another's."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {statement.name}
    targets = [getattr(statement, "target", None), *getattr(statement, "targets", [])]
    parts = [node for target in targets if target is not None for node in ast.walk(target)]
    return {node.id for node in parts if isinstance(node, ast.Name)}


@cache
def _names() -> dict[str, Homes]:
    """Every public name with its homes."""
    found: dict[str, Homes] = defaultdict(dict)
    for file in tree.code():
        if file.startswith(("pipeline/", "simulation/")):
            for statement in _statements(tree.parsed(file).body):
                for name in _given(statement):
                    if not name.startswith("_"):
                        found[name].setdefault(file, statement)
    return found


@cache
def _takers(module: str) -> list[str]:
    """The files that import names out of a module; those of the recipe stay as they are."""
    start = f"from {module} import "
    files = [name for name in tree.files() if name.endswith(".py") and name not in RECIPE]
    return [name for name in files if start in tree.read(name)]


@cache
def _pinned() -> set[str]:
    """What the files of the recipe give, import, or name through a module, as dotted names."""
    found = {f"{tree.module_of(f)}.{n}" for n, homes in _names().items() for f in homes}
    found = {dotted for dotted in found if any(dotted.startswith(_dot(f)) for f in RECIPE)}
    for file in RECIPE:
        nodes = list(ast.walk(tree.parsed(file)))
        modules = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        through = [node for node in nodes if isinstance(node, ast.Attribute)]
        found |= {f"{modules.get(ast.unparse(n.value), '')}.{n.attr}" for n in through}
        found |= tree.imported(file)
    return found


def _dot(file: str) -> str:
    return f"{tree.module_of(file)}."


def _is_by_convention(name: str, homes: Homes) -> bool:
    """`run` is a stage's command, `main` that of a file that is run; both stand in many."""
    starts = {target for target in tree.commands().values() if target.endswith(":run")}
    if name == "run":
        return all(f"{tree.module_of(f)}:run" in starts or _is_apart(name, f) for f in homes)
    return name == "main" and all(
        file.endswith("/__main__.py") or 'if __name__ == "__main__":' in tree.read(file)
        for file in homes
    )


def _is_of_use_cases(name: str, homes: Homes) -> bool:
    """Each use case gives it once, and at most one module besides passes the chosen one's on."""
    of = {file: file.split("/")[1] for file in homes}
    once = Counter(folder for folder in of.values() if folder in CASES)
    others = [file for file, folder in of.items() if folder not in CASES]
    passed = all(_passes_on(file, homes[file]) for file in others)
    return bool(once) and max(once.values()) == 1 and len(others) <= 1 and passed


def _passes_on(file: str, statement: ast.stmt) -> bool:
    """Whether a module takes a value from USECASE, or from a part of it that it has named."""
    parts = re.findall(r"^(_\w+) = USECASE\b", tree.read(file), re.MULTILINE)
    value = getattr(statement, "value", None)
    used = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} if value else set()
    return bool(used & {"USECASE", *parts})


def _is_said_with_its_module(name: str, homes: Homes) -> bool:
    """A verb, of one word, that no file imports by itself: `release.read`, `runs.append`."""
    functions = all(isinstance(one, ast.FunctionDef) for one in homes.values())
    return functions and "_" not in name and all(_is_apart(name, file) for file in homes)


def _is_apart(name: str, file: str) -> bool:
    """Whether no file takes it out of its module, or training does and so pins it."""
    module = tree.module_of(file)
    dotted = f"{module}.{name}"
    taken = any(dotted in tree.imported(one) for one in _takers(module))
    return dotted in _pinned() or not taken


def _unexplained() -> dict[str, list[str]]:
    """The names that stand in several modules for different things, with these."""
    reasons = (_is_by_convention, _is_of_use_cases, _is_said_with_its_module)
    return {
        name: sorted(homes)
        for name, homes in _names().items()
        if len(homes) > 1 and not any(reason(name, homes) for reason in reasons)
    }


def test_a_public_name_stands_in_one_module() -> None:
    """Another one says more: `find_damage`; what only its module needs is private: `_LOCK`."""
    found = _unexplained()
    assert {name: files for name, files in found.items() if name not in EXCEPTIONS} == {}


def test_an_exception_is_still_needed() -> None:
    assert set(EXCEPTIONS) - set(_unexplained()) == set()


def test_a_class_stands_once() -> None:
    """Also in use cases, of which only one is served: their classes are in its API's schema."""
    found = Counter(
        name
        for name, homes in _names().items()
        for statement in homes.values()
        if isinstance(statement, ast.ClassDef)
    )
    assert [name for name, count in found.items() if count > 1] == []


def test_a_verb_is_said_with_its_module_only_if_every_file_says_so() -> None:
    assert _is_apart("read", "pipeline/registry/release.py")
    assert not _is_apart("load_from", "pipeline/shared/config/loading.py")
    assert _is_apart("load", "pipeline/shared/config/loading.py"), "train.py imports it"
