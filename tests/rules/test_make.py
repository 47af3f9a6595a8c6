"""Make is the only vocabulary: people, hooks, MLflow and the CI say the same words."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import STAGES
from pipeline.shared import git
from tests.rules import apple, tree

WORKFLOWS = [name for name in tree.files() if re.match(r"\.github/workflows/.+\.ya?ml$", name)]
PINNED = re.compile(r"uses: +([\w-]+/[\w.-]+)@([0-9a-f]{40}) +# v\d+\.\d+\.\d+$")
PULL_REQUEST = ".github/workflows/pull-request.yml"
ONLY_HOSTED = ["make comment"]
"""What a pull request's workflow does beyond `make ci`."""


def _make(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("make") or "make", *arguments],
        cwd=folder,
        env=tree.environment(GIT_CEILING_DIRECTORIES=str(folder.parent), **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def _jobs(workflow: str) -> dict[str, dict[str, Any]]:
    return dict(tree.load(workflow)["jobs"])


def _steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in _jobs(workflow).values() for step in job["steps"]]


def _commands(steps: list[dict[str, Any]]) -> list[str]:
    return [step["run"] for step in steps if "run" in step]


def _no_targets(commands: list[str]) -> list[str]:
    """Those commands of a workflow that are anything but make with targets that exist."""
    return [
        command
        for command in commands
        if command.split()[:1] != ["make"]
        or not command.split()[1:]
        or set(command.split()[1:]) - set(tree.targets())
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile and the lock in a folder of their own, which is no git checkout."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(tree.ROOT / name, tmp_path)
    return tmp_path


def _claiming(version: str, folder: Path) -> Path:
    """A Python that says it is this version, and fits nothing."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\nexit 1\n')
    path.chmod(0o755)
    return path


def test_every_target_that_people_may_use_says_what_it_does() -> None:
    silent = {name for name, text in tree.targets().items() if not text}
    assert silent == set(tree.INNER_TARGETS)


def _help(target: str) -> dict[str, list[str]]:
    """The targets that a help lists, under each of its headings."""
    groups: dict[str, list[str]] = {}
    for line in _make(tree.ROOT, target).stdout.splitlines():
        if line.startswith("  make "):
            groups[next(reversed(groups))].append(line.split()[1])
        else:
            groups[line] = []
    return groups


def test_help_lists_every_public_target_in_the_order_of_the_flow() -> None:
    listed = [name for names in _help("help-all").values() for name in names]
    assert listed == [name for name in tree.targets() if name not in tree.INNER_TARGETS]
    assert [name for name in listed if name in STAGES] == list(STAGES)
    assert listed[:4] == ["help", "help-all", "setup", "run"]


def test_help_shows_the_groups_of_a_user_and_help_all_those_of_contributors_too() -> None:
    users, every = _help("help"), _help("help-all")
    assert list(users) == "Start Stages Serve Release Watch Retrain Trace Learn".split()
    assert sum(map(len, users.values())) <= 49
    assert list(every.items())[: len(users)] == list(users.items())
    further = list(every)[len(users) :]
    assert further[0] == "Exercises, for learners and interviewers"
    assert further[1:] == [f"{name}, for contributors" for name in ("Check", "Measure", "Maintain")]


def test_help_is_what_make_alone_does() -> None:
    assert _make(tree.ROOT).stdout == _make(tree.ROOT, "help").stdout


def _alike(name: str, other: str) -> bool:
    """Whether two names differ by one letter: one more, one less, or another in its place.

    Names of two letters, as ui and ci, are read as a whole.
    """
    short, long = sorted((name, other), key=len)
    if len(long) < 3:
        return False
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) <= 1
    return short in {long[:i] + long[i + 1 :] for i in range(len(long))}


def test_no_two_targets_differ_by_one_letter() -> None:
    pairs = combinations(set(tree.targets()) - set(tree.INNER_TARGETS), 2)
    assert [pair for pair in pairs if _alike(*pair)] == []


@pytest.mark.parametrize("pair", ["skew skews", "serve server", "drill drills", "lock look"])
def test_names_that_differ_by_one_letter_would_be_found(pair: str) -> None:
    assert _alike(*pair.split())


RENAMED = apple.variables(tree.read("Makefile"))["RENAMED"].split()
NEW = {"answers": ["questions"], "drills": ["drill-all"], "server": ["serve-http"]}


def _recording(folder: Path) -> Path:
    """A Python that writes down every command that it gets, and does nothing."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/installed").touch()
    python = folder / ".venv/bin/python"
    python.write_text('#!/bin/sh\n[ "$1" = -I ] || echo "$@" >> commands\n')
    python.chmod(0o755)
    (folder / ".venv/bin/python3").symlink_to(python)  # what reads the book needs no environment
    return folder / "commands"


@pytest.mark.long
@pytest.mark.parametrize("name", RENAMED)
def test_a_name_of_the_last_release_says_the_new_one_and_does_the_same(
    folder: Path, name: str
) -> None:
    commands, new = _recording(folder), NEW.get(name, ["measure", f"M={name}"])
    old = _make(folder, name, "VERSION=3")
    ran = commands.read_text()
    commands.unlink()
    assert _make(folder, *new, "VERSION=3").returncode == old.returncode == 0
    assert commands.read_text() == ran
    assert old.stderr == f"make {name} is now make {' '.join(new)}\n"
    assert " ".join(new) in tree.offered()


def test_no_file_names_a_command_as_the_last_release_did() -> None:
    old = re.compile(rf"\bmake ({'|'.join(RENAMED)})\b(?!-)")
    files = [name for name in tree.files() if not name.endswith((".json", ".lock"))]
    assert {name: found for name in files if (found := old.findall(tree.read(name)))} == {}


def test_every_target_is_declared_to_be_no_file() -> None:
    declared = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", tree.read("Makefile"), re.MULTILINE)
    assert declared
    assert declared[1].replace("\\\n", " ").split() == list(tree.targets())


def test_every_command_of_mlflow_names_known_stages() -> None:
    for name, point in tree.load("MLproject")["entry_points"].items():
        *before, last = point["command"].split(" && ")
        assert set(before) <= {"dvc repro"}
        last, _, options = last.partition(" --")
        *program, package = last.split()[:3]
        words = last.split()[3:]
        assert program == ["python", "-m"]
        assert package == ("pipeline" if set(words) <= set(STAGES) else "simulation")
        assert options == " --".join(f"{o} {{{o}}}" for o in point.get("parameters", {}))
        assert words == [name] if name != "main" else set(words) <= set(tree.commands())


def test_there_is_a_workflow_for_each_occasion() -> None:
    names = [name.split("/")[-1].removesuffix(".yml") for name in WORKFLOWS]
    assert names == ["main", "nightly", "pull-request", "retrain"]


@pytest.mark.answer("ci-cd")
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_runs_nothing_but_make(
    workflow: str, record_property: Callable[[str, object], None]
) -> None:
    commands = _commands(_steps(workflow))
    assert commands
    assert _no_targets(commands) == []
    record_property(f"steps of {Path(workflow).name}, each a target of make", len(commands))


@pytest.mark.parametrize(
    "wrong",
    ["make tset", "make", "make test; curl x", "make test AS_OF=$X", "pytest", "make check tset"],
)
def test_a_step_that_names_no_target_would_be_found(wrong: str) -> None:
    right = _commands(_steps(PULL_REQUEST))
    for place in range(len(right)):
        assert _no_targets([*right[:place], wrong, *right[place + 1 :]]) == [wrong]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_uses_actions_by_commit_and_says_which_release_it_is(workflow: str) -> None:
    lines = [line.strip() for line in tree.read(workflow).splitlines() if "uses:" in line]
    pins = [PINNED.search(line) for line in lines]
    assert lines
    assert [line for line, pin in zip(lines, pins, strict=True) if pin is None] == []
    assert {pin[1].split("/")[0] for pin in pins if pin} == {"actions"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_may_read_and_nothing_else(workflow: str) -> None:
    assert tree.load(workflow)["permissions"] == {"contents": "read"}
    writers = [name for name, job in _jobs(workflow).items() if "permissions" in job]
    assert writers == (["comment"] if workflow == PULL_REQUEST else [])
    checkouts = [s for s in _steps(workflow) if s.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "secrets." not in tree.read(workflow)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_ends_and_is_overtaken(workflow: str) -> None:
    content = tree.load(workflow)
    assert content["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 60 for job in content["jobs"].values())


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_stranger_gets_the_rights_of_the_project(workflow: str) -> None:
    """These two triggers run with the base's rights on what a fork brings."""
    occasions = tree.load(workflow)[True]  # YAML 1.1 takes `on` for a truth
    assert set(occasions) & {"pull_request_target", "workflow_run"} == set()


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_others_may_write_reaches_make_through_its_environment(workflow: str) -> None:
    assert [command for command in _commands(_steps(workflow)) if "${{" in command] == []


def test_the_job_that_may_comment_does_nothing_else() -> None:
    """It installs nothing and runs no package, so none can take its token."""
    job = _jobs(PULL_REQUEST)["comment"]
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    assert _commands(job["steps"]) == ONLY_HOSTED
    assert re.search(r"^comment: ##", tree.read("Makefile"), re.MULTILINE)


def test_the_pull_request_runs_what_make_ci_and_the_ci_script_run() -> None:
    hosted = _commands(_steps(PULL_REQUEST))
    ci = re.search(r"^ci: ([a-z -]+) ##", tree.read("Makefile"), re.MULTILINE)
    assert ci
    local = [f"make {target}" for target in ci[1].split()]
    script = re.findall(r"^make .*$", tree.read(".ci/run"), re.MULTILINE)
    assert hosted == local + ONLY_HOSTED
    assert script == [script[0], *local]
    assert script[0].startswith("make setup ")
    assert os.access(tree.ROOT / ".ci/run", os.X_OK)


def _gh(folder: Path) -> Path:
    """A gh that writes down what it was asked to do."""
    (folder / ".venv/bin").mkdir(parents=True)
    gh = folder / ".venv/bin/gh"
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\n')
    gh.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "state/report.md").write_text("# What this changes\n")
    return folder / "asked"


def _path(folder: Path, *programs: str) -> Path:
    """A PATH with a shell and these programs, which do nothing."""
    path = folder / "path"
    path.mkdir()
    (path / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    for name in programs:
        (path / name).write_text("#!/bin/bash\n")
        (path / name).chmod(0o755)
    return path


def test_a_comment_replaces_the_one_before(folder: Path) -> None:
    asked = _gh(folder)
    assert _make(folder, "comment", PIPELINE_PULL_REQUEST="12").returncode == 0
    assert asked.read_text().split() == (
        "pr comment 12 --edit-last --create-if-none --body-file state/report.md".split()
    )


@pytest.mark.parametrize("number", ["", "twelve", "12; touch x", "$(touch x)", "--web", "1\n2"])
def test_a_comment_needs_the_number_of_a_pull_request(folder: Path, number: str) -> None:
    asked = _gh(folder)
    done = _make(folder, "comment", PIPELINE_PULL_REQUEST=number)
    assert done.returncode == 2
    assert "no pull request: make comment PULL_REQUEST=12" in done.stderr
    assert not asked.exists()
    assert not (folder / "x").exists()


def test_a_comment_needs_a_report(folder: Path) -> None:
    asked = _gh(folder)
    (folder / "state/report.md").unlink()
    done = _make(folder, "comment", "PULL_REQUEST=12")
    assert done.returncode == 2
    assert "make report writes it" in done.stderr
    assert not asked.exists()


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt-get install gh"),
        ("dnf", "sudo dnf install gh"),
        ("apk", "sudo apk add github-cli"),
        ("brew", "brew install gh"),
    ],
)
def test_a_comment_needs_gh(folder: Path, manager: str, command: str) -> None:
    path = _path(folder, manager)
    done = _make(folder, "comment", "PULL_REQUEST=12", PATH=str(path))
    assert done.returncode == 2
    assert f"comment: no gh here; {command}, or read state/report.md" in done.stderr


@pytest.mark.parametrize("month", ["", "2013-05", "2013-05; touch x", "$(touch x)", "--help"])
@pytest.mark.parametrize("way", ["command line", "workflow"])
def test_a_month_reaches_retrain_as_one_word(folder: Path, month: str, way: str) -> None:
    """What a person types into a form is an argument, never a command."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/installed").touch()
    python = folder / ".venv/bin/python"
    passes = '[ "$1" = -I ] || [ "$2" = pipeline.shared.git ] && exit'
    asked = f'{passes}\nprintf "<%s>" "$@" > asked\nexit 1\n'
    python.write_text(f"#!/bin/sh\n{asked}")
    python.chmod(0o755)
    given = [f"AS_OF={month}"] if way == "command line" else []
    handed = {"PIPELINE_AS_OF": month} if way == "workflow" else {}
    assert _make(folder, "retrain", *given, **handed).returncode == 2
    as_of = f"<--as-of={month}>" if month else ""
    assert (folder / "asked").read_text() == f"<-m><pipeline><retrain>{as_of}"
    assert not (folder / "x").exists()


def test_hooks_call_make() -> None:
    hooks = [
        (repo["repo"], hook)
        for repo in tree.load(".pre-commit-config.yaml")["repos"]
        for hook in repo["hooks"]
    ]
    assert [hook["entry"] for _, hook in hooks] == ["make check", "make rules"]
    assert {(repo, hook["language"]) for repo, hook in hooks} == {("local", "system")}


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0"])
def test_a_python_outside_the_range_is_refused_by_its_version(folder: Path, version: str) -> None:
    done = _make(folder, "setup", f"PYTHON={_claiming(version, folder)}")
    assert done.returncode == 2
    assert f"Python 3.11 to 3.13 is needed, found Python {version}; " in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (folder / ".venv").exists()


CHECKED = [
    f"pipeline/{name}.py"
    for name in ("__init__", *(f"shared/{one}" for one in "__init__ git errors programs".split()))
]


@pytest.mark.parametrize("prepare", [False, True], ids=["no git", "no commit"])
def test_a_run_needs_a_checkout_with_a_commit(folder: Path, prepare: bool) -> None:
    if prepare:
        git.own(folder, "init", "--quiet")
    for name in CHECKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / name, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / ".venv/bin/python").chmod(0o755)
    (folder / ".venv/installed").touch()
    before = sorted(path.name for path in folder.iterdir())
    done = _make(folder, "run")
    assert done.returncode == 2
    assert (
        f"checkout: EnvironmentUnfit: {folder} is not a git checkout with a commit" in done.stderr
    )
    assert ("`git init && git add -A && git commit -m start`" in done.stderr) is not prepare
    assert ("`git add -A && git commit -m start`" in done.stderr) is prepare
    assert sorted(path.name for path in folder.iterdir()) == before


def test_make_as_a_hook_tells_nothing_of_the_hooks_repository(folder: Path) -> None:
    """What make starts, DVC among it, works in the folder that it is started in."""
    (folder / "hook.mk").write_text("include Makefile\ntold:\n\t@env\n")
    given = dict.fromkeys(git.run(tree.ROOT, "rev-parse", "--local-env-vars").decode().split(), "x")
    given |= {"GIT_CONFIG_KEY_0": "x", "GIT_NAMESPACE": "x", "GIT_CONFIG_GLOBAL": "/their/own"}
    done = _make(folder, "-f", "hook.mk", "told", **given)
    assert done.returncode == 0, done.stderr
    told = [line.partition("=")[0] for line in done.stdout.splitlines() if line.startswith("GIT_")]
    assert set(told) - git.KEPT_VARIABLES == set()
    assert "GIT_CONFIG_GLOBAL" in told


def test_make_keeps_the_variables_of_git_that_the_pipeline_keeps() -> None:
    found = re.search(r"^GIT_KEPT := ((?:.*\\\n)*.*)$", tree.read("Makefile"), re.MULTILINE)
    assert found
    assert set(found[1].replace("\\\n", " ").split()) == git.KEPT_VARIABLES


def test_a_wrong_config_is_refused_before_the_graph_removes_anything() -> None:
    recipes = re.findall(
        r"^\t@?(.*dvc repro.*|.*\$\(REPRO\).*)$", tree.read("Makefile"), re.MULTILINE
    )
    assert recipes
    assert [one for one in recipes if not one.startswith("$(REPRO) ")] == []
    start = "REPRO := python -m pipeline.usecase.every_config && \\\n  SHELL=/bin/sh python -m "
    assert f"\n{start}pipeline.shared.dvc repro\n" in tree.read("Makefile")


@pytest.mark.parametrize(
    ("name", "other"),
    [("a%b", "a-b"), ("a:b", "a-b"), ("né %:", "né --"), ("{x,y}", "-x,y-")],
)
def test_a_folder_whose_name_tools_cannot_read_is_refused_with_another(
    folder: Path, name: str, other: str
) -> None:
    shutil.copytree(folder, folder / name)
    done = _make(folder / name, "checkout")
    assert done.returncode == 2
    assert f"{folder}/{name} has %, :, {{ or }} in its name" in done.stderr
    assert f"rename it, as to {folder}/{other}, then make relocate" in done.stderr


@pytest.mark.parametrize("name", ["a b", "né", "h#h", "it's", "d$d", 'x"y', "`touch x`", "q?;&"])
def test_a_folder_of_any_other_name_is_no_part_of_a_command(folder: Path, name: str) -> None:
    shutil.copytree(folder, folder / name)
    for path in CHECKED:
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / path, folder / name / path)
    done = _make(folder / name, "checkout")
    assert f"EnvironmentUnfit: {folder}/{name} is not a git checkout with a commit" in done.stderr
    assert not (folder / name / "x").exists()


def test_the_environment_is_made_to_be_moved() -> None:
    """Its programs find their Python beside them, not by a full path."""
    setup = tree.read(".ci/setup.py")
    assert setup.index('"-m", "venv", VENV') < setup.index('"relocatable = true\\n"')
    made = re.findall(r"\$\(UV\) venv (.*)", tree.read("Makefile"))
    assert made
    assert [options for options in made if "--relocatable" not in options] == []


def test_a_line_that_runs_make_again_runs_nothing_else() -> None:
    """Make runs such a line under `make -n`, too, with all that stands on it."""
    lines = re.findall(r"^\t.*\$[({]MAKE[)}].*$", tree.read("Makefile"), re.MULTILINE)
    alone = re.compile(r"\t@?\$\(MAKE\)( [a-z-]+| \$\(NOW\))+")
    assert [line for line in lines if not alone.fullmatch(line)] == []
