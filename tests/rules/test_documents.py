"""YAML is read by one door, which refuses a key that stands twice; so is what it holds checked."""

import ast
import json
import re
from typing import Any

import pytest
import yaml

from pipeline.shared import yaml_files
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.dvc_lock import read_lock
from pipeline.shared.errors import ArtifactTampered, ConfigError
from tests.rules import tree

DOOR = "pipeline/shared/yaml_files.py"
ALLOWED = {
    "pipeline/retrain/airflow.py": "runs in Airflow's environment, imports nothing of the project",
    "pipeline/retrain/kubeflow.py": "runs in the SDK's environment, imports nothing of the project",
    "pipeline/shared/config/loading.py": "forbids aliases as well, by a loader of the door",
}
READERS = re.compile(r"yaml\.(?:load|load_all|(?:safe|full|unsafe)_load(?:_all)?)")
YAML = [name for name in tree.files() if re.search(r"\.ya?ml$", name) or name == "dvc.lock"]
PAGES = [name for name in tree.files() if re.fullmatch(r"docs/answers/[a-z-]+\.md", name)]
RECORDS = [name for name in tree.files() if name.endswith(".json")]


def _reads_yaml(name: str) -> bool:
    calls = (node for node in ast.walk(tree.parsed(name)) if isinstance(node, ast.Call))
    return any(READERS.fullmatch(ast.unparse(call.func)) for call in calls)


def test_yaml_is_read_by_one_door() -> None:
    """Tests may read it as they like: every file that they read is one of those checked below."""
    ours = [
        n for n in tree.files() if n.endswith(".py") and not re.match(r"tests/(?!rules/tree)", n)
    ]
    assert {name for name in ours if _reads_yaml(name)} == {DOOR, *ALLOWED}


@pytest.mark.parametrize("name", YAML)
def test_no_key_stands_twice_in_a_yaml_file(name: str) -> None:
    list(yaml.load_all(tree.read(name), Loader=yaml_files.FastLoader))  # manifests hold several


@pytest.mark.parametrize("name", PAGES)
def test_no_key_stands_twice_in_a_page_s_header(name: str) -> None:
    yaml_files.parse(tree.read(name).split("---\n", 2)[1])


def _differing(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert sorted(set(keys)) == sorted(keys)
    return dict(pairs)


@pytest.mark.parametrize("name", RECORDS)
def test_no_name_stands_twice_in_a_json_file(name: str) -> None:
    json.loads(tree.read(name), object_pairs_hook=_differing)


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3", "x:\n  - {a: 1, b: 2, a: 1}", "1: a\n1: b", "'a': 1\na: 2"]
)
def test_a_key_that_stands_twice_is_refused_with_its_lines(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key '[a1]' of line \d stands again in line \d"):
        yaml_files.parse(text)


def test_the_same_key_in_two_mappings_is_no_repetition() -> None:
    assert yaml_files.parse("x: {a: 1}\ny: {a: 2}\nz: [{a: 3}, {a: 4}]")["z"] == [
        {"a": 3},
        {"a": 4},
    ]


def test_a_config_with_a_key_twice_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    text = tree.read("configs/ingest.yaml")
    (tmp_path / "configs/ingest.yaml").write_text(f"{text}\nas_of: 2013-05\n")
    with pytest.raises(ConfigError, match=r"the key 'as_of' of line \d+ stands again in line \d+"):
        load(IngestConfig)


def test_a_lock_with_a_stage_twice_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(f"{tree.read('dvc.lock')}\n  ingest: {{}}\n")
    with pytest.raises(ArtifactTampered, match="the key 'ingest' of line"):
        read_lock(path)
