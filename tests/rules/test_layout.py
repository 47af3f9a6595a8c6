"""Laws 1 and 2: one word in every tree; everything in pipeline/ is a stage, except shared/."""

import ast
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pipeline.__main__ import STAGES
from tests.rules import tree

TOP = set(
    # The user's, then the usual files, then what tools want by name.
    "pipeline simulation cockpit configs data tests exercises benchmarks docs dvc.yaml dvc.lock "
    "MLproject Makefile README.md CHANGELOG.md LICENSE pyproject.toml requirements.lock "
    ".ci .dvc .dvcignore .gitattributes .github .gitignore .pre-commit-config.yaml".split()
)
LAYERS = [
    "adopt",
    "records",
    "registry",
    "models",
    "usecase",
    "flights",
    "bikes",
    "tabular",
    "shared",
]
"""What stages share, besides features, which is a stage as well: the use case among it."""
FORBIDDEN = {"utils", "helpers", "common", "base", "manager", "misc"}


def test_the_map_says_of_each_stage_what_it_does() -> None:
    """Whoever says what a stage is not for has to look again whenever that stage learns it."""
    text = tree.read("pipeline/__init__.py")
    rows = dict(re.findall(r"^([a-z]+) {2,}(\S.*->.*)$", text, re.MULTILINE))
    assert [stage for stage, row in rows.items() if re.search(r"\bnot\b|\bnever\b", row)] == []
    attempt = tree.read("pipeline/retrain/attempt.py")
    steps = [word for word in ("guards", "gate", "shadow", "canary") if word in rows["retrain"]]
    assert [word for word in steps if f'"{word}"' not in attempt] == []
    assert "when to train" in rows["retrain"]
    assert "retrain/policy" in " ".join(tree.reached(tree.entry("loop")))


def test_the_map_names_exactly_the_modules_of_pipeline() -> None:
    top = {name.split("/")[1].removesuffix(".py") for name in tree.deployed()}
    assert top - {"__init__", "__main__", *LAYERS} == set(tree.stages())
    text = tree.read("pipeline/__init__.py")
    cases = set(tree.use_cases()) - {"tabular"}  # found by their folders: `usecase` names one
    assert cases < set(LAYERS)
    assert [one for one in LAYERS if one not in cases and f"`{one}`" not in text] == []


def test_the_command_line_knows_the_stages_in_the_order_of_the_map() -> None:
    folders = [target.partition(":")[0].split(".")[1] for target in STAGES.values()]
    found = [folder for folder in dict.fromkeys(folders) if folder not in LAYERS]
    assert found == tree.stages()


@pytest.mark.parametrize("command", tree.commands())
def test_a_command_is_a_stage_or_a_second_function_of_one(command: str) -> None:
    _, _, function = tree.commands()[command].partition(":")
    assert function == ("run" if command in tree.stages() else command.replace("-", "_"))


def test_every_stage_has_a_config_and_every_config_a_stage() -> None:
    """Beside its config, a stage may have a folder of what clusters are told about it."""
    names = {name.split("/")[1] for name in tree.files() if name.startswith("configs/")}
    assert {name.removesuffix(".yaml") for name in names} == {*tree.stages(), "usecase"}
    assert {f"{name}.yaml" for name in names if not name.endswith(".yaml")} <= names


def test_every_command_is_a_target_of_make_in_the_order_of_the_flow() -> None:
    names = [name for name in tree.targets() if name in tree.commands()]
    assert set(names) == set(tree.commands())
    assert [name for name in names if name in STAGES] == list(STAGES)


def test_every_command_is_an_entry_point_of_mlflow_in_the_order_of_the_flow() -> None:
    points = list(tree.load("MLproject")["entry_points"])
    targets = [name for name in tree.targets() if name in tree.commands()]
    assert [name for name in points if name != "main"] == targets


@pytest.mark.parametrize("stage", tree.stages())
def test_every_stage_has_its_tests(stage: str) -> None:
    pattern = rf"tests/(test_{stage}|{stage}/(\w+/)?test_\w+)\.py"
    assert any(re.fullmatch(pattern, name) for name in tree.files()), f"no tests of {stage}"


def test_every_stage_has_its_folder_below_data() -> None:
    assert tree.data_folders() == {stage.upper(): f"data/{stage}" for stage in tree.stages()}


def test_the_graph_runs_stages_in_the_order_of_the_map() -> None:
    assert list(tree.graph()) == [stage for stage in tree.stages() if stage in tree.graph()]


def test_the_map_says_which_stages_the_graph_runs() -> None:
    first, *_, last = tree.graph()
    assert f"DVC runs {first} .. {last}" in tree.read("pipeline/__init__.py")


@pytest.mark.parametrize("stage", tree.graph())
def test_a_stage_writes_only_below_its_own_folder(stage: str) -> None:
    assert [o for o in tree.outs(tree.graph()[stage]) if not o.startswith(f"data/{stage}/")] == []


def test_nothing_in_pipeline_is_called_by_a_name_that_says_nothing() -> None:
    words = {
        name: set(re.split(r"[/_.]", name.removeprefix("pipeline/"))) & FORBIDDEN
        for name in tree.files()
        if name.startswith("pipeline/")
    }
    assert {name: found for name, found in words.items() if found} == {}


MOST_LINES = 300


def test_no_file_of_the_code_is_too_long_to_be_read_at_once() -> None:
    folders = ("pipeline/", "simulation/", "cockpit/")
    lines = {
        name: (tree.ROOT / name).read_bytes().count(b"\n")
        for name in tree.files()
        if name.startswith(folders) and not name.endswith(".csv")  # a published table
    }
    assert {folder for name in lines for folder in folders if name.startswith(folder)} == {*folders}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


@cache
def _reached() -> dict[str, set[str]]:
    """By stage or layer, and for the simulation, all files that it imports in the end."""
    parts: dict[str, set[str]] = {}
    for name in tree.code():
        top, below = name.split("/")[:2]
        parts.setdefault(below if top == "pipeline" else top, set()).add(name)
    return {top: tree.reached(names) for top, names in parts.items() if top != "shared"}


@pytest.mark.parametrize(
    "name",
    [name for name in tree.code() if re.fullmatch(r"pipeline/shared/(?!__init__|config/).+", name)],
)
def test_what_is_shared_is_used_by_two_or_more_stages(name: str) -> None:
    users = [top for top, reached in _reached().items() if name in reached]
    assert len(users) >= 2, f"{name} is used by {users or 'no stage'}"


def test_the_top_level_holds_only_what_the_layout_names() -> None:
    assert {name.split("/")[0] for name in tree.files()} - TOP == set()


RUN_ELSEWHERE = {
    "pipeline/adopt/__main__.py": "`make adopt`, which writes a use case before any stage runs",
    "pipeline/adopt/unpickle.py": "a child of `make adopt`, which loads what is not ours",
    "pipeline/__main__.py": "starts every command",
    "pipeline/retrain/airflow.py": "`make airflow`, in an environment of its own",
    "pipeline/retrain/kubeflow.py": "`make kubeflow`, in an environment of its own",
    "pipeline/usecase/every_config.py": "make runs it before DVC",
    "pipeline/usecase/take.py": "puts another use case into a checkout",
    "simulation/up_to_date.py": "make asks it before a run",
    "simulation/__main__.py": "starts every command that sends requests",
    "cockpit/__main__.py": "`make ui`, which writes nothing and is no command of the pipeline",
    "cockpit/again.py": "the cockpit starts it beside itself",
    "pipeline/serve/kserve.py": "configs/serve/inferenceservice.yaml runs it",
}


def test_every_module_is_run_by_a_command_or_is_known_not_to_be() -> None:
    run = set().union(*(tree.reached(tree.entry(stage)) for stage in tree.commands()))
    window = {name for name in RUN_ELSEWHERE if name.startswith(("cockpit/", "pipeline/adopt/"))}
    run |= tree.reached(window) - set(RUN_ELSEWHERE)
    assert set(tree.code()) - run == set(RUN_ELSEWHERE)


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf", "core.autocrlf=input"])
def test_every_file_has_the_same_bytes_whatever_git_is_set_to(tmp_path: Path, setting: str) -> None:
    """Hashes name files by their bytes; git for Windows changes line ends unless it is told."""
    tracked = [name for name in tree.files() if name.split("/")[0] in ("pipeline", "configs")]
    (tmp_path / "attributes").write_text("* text=auto eol=crlf ident\n")
    users = [setting, f"core.attributesFile={tmp_path}/attributes"]
    options = [word for one in users for word in ("-c", one)]
    _git(tmp_path, *options, "init", "--quiet", "copy")
    for name in [".gitattributes", *tracked]:
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / name, tmp_path / "copy" / name)
    (tmp_path / "copy" / "crlf.txt").write_bytes(b"of Windows\r\n$Id$\n")
    _git(tmp_path / "copy", *options, "add", "--all")
    _git(tmp_path / "copy", *options, "commit", "--quiet", "--message", "as it is")
    paths = [tmp_path / "copy" / name for name in [*tracked, "crlf.txt"]]
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    _git(tmp_path / "copy", *options, "checkout", "--", ".")
    assert {path: path.read_bytes() for path in paths} == before


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    environment = tree.environment(GIT_CONFIG_GLOBAL=os.devnull)
    subprocess.run(["git", *identity, *arguments], cwd=folder, env=environment, check=True)


def _dates(name: str) -> list[str]:
    """Where a file cuts the first ten characters out of flights' names, as it is written."""
    found = []
    for node in ast.walk(tree.parsed(name)):
        text = ast.unparse(node) if isinstance(node, ast.Subscript | ast.Call) else ""
        if re.search(r"(\.str|flights?|names?)(\[(0)?:10\]|\.slice\((0, |stop=)10\))$", text):
            found.append(text)
    return found


def test_the_day_in_a_flights_name_is_read_in_one_place() -> None:
    """Another name or another day of it would else be met by some readers only."""
    folders = ("pipeline/", "benchmarks/", "exercises/", "docs/")
    code = [name for name in tree.files() if name.startswith(folders) and name.endswith(".py")]
    found = {name: cut for name in code if (cut := _dates(name))}
    assert found == {"pipeline/monitor/predictions.py": ["names.str.slice(0, 10)"]}
