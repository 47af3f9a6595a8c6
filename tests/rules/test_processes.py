"""How the code waits, starts processes and asks servers: by the modules that do it right."""

import ast
import re
from functools import cache

from tests.rules import tree

CODE = [name for name in tree.files() if name.endswith(".py")]
OURS = [name for name in CODE if name.startswith("pipeline/")]
SAFE_ON_LINUX = {
    "pipeline/shared/processes.py": "asked for on Linux only",
    "tests/flow/test_kill.py": "skips elsewhere",
    "tests/features/elsewhere.py": "skips elsewhere",
}
"""Where a process is copied without a new program, which macOS does not survive, and why it may."""
FOREIGN = {"tests/serve/test_clients.py": "what others ask with, told of no proxy for this machine"}
"""Where libraries are tried that read the environment's proxies, and why that may be."""


@cache
def called(name: str) -> list[str]:
    """Every call in a file, as it is written."""
    return [ast.unparse(n) for n in ast.walk(tree.parsed(name)) if isinstance(n, ast.Call)]


@tree.each([name for name in CODE if name not in FOREIGN])
def test_no_call_in_this_machine_may_ask_a_proxy(name: str) -> None:
    """urllib and requests read the environment's proxies; http.client reads none."""
    readers = {"urllib.request", "requests", "httpx", "aiohttp"}
    assert not tree.imported(name) & readers


@tree.each(CODE)
def test_nothing_runs_between_fork_and_exec(name: str) -> None:
    assert not [call for call in called(name) if "preexec_fn" in call]


@tree.each([name for name in CODE if name not in SAFE_ON_LINUX])
def test_no_process_is_copied_without_a_new_program(name: str) -> None:
    copies = [c for c in called(name) if re.search(r"^os\.fork\(|get_context\(['\"]fork", c)]
    assert copies == []


@tree.each(OURS)
def test_a_lock_that_may_be_somebody_elses_is_asked_for_in_one_place(name: str) -> None:
    """Who asks must not be taken for who holds: `watcher.hold` and `is_locked` tell them apart."""
    asked = [
        ast.unparse(node) for node in ast.walk(tree.parsed(name)) if "LOCK_NB" in str(vars(node))
    ]
    assert bool(asked) == (name == "pipeline/shared/watcher.py"), asked


@tree.each([name for name in OURS if "/processes" not in name])
def test_no_wait_ends_by_a_clock_that_goes_on_while_a_laptop_sleeps(name: str) -> None:
    limits = [
        ast.unparse(node)
        for node in ast.walk(tree.parsed(name))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and re.search(r"\b(monotonic|perf_counter|time\.time)\(\)", ast.unparse(node))
    ]
    assert [limit for limit in limits if limit not in PACED] == []


PACED = {
    "time.monotonic() + seconds": "a scene lasts so long",
    "until + sent / _REQUESTS_A_SECOND - time.monotonic()": "requests keep a pace",
}
"""Spans that end nothing by being over, and why."""
