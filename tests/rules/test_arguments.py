"""What reaches a target: arguments from the command line, of the environment the user's network."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.rules import tree

TEXT = tree.read("Makefile")
ARGUMENTS = re.search(r"^ARGUMENTS := ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)[1].split()
ARGUMENTS = [name for name in ARGUMENTS if name != "\\"]
SHELLS = {"PATH", "PWD", "SECONDS", "CURDIR"}
PROBE = """
include Makefile
told:
\t@env -0 > told
below:
\t@$(MAKE) -f probe.mk told
"""
NASTY = [
    "plain",
    "two words",
    "$(touch x)",
    "$(shell touch x)",
    "$x $$y ${z}",
    "`touch x`",
    "; touch x",
    "a'b",
    'a"b',
    "a\\b",
    "--help",
    "#no comment",
    "né",
]
NETWORK = {
    "PIP_INDEX_URL": "http://localhost:9/simple",
    "PIP_EXTRA_INDEX_URL": "http://localhost:9/more",
    "PIP_FIND_LINKS": "/wheels",
    "PIP_CERT": "/ca.pem",
    "PIP_CLIENT_CERT": "/me.pem",
    "PIP_PROXY": "http://localhost:9",
    "PIP_TRUSTED_HOST": "localhost",
    "PIP_DEFAULT_TIMEOUT": "9",
    "PIP_CONFIG_FILE": "/pip.conf",
    "UV_DEFAULT_INDEX": "http://localhost:9/simple",
    "UV_INDEX": "http://localhost:9/simple",
    "UV_INDEX_COMPANY_USERNAME": "me",
    "UV_EXTRA_INDEX_URL": "http://localhost:9/more",
    "UV_INSECURE_HOST": "localhost",
    "UV_NATIVE_TLS": "true",
    "UV_HTTP_TIMEOUT": "9",
    "UV_CACHE_DIR": "/cache",
    "SSL_CERT_FILE": "/ca.pem",
    "REQUESTS_CA_BUNDLE": "/ca.pem",
    "HTTPS_PROXY": "http://localhost:9",
    "no_proxy": "localhost",
    "PYTHONUNBUFFERED": "1",
}
ELSEWHERE = [
    *("PIP_TARGET PIP_USER PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIRE_VIRTUALENV".split()),
    *("PIP_NO_DEPS PIP_REQUIRE_HASHES PIP_PYTHON PIP_NO_BINARY PIP_ANYTHING_NEW".split()),
    *("UV_TARGET UV_SYSTEM_PYTHON UV_PROJECT_ENVIRONMENT UV_CONSTRAINT UV_OVERRIDE".split()),
    *("UV_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_NO_BINARY UV_EXCLUDE_NEWER UV_ANYTHING_NEW".split()),
    *("PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONSTARTUP PYTHONUSERBASE".split()),
    *("PYTHONNOUSERSITE PYTHONWARNINGS PYTHONDONTWRITEBYTECODE PYTHONANYTHINGNEW".split()),
    *("PYTHONIOENCODING VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__".split()),
    *("BASH_ENV BASHOPTS CDPATH ENV GLOBIGNORE GREP_OPTIONS POSIXLY_CORRECT SHELLOPTS".split()),
]
FUNCTIONS = {
    f"BASH_FUNC_{name}%%": "() {  touch taken; }"
    for name in "awk dvc env git make python python3 rm".split()
}
"""What `export -f` leaves in the environment."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(tree.ROOT / "Makefile", tmp_path)
    (tmp_path / "probe.mk").write_text(PROBE)
    return tmp_path


def _told(folder: Path, target: str, *arguments: str, **changes: str) -> dict[str, str]:
    """The environment that a recipe sees."""
    subprocess.run(
        ["make", "-f", "probe.mk", target, *arguments],
        cwd=folder,
        env=tree.environment(**changes),
        capture_output=True,
        check=True,
    )
    pairs = (folder / "told").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def test_every_argument_that_a_recipe_reads_is_declared() -> None:
    recipes = "\n".join(line for line in TEXT.splitlines() if line.startswith(("\t", "ROLLED")))
    read = set(re.findall(r"\$\$\{?([A-Z][A-Z_]*)", recipes))
    assert read - SHELLS == set(ARGUMENTS) - {"BASE", "STEP"}  # two are read by Python
    assert 'os.environ.get("BASE")' in tree.read("docs/report.py")
    assert 'os.environ.get("STEP")' in tree.read("tests/flow/orchestrate.py")


def test_no_recipe_takes_the_text_of_an_argument_for_its_own() -> None:
    """As `$(Q)` it would be code: make writes it into the line that a shell reads."""
    assert [name for name in ARGUMENTS if re.search(rf"\$[({{]{name}[)}}]", TEXT)] == []


@pytest.mark.parametrize("target", ["told", "below"])
def test_what_a_system_exports_by_an_arguments_name_is_not_taken(folder: Path, target: str) -> None:
    told = _told(folder, target, **dict.fromkeys(ARGUMENTS, "exported"))
    assert {name: told.get(name, "") for name in ARGUMENTS} == dict.fromkeys(ARGUMENTS, "")


@pytest.mark.parametrize("target", ["told", "below"])
@pytest.mark.parametrize("text", NASTY)
def test_an_argument_reaches_a_recipe_as_it_was_typed(folder: Path, target: str, text: str) -> None:
    told = _told(folder, target, *[f"{name}={text}" for name in ARGUMENTS], VERSION="exported")
    assert {told[name] for name in ARGUMENTS} == {text}
    assert not (folder / "x").exists()


@pytest.mark.parametrize("target", ["told", "below"])
@pytest.mark.parametrize("text", [*NASTY, "1\n2"])
def test_a_workflow_hands_arguments_over_by_a_prefix(folder: Path, target: str, text: str) -> None:
    told = _told(folder, target, PIPELINE_AS_OF=text, PIPELINE_BASE=text, PIPELINE_VERSION=text)
    assert told["AS_OF"] == told["BASE"] == text
    assert told["VERSION"] == ""
    assert not (folder / "x").exists()


def test_workflows_hand_over_only_what_is_taken() -> None:
    handed = re.search(r"^HANDED := (.*)$", TEXT, re.MULTILINE)[1].split()
    workflows = [name for name in tree.files() if name.startswith(".github/workflows/")]
    names = {
        name
        for workflow in workflows
        for name in re.findall(r"^ +PIPELINE_([A-Z_]+):", tree.read(workflow), re.MULTILINE)
    }
    assert names - {"TRACKING_URL"} == set(handed)
    bare = re.compile(rf"^ +(?:{'|'.join(ARGUMENTS)}):", re.MULTILINE)
    assert [name for name in workflows if bare.search(tree.read(name))] == []


@pytest.mark.parametrize("target", ["told", "below"])
def test_of_the_users_settings_those_of_the_network_reach_the_tools(
    folder: Path, target: str
) -> None:
    told = _told(folder, target, **NETWORK)
    assert {name: told.get(name) for name in NETWORK} == NETWORK


@pytest.mark.parametrize("target", ["told", "below"])
def test_what_names_a_place_or_a_package_reaches_no_tool(folder: Path, target: str) -> None:
    told = _told(folder, target, **dict.fromkeys(ELSEWHERE, "/nowhere"))
    assert [name for name in ELSEWHERE if name in told] == []


@pytest.mark.parametrize("target", ["told", "below"])
def test_no_function_of_the_users_shell_takes_the_place_of_a_program(
    folder: Path, target: str
) -> None:
    """Bash would take them from the environment, and what it starts in turn would."""
    told = _told(folder, target, **FUNCTIONS)
    assert not (folder / "taken").exists()
    assert [name for name in told if name.startswith("BASH_FUNC_")] == []


@pytest.mark.parametrize("target", ["told", "below"])
@pytest.mark.parametrize("setting", ["0", "junk", ""])
def test_every_python_reads_and_writes_utf_8(folder: Path, target: str, setting: str) -> None:
    told = _told(folder, target, PYTHONUTF8=setting, PYTHONIOENCODING="ascii")
    assert told["PYTHONUTF8"] == "1"


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent", "", None])
def test_a_home_that_is_no_folder_is_replaced(folder: Path, home: str | None) -> None:
    changes = {"HOME": home} if home is not None else {}
    kept = {"XDG_STATE_HOME": str(folder), "XDG_CACHE_HOME": f"{folder}/not-yet"}
    without = tree.environment(**changes, **kept, XDG_CONFIG_HOME="/dev/null")
    if home is None:
        del without["HOME"]
    command = ["make", "-f", "probe.mk", "told"]
    subprocess.run(command, cwd=folder, env=without, capture_output=True, check=True)
    told = dict(pair.split("=", 1) for pair in (folder / "told").read_text().split("\0") if pair)
    assert told["HOME"] == f"{folder}/state/home"
    assert {name: told.get(name) for name in kept} == kept
    assert "XDG_CONFIG_HOME" not in told


def test_a_home_that_cannot_be_written_is_replaced(folder: Path) -> None:
    """As of an account without a name in a container, whose home is the root."""
    with tempfile.TemporaryDirectory() as open_to_all:
        copy = Path(open_to_all, "copy")
        shutil.copytree(folder, copy)
        sealed = Path(open_to_all, "sealed")
        sealed.mkdir(mode=0o555)
        for path in (Path(open_to_all), copy):
            path.chmod(0o777)
        # Nothing is sealed for root, which some containers and workflows are.
        somebody = {"user": 65534, "group": 65534, "extra_groups": []} if not os.geteuid() else {}
        subprocess.run(
            ["make", "-f", "probe.mk", "told"],
            cwd=copy,
            env=tree.environment(HOME=str(sealed)),
            capture_output=True,
            check=True,
            **somebody,
        )
        pairs = (copy / "told").read_text().split("\0")
        assert f"HOME={copy}/state/home" in pairs


def test_a_home_that_is_a_folder_stays_the_users(folder: Path) -> None:
    (folder / "of theirs").mkdir()
    assert _told(folder, "told", HOME=f"{folder}/of theirs")["HOME"] == f"{folder}/of theirs"


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [(["-e"], {}), (["-ke"], {}), (["--environment-overrides"], {}), ([], {"MAKEFLAGS": "e"})],
    ids=str,
)
def test_make_that_lets_the_environment_win_is_refused(
    folder: Path, arguments: list[str], changes: dict[str, str]
) -> None:
    done = subprocess.run(
        ["make", *arguments, "help"],
        cwd=folder,
        env=tree.environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "make -e (or -e in MAKEFLAGS) lets the environment take the place" in done.stderr
    assert "run make without it" in done.stderr


@pytest.mark.parametrize("arguments", [["Q=e"], ["-k", "D=-e"], ["--always-make"]], ids=str)
def test_an_argument_with_an_e_is_no_such_flag(folder: Path, arguments: list[str]) -> None:
    assert _told(folder, "told", *arguments)


@pytest.mark.parametrize("jobs", [[], ["-j4"]], ids=["one job", "four"])
@pytest.mark.parametrize("goals", [["ci"], ["run"], ["checkout", "ci"]], ids=" ".join)
def test_a_targets_prerequisites_are_made_in_their_order(
    folder: Path, goals: list[str], jobs: list[str]
) -> None:
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    (folder / ".venv/installed").touch()
    for name in "python pytest ruff mypy lint-imports zizmor dvc git".split():
        wait = 'echo "begins $0 $*" >> log; sleep 0.1; echo "ends $0 $*" >> log'
        (programs / name).write_text(f"#!/bin/sh\n{wait}\n")
        (programs / name).chmod(0o755)
    (folder / "requirements.lock").touch()
    (folder / ".venv/installed").touch()
    command = ["make", *jobs, *goals]
    subprocess.run(command, cwd=folder, env=tree.environment(), capture_output=True, check=True)
    log = [line.partition(" ") for line in (folder / "log").read_text().splitlines()]
    assert len(log) > 4
    assert [what for what, _, _ in log] == ["begins", "ends"] * (len(log) // 2)
    assert [words for _, _, words in log[::2]] == [words for _, _, words in log[1::2]]
