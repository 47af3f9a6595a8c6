"""No test depends on how fast a machine is: none judges a duration, a limit only ends a hang."""

import ast
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE
from tests.rules import tree

TESTS = [name for name in tree.files() if name.startswith("tests/") and name.endswith(".py")]
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
CLOCKS |= {"process_time", "process_time_ns", "thread_time", "default_timer", "timeit"}
WAITS = {"wait", "join", "communicate", "timeout", "result", "acquire", "shutdown"}
LEAST = 600
"""Seconds that a limit leaves at least: what takes a few alone takes minutes beside other work."""
PACES = {
    "self._over.wait(0.02)": "a user asks again after a pause",
    "http.client.HTTPConnection('127.0.0.1', wanted['users'], timeout=5)": (
        "a user gives up, and is counted"
    ),
}
"""Short waits that no test fails by, and why."""


def judged(source: ast.AST) -> list[str]:
    """The assertions in a piece of code that rest on a clock or on how long something took."""
    found = []
    for scope in ast.walk(source):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            timed = _timed(scope)
            asserts = [node for node in _within(scope) if isinstance(node, ast.Assert)]
            found += [ast.unparse(a.test) for a in asserts if _rests_on_a_clock(a.test, timed)]
    return found


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """What is in a function or module, without the functions inside."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(child)


def _timed(scope: ast.AST) -> set[str]:
    """The names in a function that hold what a clock said, or what was computed from that."""
    timed: set[str] = set()
    for _ in range(3):
        for node in _within(scope):
            if isinstance(node, ast.Assign) and _rests_on_a_clock(node.value, timed):
                timed |= {n.id for t in node.targets for n in ast.walk(t) if _is_a_name(n)}
            elif isinstance(node, ast.AugAssign) and _rests_on_a_clock(node.value, timed):
                timed |= {n.id for n in ast.walk(node.target) if _is_a_name(n)}
            elif isinstance(node, ast.Call) and _method(node) == "append":
                told = any(_rests_on_a_clock(value, timed) for value in node.args)
                timed |= {n.id for n in ast.walk(node.func) if told and _is_a_name(n)}
    return timed


def _is_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def _method(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _rests_on_a_clock(node: ast.AST, timed: set[str]) -> bool:
    """Whether an expression has a clock in it, a name for its time, or a command's seconds."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id in timed:
            return True
        if isinstance(inner, ast.Attribute) and ast.unparse(inner).endswith("done.seconds"):
            return True
        if isinstance(inner, ast.Call) and _method(inner) in CLOCKS:
            owner = getattr(getattr(inner.func, "value", None), "id", "time")
            if owner in ("time", "timeit"):
                return True
    return False


def limits(source: ast.AST) -> list[str]:
    """The calls in a piece of code that give up before a slow machine may be done."""
    found = []
    for node in ast.walk(source):
        if not isinstance(node, ast.Call) or _method(node) not in WAITS | {
            k.arg and _method(node) for k in node.keywords if k.arg in ("timeout", "patience")
        }:
            continue
        named = [k.value for k in node.keywords if k.arg in ("timeout", "patience")]
        given = [*named, *(node.args if _method(node) in WAITS else [])]
        seconds = [v.value for v in given if isinstance(v, ast.Constant)]
        if any(type(value) in (int, float) and value < LEAST for value in seconds):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n  a = time.monotonic()\n  g()\n  assert time.monotonic() - a < 3",
        "def f():\n  a = time.perf_counter()\n  g()\n  took = time.perf_counter() - a\n"
        "  assert took < 1",
        "def f():\n  took = []\n  for _ in g:\n    a = perf_counter()\n"
        "    took.append(perf_counter() - a)\n  assert min(took) < 0.25",
        "def f():\n  assert life.run(x).done.seconds < 60",
    ],
)
def test_a_duration_that_is_judged_is_found(code: str) -> None:
    assert judged(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n  a = time.monotonic()\n  assert g()\n  record(time.monotonic() - a)",
        "def f():\n  assert event.timestamp() == 3 and clock.time(3) == 4",
    ],
)
def test_a_duration_that_is_measured_is_not_judged(code: str) -> None:
    assert judged(ast.parse(code)) == []


@pytest.mark.parametrize(
    "code", ["p.wait(30)", "t.join(60)", "@pytest.mark.timeout(20)\ndef f(): ...", "f(timeout=5)"]
)
def test_a_short_limit_is_found(code: str) -> None:
    assert limits(ast.parse(code))
    assert limits(ast.parse(code.replace("0", "0000").replace("5", "5000"))) == []


@pytest.mark.long
@tree.each(TESTS)
def test_no_assertion_rests_on_a_duration(name: str) -> None:
    assert judged(tree.parsed(name)) == []


@tree.each(TESTS)
def test_a_limit_ends_nothing_but_a_hang(name: str) -> None:
    assert [call for call in limits(tree.parsed(name)) if call not in PACES] == []


def test_every_pace_is_kept_by_a_test() -> None:
    assert set(PACES) <= {call for name in TESTS for call in limits(tree.parsed(name))}


def test_the_limits_of_all_tests_end_only_a_hang() -> None:
    import tomllib

    settings = tomllib.loads(tree.read("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert settings["timeout"] > PATIENCE >= LEAST
