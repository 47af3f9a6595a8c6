"""Briefs: what they ask for adds up, a bare folder is told all of it, and ours is a small step."""

import ast
import difflib
import sys
from pathlib import Path

import pytest

from exercises.briefs import suite, users
from exercises.briefs.statement import STATEMENT
from exercises.workbench.catalogue import ROOT
from exercises.workbench.modules import load
from tests.rules import tree

MOST_FILES, MOST_LINES = 4, 200
SERVER = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, {})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(*ANSWER)
    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def _checks(brief: str) -> dict[str, object]:
    checks = vars(load(suite.FOLDER / brief / "checks.py"))
    return {name: one for name, one in checks.items() if name.startswith("test_")}


def _overlay(brief: str) -> dict[str, Path]:
    top = f"exercises/briefs/{brief}/overlay/"
    names = [name for name in tree.files() if name.startswith(top)]
    return {name.removeprefix(top): ROOT / name for name in names}


@pytest.mark.parametrize("brief", suite.BRIEFS)
def test_a_briefs_weights_add_up_and_each_check_says_what_it_is(brief: str) -> None:
    checks = _checks(brief)
    assert sum(one.weight for one in checks.values()) == 100
    assert [name for name, one in checks.items() if not one.__doc__] == []


@pytest.mark.parametrize("brief", suite.BRIEFS)
def test_this_repository_changes_few_files_and_lines_for_a_brief(brief: str) -> None:
    changed = _overlay(brief)
    assert STATEMENT in changed
    assert len(changed) <= MOST_FILES
    lines = 0
    for name, path in changed.items():
        before = (ROOT / name).read_text().splitlines() if (ROOT / name).is_file() else []
        found = difflib.ndiff(before, path.read_text(encoding="utf-8").splitlines())
        lines += sum(line.startswith(("+ ", "- ")) for line in found)
    assert lines <= MOST_LINES, lines


@pytest.mark.parametrize("brief", suite.BRIEFS)
def test_what_is_added_imports_nothing_of_the_exercises(brief: str) -> None:
    """A checkout that passes has to do so without what checks it."""
    for name, path in _overlay(brief).items():
        if name.endswith(".py"):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
            assert [module for module in found if module.startswith("exercises")] == []


@pytest.mark.parametrize("brief", suite.BRIEFS)
def test_an_empty_folder_is_told_all_that_is_missing(brief: str, tmp_path: Path) -> None:
    found, measured = suite.check(brief, tmp_path)
    assert (found.points, found.most, measured) == (0, 100, {})
    assert len(found.failed()) == len(_checks(brief))
    assert STATEMENT in found.checks[0].expected
    assert all(one.seen for one in found.failed())


def _checkout(folder: Path, brief: str, answer: str) -> Path:
    (folder / "server.py").write_text(f"ANSWER = {answer}\n{SERVER}")
    command = f"{sys.executable} server.py {{port}}"
    (folder / STATEMENT).write_text(f'[{brief}]\nserve = "{command}"\nreplace = "true"\n')
    return folder


def test_a_server_that_gives_every_flight_the_same_is_found_out(tmp_path: Path) -> None:
    folder = _checkout(tmp_path, "airline", '(200, {"late": [0.5]})')
    found, measured = suite.check("airline", folder, seconds=0.5)
    ended = {one.name: one.passed for one in found.checks}
    assert ended["test_it_starts_and_is_ready"]
    assert measured["requests"] > 0
    assert not ended["test_each_flight_gets_its_probability_in_order"]
    assert not ended["test_what_is_no_flight_is_refused"]
    assert not ended["test_there_is_a_model_class"]


def test_a_server_that_fails_under_load_does_not_hold_it(tmp_path: Path) -> None:
    folder = _checkout(tmp_path, "airline", '(503, {"reason": "full"})')
    found, measured = suite.check("airline", folder, seconds=5)
    ended = {one.name: one for one in found.checks}
    assert not ended["test_it_holds_100_users"].passed
    assert "status 503" in ended["test_it_holds_100_users"].seen
    assert measured["errors"] >= 100


def test_a_command_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = _checkout(tmp_path, "joined", "(200, {})")
    (folder / "server.py").write_text('raise SystemExit("no model here")\n')
    found, _ = suite.check("joined", folder)
    ended = {one.name: one for one in found.checks}["test_it_starts_and_is_ready"]
    assert (ended.passed, ended.seen) == (False, "it ended with 1")
    assert "no model here" in ended.why


def test_a_percentile_is_that_of_all_answers() -> None:
    assert users.Load(seconds=[0.001 * n for n in range(100)]).percentile(0.95) == 0.095
    assert users.Load().percentile(0.95) == float("inf")


def test_an_unknown_brief_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(suite.BriefUnknown, match="make brief B=airline"):
        suite.check("nobody", tmp_path)
    with pytest.raises(suite.BriefUnknown, match="FROM=folder"):
        suite.check("joined", tmp_path / "nowhere")
