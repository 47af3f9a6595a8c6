"""The part of the pipeline's modules that some names reach: what a handout ships beside its task.

A module is cut at its top level only: a function, class or constant is there whole or not at all.
"""

import ast
import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORT = (ast.Import, ast.ImportFrom)
LINE = 100
_OURS = ("pipeline", "simulation")
DECLARED = "tabular"
"""The folder that reads a declared use case, which must be taken first."""


@dataclass
class _Module:
    """A module's text, its top-level statements by the names they bind, and which are needed.

    `imported` are names that it imports and that are needed here, or elsewhere by way of it.
    """

    path: str
    text: str
    body: list[ast.stmt]
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    needed: set[int] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)


class Pruning:
    """The modules that are reached so far; each `need` adds what it reaches in turn."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder that holds the packages."""
        self._root = root
        self._modules: dict[str, _Module] = {}
        self._later: list[ast.stmt] = []
        self._whole: set[str] = set()

    def texts(self) -> dict[str, str]:
        """Every module that is reached by its path, cut to what is needed."""
        before = -1
        while before != (before := sum(len(one.needed) for one in self._modules.values())):
            for node in list(self._later):
                self._follow(node, only_reached=True)
        return {
            one.path: one.text if dotted in self._whole else _cut(one)
            for dotted, one in self._modules.items()
        }

    def need_file(self, path: str, words: set[str], without: Collection[str] = ()) -> None:
        """Need a whole file, as it is, and the imports within those functions that `words` name.

        Functions of it may be left `without`, and then private ones that only those use go, too.
        """
        dotted = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        module = self._load(dotted)
        assert module is not None, f"{path} is no module"
        if gone := _with_their_own(module, set(without) & module.bound.keys()):
            for node in module.body:
                if not isinstance(node, _IMPORT) and gone.isdisjoint(_names_bound(node)):
                    self._need(dotted, node)
        else:
            self._whole.add(dotted)
            self._need_all(dotted)
        words = words - gone
        waiting, run = words & module.bound.keys(), set[str]()
        while waiting:
            run |= waiting
            nodes = [node for name in waiting for node in module.bound[name]]
            used = {name for node in nodes for name in _names_used(node)}
            waiting = (used & module.bound.keys()) - run
            for node in nodes:
                self._need_inner(node)

    def need_imports(self, text: str) -> None:
        """Need what any import in a text names, modules whole."""
        self._need_inner(_parsed(text))

    def _need_inner(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            for target, bound, given in _targets(node):
                module = self._load(target)
                if module is not None and bound in module.bound:
                    self._follow(node, given)
                else:
                    self._need_all(f"{target}.{bound}" if bound else target)

    def need_name(self, dotted: str, name: str) -> None:
        """Need what a module binds to a name; of a name that it has not, the module alone."""
        module = self._load(dotted)
        for node in module.bound.get(name, []) if module else ():
            self._need(dotted, node, name)

    def _need_all(self, dotted: str) -> None:
        module = self._load(dotted)
        for node in module.body if module else ():
            self._need(dotted, node)

    def _load(self, dotted: str) -> _Module | None:
        """A module of the pipeline, which its packages come with; None for others."""
        if dotted in self._modules:
            return self._modules[dotted]
        base = dotted.replace(".", "/")
        names = [name for name in (f"{base}.py", f"{base}/__init__.py") if self._is_ours(name)]
        if not names:
            return None
        text = (self._root / names[0]).read_text(encoding="utf-8")
        module = _Module(names[0], text, _parsed(text).body)
        self._modules[dotted] = module
        for node in module.body:
            for name in _names_bound(node):
                module.bound.setdefault(name, []).append(node)
        if "." in dotted:
            self._load(dotted.rpartition(".")[0])
        for node in module.body:
            if _is_for_types(node):
                self._later += [one for one in ast.walk(node) if isinstance(one, _IMPORT)]
            elif not _names_bound(node) and not _is_text(node):
                self._need(dotted, node)  # it runs whenever the module is imported
        return module

    def _is_ours(self, name: str) -> bool:
        """Whether it is a file of the packages, and of no use case that must be taken first."""
        if not name.startswith(_OURS) or not (self._root / name).is_file():
            return False
        folder = self._root / Path(*Path(name).parts[:2])
        return folder.name != DECLARED and not (folder / "configs.yaml").is_file()

    def _need(self, dotted: str, node: ast.stmt, name: str = "") -> None:
        """Need a top-level statement; of an import only the one name."""
        module = self._modules[dotted]
        if isinstance(node, _IMPORT):
            module.imported |= {name} if name else set(_names_bound(node))
            self._follow(node, name)
        if id(node) in module.needed:
            return
        module.needed.add(id(node))
        if isinstance(node, _IMPORT):
            return
        for used in _names_used(node):
            self.need_name(dotted, used)
        for called in _called_at_once(node):
            for function in module.bound.get(called, []):
                self._need_inner(function)
        for inner in ast.walk(node):
            if isinstance(inner, _IMPORT):
                self._later.append(inner)
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                self._need_attribute(module, inner.value.id, inner.attr)

    def _need_attribute(self, module: _Module, alias: str, name: str) -> None:
        """Need `alias.name` where the alias is an imported module."""
        for node in module.bound.get(alias, []):
            for target, bound, given in _targets(node):
                if given == alias:
                    self.need_name(f"{target}.{bound}" if bound else target, name)

    def _follow(self, node: ast.stmt, name: str = "", only_reached: bool = False) -> None:
        """Need what an import names, or one of its names."""
        for target, bound, given in _targets(node):
            if (name and given != name) or (only_reached and target not in self._modules):
                continue
            module = self._load(target)
            if module is not None and bound in module.bound:
                self.need_name(target, bound)
            elif bound and not only_reached:
                self._load(f"{target}.{bound}")


def _with_their_own(module: _Module, names: set[str]) -> set[str]:
    """Functions of a module, with the private ones that nothing else there uses."""
    gone: set[str] = set()
    while names != gone:
        gone = names
        kept = [node for node in module.body if gone.isdisjoint(_names_bound(node))]
        used = {name for node in kept for name in _names_used(node)}
        functions = (node.name for node in kept if isinstance(node, ast.FunctionDef))
        names = gone | {name for name in functions if name.startswith("_") and name not in used}
    return gone


@cache
def _parsed(text: str) -> ast.Module:
    """A text's tree, which nothing here changes: many handouts reach the same modules."""
    return ast.parse(text)


def _targets(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """The module, the name in it and the name given here, of each part of an import."""
    if isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield node.module, alias.name, alias.asname or alias.name
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, "", alias.asname or alias.name.partition(".")[0]


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, _IMPORT):
        return [given for _, _, given in _targets(node)]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []


@cache
def _names_used(node: ast.AST) -> set[str]:
    """Names in a statement, and words in its texts, which may be annotations; no docstrings."""
    parts = list(ast.walk(node))
    docstrings = {id(one.value) for one in parts if isinstance(one, ast.Expr)}
    constants = [
        one for one in parts if isinstance(one, ast.Constant) and id(one) not in docstrings
    ]
    texts = [one.value for one in constants if isinstance(one.value, str)]
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return words | {one.id for one in parts if isinstance(one, ast.Name)}


def _called_at_once(node: ast.stmt) -> set[str]:
    """The functions that run when a module is imported, since a constant of it is their value."""
    if not isinstance(node, ast.Assign):
        return set()
    calls = (one.func for one in ast.walk(node.value) if isinstance(one, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _cut(module: _Module) -> str:
    """A module's text without statements that are not needed, and imports that nothing uses."""
    lines = module.text.splitlines(keepends=True)
    needed = [n for n in module.body if id(n) in module.needed and not isinstance(n, _IMPORT)]
    used = module.imported | {name for node in needed for name in _names_used(node)}
    if any(_is_for_types(node) and _with_names(node, used) != "" for node in module.body):
        used.add("TYPE_CHECKING")
    new: list[str | None] = []
    for number, node in enumerate(module.body):
        if isinstance(node, _IMPORT) or _is_for_types(node):
            new.append(_with_names(node, used))
        elif _is_text(node) and number:
            new.append(new[-1])  # the words of a constant stay and go with it
        else:
            new.append(None if id(node) in module.needed or not number else "")
    for node, text in reversed(list(zip(module.body, new, strict=True))):
        if text is not None:
            first, last = _span(node, lines)
            lines[first:last] = [text] if text else []
    return _without_gaps("".join(lines))


def _without_gaps(text: str) -> str:
    """A module with as many empty lines as the formatter leaves where something was cut."""
    text = re.sub(r"\n{4,}", "\n\n\n", text).rstrip() + "\n"
    text = re.sub(r'^("""(?:.|\n)*?""")\n\n\n+(?!def |class |@|async )', r"\1\n\n", text)
    group = re.compile(r"^((?:import|from) .*|\))\n\n\n+(?!def |class |@|async |#)", re.MULTILINE)
    return group.sub(r"\1\n\n", text)


def _with_names(node: ast.stmt, used: set[str]) -> str | None:
    """An import with the names that are used, or a block of them; None if that is all of it."""
    if isinstance(node, ast.If):
        inner = [(one, _with_names(one, used)) for one in node.body]
        if all(text is None for _, text in inner):
            return None
        texts = [f"{ast.unparse(one)}\n" if text is None else text for one, text in inner]
        body = "".join(texts)
        return f"if TYPE_CHECKING:\n{textwrap.indent(body, '    ')}" if body else ""
    if not isinstance(node, _IMPORT):  # a name that only types need, such as an alias
        return None
    given = [(ast.unparse(a), a.asname or a.name.partition(".")[0]) for a in node.names]
    kept = [text for text, name in given if name in used]
    if len(kept) == len(given):
        return None
    head = f"from {node.module} import" if isinstance(node, ast.ImportFrom) else "import"
    line = f"{head} {', '.join(kept)}\n"
    if len(line) > LINE + 1:
        line = f"{head} (\n" + "".join(f"    {text},\n" for text in kept) + ")\n"
    return line if kept else ""


def _span(node: ast.stmt, lines: list[str]) -> tuple[int, int]:
    """The lines of a statement, with its decorators and the comment above it."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return first, node.end_lineno or node.lineno
