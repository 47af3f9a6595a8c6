"""Git and DVC have one door each: no variable of a hook, no setting of a user gets past it."""

import ast
import re

import pytest

from tests.rules import tree

DOOR = "pipeline/shared/git.py"
PACKAGES = "pipeline/shared/programs.py"
"""Names the packages that bring programs, git's too; tests/rules/test_suite.py holds it."""
BY_HAND = {
    "tests/shared/test_git.py": "commits as a person does, with hooks",
    "tests/rules/test_layout.py": "clones as a person does whose git turns line ends",
}
"""Calls of git that are not ours."""
DVC = {
    "pipeline/shared/dvc.py": "the door",
    "pipeline/shared/dvc_lock.py": "shows what the stages say; its variables are the door's",
    "exercises/drills/release.py": "given to run_stages, whose variables are the door's",
    "benchmarks/reproduce.py": "in a scratch copy; its variables are the door's",
    "cockpit/places.py": "names DVC's window; what it asks goes through the door",
    "cockpit/views.py": "the same",
    "pipeline/shared/installation.py": "looks at how DVC's own script begins",
}
"""The files that start DVC, and why they may."""
_VERBS = (
    "add|apply|branch|checkout|cherry-pick|clean|clone|commit|config|diff|fetch|gc|init|log|"
    "ls-files|merge|pull|push|read-tree|rebase|remote|repro|reset|rev-parse|rm|show|stash|status|"
    "switch|tag|update-index|worktree"
)
_SHELL = re.compile(rf"(?:^|&&|;|[|]{{1,2}}|\n)\s*(git|dvc) +(?:-\S+ +\S+ +)*(?:{_VERBS})\b")


def _commands(source: ast.Module, program: str) -> list[int]:
    """The lines that name a program as a command: a word by itself, or the start of shell text.

    Text within backticks is shown to people.
    """
    shown = {id(part) for node in ast.walk(source) for part in _documentation(node)}
    found = []
    for node in ast.walk(source):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        spoken = re.sub(r"`[^`]*`", "", node.value)
        said = {match[1] for match in _SHELL.finditer(spoken)}
        if id(node) not in shown and (node.value == program or program in said):
            found.append(node.lineno)
    return found


def _documentation(node: ast.AST) -> list[ast.AST]:
    return [node.value] if isinstance(node, ast.Expr) else []


def _python() -> list[str]:
    return [name for name in tree.files() if name.endswith(".py")]


@pytest.mark.long
def test_git_is_called_by_one_function() -> None:
    found = {n for n in _python() if _commands(tree.parsed(n), "git")}
    assert found - {"tests/rules/test_git.py", PACKAGES} == {DOOR, *BY_HAND}
    calls = [n for n in ast.walk(tree.parsed(DOOR)) if isinstance(n, ast.Call)]
    assert [ast.unparse(n.func) for n in calls].count("subprocess.run") == 1


def test_dvc_is_started_with_the_variables_of_one_door() -> None:
    found = {n for n in _python() if _commands(tree.parsed(n), "dvc")}
    # Tests start it by life.run, in an environment without anybody's settings.
    assert {n for n in found if not n.startswith("tests/")} == set(DVC)


@pytest.mark.parametrize(
    "code",
    [
        'subprocess.run(["git", "status"])',
        'run("git", "log")',
        'os.system("git add -A")',
        'subprocess.run("cd x && git -C y commit", shell=True)',
        'for command in ("git init --quiet", "ls"): run(command.split())',
        'x = f"git clone {source}"',
    ],
)
def test_a_call_beside_the_door_would_be_found(code: str) -> None:
    assert _commands(ast.parse(code), "git") == [1]


@pytest.mark.parametrize(
    "code", ['"""git is a tool."""', 'f("see `git status`")', 'f("a; then `x && git add -A`")']
)
def test_what_is_only_spoken_of_is_no_call(code: str) -> None:
    assert _commands(ast.parse(code), "git") == []


def test_the_recipes_of_make_call_git_only_where_make_has_cleaned_its_variables() -> None:
    recipes = re.findall(r"^\t@?.*\bgit [a-z].*$", tree.read("Makefile"), re.MULTILINE)
    assert recipes == ["\t@git checkout --quiet -- data 2>/dev/null || true"]
    assert "unexport $(filter-out GIT_KEPT $(GIT_KEPT),$(filter GIT_%" in tree.read("Makefile")


def test_no_script_of_the_ci_works_in_another_repository() -> None:
    names = [n for n in tree.files() if n.startswith((".ci/", ".github/"))]
    spoken = {
        n: re.findall(r"^\s*(?:run: )?git [a-z].*$", tree.read(n), re.MULTILINE) for n in names
    }
    assert {n: lines for n, lines in spoken.items() if lines} == {}
