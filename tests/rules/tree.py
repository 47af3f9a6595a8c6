"""The repository as the rules read it: git's files, the map, the graph, the targets, the imports.

Everything is read as text (ast, YAML, regular expressions), so that no rule loads a heavy tool.
"""

import ast
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.shared import git, yaml_files

ROOT = Path(__file__).parents[2]
INNER_TARGETS = {"checkout": "asked for by other targets, never by people"}


@cache
def files() -> list[str]:
    """What git holds, and what it would take up with `git add -A`."""
    listed = git.run(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted(n for n in set(os.fsdecode(listed).split("\0")) if n and (ROOT / n).is_file())


@cache
def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def load(name: str) -> Any:
    return yaml_files.parse(read(name))


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(read(name), name)


def stages() -> list[str]:
    """The map: the first word of each line of pipeline/__init__.py's docstring that is a row."""
    text = ast.get_docstring(parsed("pipeline/__init__.py")) or ""
    return re.findall(r"^([a-z]+) {2,}\S.*->", text, re.MULTILINE)


def commands() -> dict[str, str]:
    from simulation.__main__ import COMMANDS

    return COMMANDS


@cache
def targets() -> dict[str, str]:
    """Each target of the Makefile that is words, with its `## text` or an empty one."""
    found = re.findall(r"^([a-z]+(?:-[a-z]+)*):(?!=)([^\n]*)", read("Makefile"), re.MULTILINE)
    return {name: rest.partition("## ")[2] for name, rest in found}


def offered() -> set[str]:
    """Each command as it is typed after `make`: the targets, and every benchmark."""
    from benchmarks.__main__ import benchmarks

    return {*targets(), *(f"measure M={name}" for name in benchmarks())}


def data_folders() -> dict[str, str]:
    """The constants that are folders below data/, by name: of contracts.py, and of a stage alone.

    A folder that no other stage reads is named by its own stage: a change of contracts.py would run
    the whole graph again.
    """
    names = ["pipeline/shared/contracts.py", *(n for stage in stages() for n in sorted(own(stage)))]
    found = [re.findall(r'^([A-Z]+) = Path\("(data/\w+)"\)', read(n), re.MULTILINE) for n in names]
    return dict(pair for pairs in found for pair in pairs)


@cache
def graph() -> dict[str, dict[str, Any]]:
    return load("dvc.yaml")["stages"]


def paths(entries: list[Any]) -> list[str]:
    """The paths of a list in dvc.yaml, where an entry is a path or a path with its settings."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outs(stage: dict[str, Any]) -> list[str]:
    return paths([e for kind in ("outs", "metrics", "plots") for e in stage.get(kind, [])])


def covers(parent: str, path: str) -> bool:
    """Whether a path is this one or lies below it."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


@cache
def deployed() -> list[str]:
    return [name for name in code() if name.startswith("pipeline/")]


@cache
def code() -> list[str]:
    return [name for name in files() if re.fullmatch(r"(pipeline|simulation|cockpit)/.+\.py", name)]


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def _modules() -> dict[str, str]:
    return {module_of(name): name for name in code()}


def file_of(module: str) -> str:
    return _modules()[module]


def nodes(tree: ast.AST, inside_functions: bool = True) -> Iterator[ast.AST]:
    """Every node; without those inside functions, what runs when the module is imported."""
    for child in ast.iter_child_nodes(tree):
        yield child
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if inside_functions or not (late or for_types):
            yield from nodes(child, inside_functions)


@cache
def imported(name: str, inside_functions: bool = True) -> set[str]:
    """What a file imports, as dotted names: `from a import b` gives a and a.b."""
    found: set[str] = set()
    package = module_of(name).split(".")
    if not name.endswith("/__init__.py"):
        package = package[:-1]
    for node in nodes(parsed(name), inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            found |= {start} | {f"{start}.{alias.name}" for alias in node.names}
    return found


@cache
def imported_files(name: str, inside_functions: bool = True) -> set[str]:
    """The files of pipeline/ that a file's imports run, those of the packages above included."""
    found = set()
    for dotted in imported(name, inside_functions):
        parts = dotted.split(".")
        above = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        found |= {_modules()[module] for module in above if module in _modules()}
    return found


def reached(
    starts: set[str], inside_functions: bool = True, without: frozenset[str] = frozenset()
) -> set[str]:
    """The files of pipeline/ reached from some of them, not looking behind those in `without`."""
    found: set[str] = set()
    waiting = set(starts)
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name not in without:
            waiting |= imported_files(name, inside_functions) - found
    return found


def templates(names: set[str]) -> set[str]:
    """The templates that some files name, and those that these extend or import.

    One of pipeline/ is named from there; the first folder tells it from a page that code writes.
    """
    roots = {name.split("/")[1]: "pipeline/" for name in deployed()}
    roots |= {"simulation": "", "cockpit": ""}
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        named = re.findall(r'"(\w+)(/(?:\w+/)*\w+\.(?:html|md|txt))"', read(waiting.pop()))
        new = {f"{roots[top]}{top}{path}" for top, path in named if top in roots} - found
        found, waiting = found | new, waiting | new
    return found


def entry(stage: str) -> set[str]:
    """The files that are loaded to run a command: its module, and the packages above it."""
    parts = commands()[stage].partition(":")[0].split(".")
    return {file_of(".".join(parts[:n])) for n in range(1, len(parts) + 1)}


@cache
def use_cases() -> list[str]:
    """The folders of pipeline/ that state a use case."""
    return [n.split("/")[1] for n in files() if re.fullmatch(r"pipeline/\w+/usecase\.py", n)]


@cache
def other_use_cases() -> frozenset[str]:
    """The files of the use cases that configs/usecase.yaml does not name."""
    mine = load("configs/usecase.yaml")["name"]
    mine = mine if mine in use_cases() else "tabular"  # which reads the declaration of another
    others = {name for name in use_cases() if name != mine}
    return frozenset(name for name in code() if name.split("/")[1] in others)


def own(stage: str) -> set[str]:
    """A stage's own files."""
    return {name for name in code() if re.match(rf"pipeline/{stage}(/|\.py$)", name)}


def each(things: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Make one test of a rule that holds for each of many things; it names all that break it.

    A test for each file of each rule spends more time on being a test than on its rule.
    """

    def decorate(rule: Callable[..., None]) -> Callable[[], None]:
        def of_all() -> None:
            broken = []
            for thing in things:
                try:
                    rule(*thing) if isinstance(thing, tuple) else rule(thing)
                except AssertionError as error:
                    broken.append(f"{thing}: {error}")
            assert not broken, "\n\n".join([f"{len(broken)} break it", *broken])

        for name in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(of_all, name, getattr(rule, name))
        return of_all

    return decorate


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what an outer make or git hook left in it."""
    outer = ("MAKE", "MFLAGS")
    kept = {k: v for k, v in git.environment().items() if not k.startswith(outer)}
    return kept | changes
