"""Law 5: a refusal is not a bug. The tree is true, every leaf is raised, every message helps."""

import ast
import re

import pytest

from pipeline.shared import databases, errors
from tests.rules import tree

TREE = ast.get_docstring(tree.parsed("pipeline/shared/errors.py")) or ""
REFUSALS = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and value.__module__ == errors.__name__
}
MADE = [
    (name, node)
    for name in tree.code()
    for node in ast.walk(tree.parsed(name))
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in REFUSALS
]
"""Every refusal that the code makes; it is raised there, or by whoever asked for it."""

INSTRUCTION = re.compile(
    r"[;:] (run|restore|correct|add|raise|widen|change|reinstall|bring|make|see|join)\b|"
    r"; the \S+ known ones are\b"
)
"""Where no command is quoted: a clause after ; or : that tells what to do, or what is allowed."""


def _drawn() -> dict[str, str]:
    """Each name of the tree and the name that it hangs from (none for a root)."""
    found: dict[str, str] = {}
    root = ""
    for branch, name in re.findall(r"^([├└]── |)([A-Z][A-Za-z]+) {2,}\S", TREE, re.MULTILINE):
        found[name] = root if branch else ""
        root = root if branch else name
    return found


def _text(node: ast.AST) -> str:
    """The literal parts of an expression, with a hole for each value that is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.Name):
        return {"REPAIR": databases.REPAIR, "START_AGAIN": databases.START_AGAIN}.get(node.id, "")
    if isinstance(node, ast.FormattedValue):
        return f"{{{_text(node.value)}}}"
    return "".join(_text(child) for child in ast.iter_child_nodes(node))


def _message(name: str, call: ast.Call) -> str:
    """A refusal's literal text; where a function of ours or a variable holds it, the text there."""
    told = call.args[0]
    if isinstance(told, ast.Name):
        values = [
            node.value
            for node in ast.walk(tree.parsed(name))
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == told.id
        ]
        told = values[0]
    if not isinstance(told, ast.Call):
        return _text(told)
    called = ast.unparse(told.func).split(".")[-1]
    functions = [
        node
        for file in [name, *tree.imported_files(name)]
        for node in tree.parsed(file).body
        if isinstance(node, ast.FunctionDef) and node.name == called
    ]
    return _text(functions[0])


def test_the_tree_names_every_refusal_and_what_it_hangs_from() -> None:
    parents = {name: kind.__base__.__name__ for name, kind in REFUSALS.items() if kind.__base__}
    assert _drawn() == {name: parent.replace("Exception", "") for name, parent in parents.items()}


def test_the_tree_and_the_classes_have_one_order() -> None:
    assert list(_drawn()) == list(REFUSALS)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_exits_with_1_and_a_wrong_call_with_2(name: str) -> None:
    kind = REFUSALS[name]
    assert kind.exit_code == (2 if issubclass(kind, errors.UsageError) else 1)
    assert re.search(r"^UsageError +exit 2:", TREE, re.MULTILINE)
    assert re.search(r"^PipelineError +exit 1:", TREE, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in REFUSALS if name not in _drawn().values()])
def test_every_leaf_of_the_tree_is_raised_somewhere(name: str) -> None:
    assert name in {ast.unparse(call.func).split(".")[-1] for _, call in MADE}


def test_no_root_of_the_tree_is_raised_itself() -> None:
    names = {ast.unparse(call.func).split(".")[-1] for _, call in MADE}
    assert names & set(_drawn().values()) == set()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        pytest.param(name, call, id=f"{name}: {_message(name, call).strip()[:40]}")
        for name, call in MADE
    ],
)
def test_a_refusal_says_what_to_do_next(name: str, call: ast.Call) -> None:
    text = _message(name, call)
    assert "`" in text or INSTRUCTION.search(text), f"no next step in: {text}"


@tree.each(tree.code())
def test_every_make_target_in_a_message_exists(name: str) -> None:
    for text in map(_text, ast.walk(tree.parsed(name))):
        for words in re.findall(r"`make ([a-z -]+)", text):
            assert set(words.split()) - set(tree.targets()) == set(), text


@tree.each(tree.code())
def test_nothing_swallows_every_exception(name: str) -> None:
    swallowed = [
        ast.unparse(node)
        for node in ast.walk(tree.parsed(name))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        # What is not recognised has to go on as the bug that it is.
        and not any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
    ]
    assert swallowed == []


PROGRAMS = "chmod chown cp fuser git ln ls lsof mv rm tar".split()
FIXED = {
    ("pipeline/shared/config/loading.py", "path"): "a config by its own name",
    ("pipeline/shared/checkouts.py", "commit"): "hex digits",
    ("pipeline/shared/lineage.py", "how"): "one of two words",
    ("pipeline/shared/git.py", "os.geteuid()"): "a number",
}
"""What stands in a command as it is, by its file and its expression, and why it may."""


def _holes(name: str) -> list[tuple[str, str]]:
    """What is put, unquoted, into a command of a shell that a message advises."""
    found = []
    for node in ast.walk(tree.parsed(name)):
        if not isinstance(node, ast.JoinedStr):
            continue
        marked = "".join(
            f"\0{ast.unparse(part.value)}\0" if isinstance(part, ast.FormattedValue) else part.value
            for part in node.values
        )
        for command in re.findall(r"`([^`]*)`", marked):
            if re.split(r"[ \0]", command.removeprefix("sudo "))[0] in PROGRAMS:
                found += [(name, hole) for hole in re.findall("\0(.*?)\0", command)]
    return [one for one in found if not one[1].startswith("shell_quote(")]


@tree.each(tree.code())
def test_a_path_in_a_command_that_is_advised_can_be_pasted(name: str) -> None:
    """A path may hold a space or a quote, and `rm` of half of it is another command."""
    assert [hole for hole in _holes(name) if hole not in FIXED] == []


def test_every_excuse_of_a_hole_is_one() -> None:
    assert {hole for name in tree.code() for hole in _holes(name)} == set(FIXED)
