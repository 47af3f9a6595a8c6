"""The handout of an exercise: a tree without history, answers, solutions or hidden checks.

It holds the files that the exercise's code imports and nothing else, installs what they import, and
runs on its own.
"""

import ast
import importlib.metadata
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from exercises.workbench import checking, edits, trees
from exercises.workbench.catalogue import ROOT, Edit, Exercise
from exercises.workbench.pruning import Pruning
from exercises.workbench.rubric import rubric
from exercises.workbench.visible import visible
from pipeline.shared.errors import UsageError, shell_quote
from pipeline.shared.files import bytes_hash, members, storage_failure
from pipeline.shared.pages import render

TOOLS = ("pytest", "ruff", "mypy")
"""What a handout installs beside what its code imports."""
NAMESPACES = {"google": "protobuf"}
"""The package of a module's root that several packages share."""
STUBS = {"pandas": "pandas-stubs", "yaml": "types-PyYAML"}
"""The types of packages that ship none."""
NOTES = "NOTES.md"
_TARGET = re.compile(r"\b((?:pipeline|simulation)[.\w]*):(\w+)")
_CALLED = re.compile(r"\bsubject\.(\w+)")
_CONFIG = re.compile(r"configs/[a-z/_]{1,40}[.]ya?ml")
_USECASE = "configs/usecase.yaml"
"""The config that is read where a module is loaded, and so named by no check."""
_TEMPLATES = Path(__file__).parent / "templates"


class HandoutRefused(UsageError):
    """A handout cannot be written where it was asked for."""


def handout(exercise: Exercise, to: Path) -> int:
    """Write the handout of an exercise into a new folder; returns its number of lines of code.

    Raises:
        HandoutRefused: the folder has something in it.
        StorageFailed: it cannot be written; nothing of it is left.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise HandoutRefused(
            f"{to} is not empty, and a handout is written into a new folder: name another one, "
            f"`make handout E={exercise.slug} TO={shell_quote(f'{to}-2')}`"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="handout-") as name:
            made = Path(name) / "handout"
            lines = build(exercise, made)
            paths = (path for path in made.rglob("*") if path.is_file())
            trees.copy([path.relative_to(made).as_posix() for path in paths], to, made)
        return lines
    except OSError as error:
        shutil.rmtree(to, ignore_errors=True)  # it was empty before
        if (failed := storage_failure(to / "README.md", error)) is not None:
            raise failed from error
        raise


def build(exercise: Exercise, folder: Path) -> int:
    """Write a handout's files below a folder; returns its number of lines of code."""
    copy_main(exercise, folder)
    edits.apply(exercise.start, folder, exercise)
    tested = _write_tests(exercise, folder)
    shutil.copyfile(_TEMPLATES / NOTES, folder / NOTES)
    if tested:
        (folder / "requirements.txt").write_text(_requirements(folder), encoding="utf-8")
        (folder / "pyproject.toml").write_text(_settings(exercise, folder), encoding="utf-8")
    lines, weights = _count_lines(folder), rubric().weights_of(exercise)
    text = render(
        "exercises/workbench/templates/handout.md",
        exercise=exercise,
        lines=f"{lines:,}",
        tested=tested,
        ships=[f"`{name}`" for name in exercise.ships],
        files=editable(exercise),
        typed="code" in weights,
        words=f"{rubric().explanation.min_words} to {rubric().explanation.max_words}",
        rubric=[(rubric().about(part, exercise.kind), n) for part, n in weights.items()],
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return lines


def copy_main(exercise: Exercise, folder: Path) -> None:
    """Copy main's files of a handout, in main's state."""
    for name, text in files(exercise).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def editable(exercise: Exercise) -> list[str]:
    """The files that a person edits."""
    return ["answers.toml"] if exercise.kind == "decide" else exercise.files


def files(exercise: Exercise) -> dict[str, str]:
    """The files of main that a handout begins with: the exercise's, and what those reach."""
    whole = {name for name in [*exercise.files, *exercise.ships] if (ROOT / name).is_file()}
    if exercise.kind == "decide":
        whole -= {name for name in exercise.files if name.endswith(".py")} - set(exercise.ships)
        return {name: (ROOT / name).read_text(encoding="utf-8") for name in sorted(whole)}
    checks, found = exercise.checks.read_text(encoding="utf-8"), Pruning(ROOT)
    whole |= {name for name in _CONFIG.findall(visible(exercise)) if (ROOT / name).is_file()}
    for name in sorted(whole):
        if name.endswith(".py"):
            found.need_file(name, set(re.findall(r"\w+", checks)), exercise.leaves_out)
    found.need_imports(checks)
    for module, name in _TARGET.findall(checks):
        found.need_name(module, name)
    for name in _CALLED.findall(checks):
        found.need_name(exercise.module, name)
    for edit in [*exercise.start, *exercise.solution]:
        _need_for(edit, exercise, found)
    reached = found.texts()
    whole |= {_USECASE} if "pipeline/usecase/chosen.py" in reached else set()
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in whole}
    return dict(sorted((texts | reached).items()))


def _need_for(edit: Edit, exercise: Exercise, found: Pruning) -> None:
    """Need what an edit's new code imports, and the package that a new file is put into."""
    found.need_imports(_imports_of(edit.new or edit.code or ""))
    if edit.source is not None:
        package = edit.file.rpartition("/")[0].replace("/", ".")
        found.need_imports(f"import {package}")
        found.need_imports(edits.changed("", edit, exercise))


def _imports_of(text: str) -> str:
    """The lines of a piece of code that import something."""
    return "\n".join(re.findall(r"^\s*((?:from|import) [^\n(]+)$", text, re.MULTILINE))


def _imports(text: str, late: bool) -> Iterator[str]:
    """The modules that a text imports, as dotted names."""
    tree = ast.parse(text)
    nodes: Iterable[ast.AST] = ast.walk(tree) if late else _at_once(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_once(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for child in ast.iter_child_nodes(tree):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _at_once(child)


def _write_tests(exercise: Exercise, folder: Path) -> bool:
    """Write the visible checks as pytest runs them; returns whether there are any."""
    text = visible(exercise)
    if exercise.kind == "decide" or "def test_" not in text:
        return False
    tests = folder / "tests"
    tests.mkdir(parents=True)
    name = exercise.slug.replace("-", "_")
    (tests / f"test_{name}.py").write_text(text, encoding="utf-8")
    shutil.copyfile(checking.__file__, tests / "checking.py")
    fixture = (_TEMPLATES / "conftest.txt").read_text(encoding="utf-8")
    (tests / "conftest.py").write_text(fixture.replace("MODULE", exercise.module), encoding="utf-8")
    return True


def _requirements(folder: Path) -> str:
    """Each package that the files import, in this environment's version, and the tools."""
    packages = {**_packages(), **{root: [name] for root, name in NAMESPACES.items()}}
    roots = {
        module.partition(".")[0]
        for path in folder.rglob("*.py")
        for module in _imports(path.read_text(encoding="utf-8"), late=True)
    }
    wanted = {
        packages[root][0] for root in roots - set(sys.stdlib_module_names) if root in packages
    }
    if (folder / "tests").is_dir():
        wanted |= {*TOOLS, *(stubs for root, stubs in STUBS.items() if root in roots)}
    lines = [f"{name.lower()}=={importlib.metadata.version(name)}" for name in sorted(wanted)]
    return "".join(f"{line}\n" for line in sorted(lines))


@cache
def _packages() -> Mapping[str, list[str]]:
    """The packages of this environment by what they let one import: each of them is opened."""
    return importlib.metadata.packages_distributions()


def version_of(text: str) -> str:
    """The version that a handout's pyproject.toml names; "" if it names none."""
    found = re.search(r'^version = "([^"\n]{1,40})"$', text, re.MULTILINE)
    return found[1] if found else ""


def _settings(exercise: Exercise, folder: Path) -> str:
    """The settings of the tools, as main has them; the version is a digest of the other files."""
    paths = [path for path in members(folder) if path.name != "requirements.txt"]
    content = "".join(bytes_hash(path.read_bytes()) for path in paths)
    main = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    ruff, mypy = main["ruff"], main["mypy"]
    text = (_TEMPLATES / "pyproject.txt").read_text(encoding="utf-8")
    values: dict[str, Any] = {
        "SLUG": exercise.slug,
        "VERSION": f"0+{bytes_hash(content.encode())[:12]}",
        "LENGTH": ruff["line-length"],
        "TARGET": ruff["target-version"],
        "SELECT": ruff["lint"]["select"],
        "IGNORE": ruff["lint"]["ignore"],
        "OTHERS": "\n".join(
            f"{path!r} = {codes}"
            for path, codes in ruff["lint"].get("per-file-ignores", {}).items()
            if path.startswith(trees.CODE)
        ),
        "MISSING": mypy["overrides"][0]["module"],
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value).replace("'", '"'))
    return text


def _count_lines(folder: Path) -> int:
    """The lines of code that a person may have to read: Python and YAML, tests apart."""
    paths = [path for kind in ("py", "yaml", "yml") for path in folder.rglob(f"*.{kind}")]
    return sum(
        len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
        if "tests" not in path.relative_to(folder).parts
    )
