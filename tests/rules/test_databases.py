"""Whoever opens a database closes it: Python 3.13 tells of what is left open as of an error."""

import ast

from tests.rules import tree


def _left_open(name: str) -> list[int]:
    """The lines of a file that open a database outside `closing(...)`."""
    calls = [node for node in ast.walk(tree.parsed(name)) if isinstance(node, ast.Call)]
    closed = {
        id(argument)
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] == "closing"
        for argument in call.args
    }
    opened = [call for call in calls if ast.unparse(call.func) == "sqlite3.connect"]
    return [call.lineno for call in opened if id(call) not in closed]


def test_every_database_that_is_opened_is_closed() -> None:
    files = [name for name in tree.files() if name.endswith(".py")]
    assert files
    assert {name: lines for name in files if (lines := _left_open(name))} == {}
