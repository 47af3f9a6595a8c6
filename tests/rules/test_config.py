"""Configs: numbers with reasons, typed; a typo or an absurd number is refused by name."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.shared.config.loading import load
from pipeline.shared.errors import ConfigError
from pipeline.usecase.every_config import ALL_SECTIONS as EVERY
from tests.rules import tree

SECTIONS = {section.stage: section for section in EVERY}
OUT_OF_RANGE: dict[str, tuple[str, Any]] = {
    "ingest": ("as_of", "2013-13"),
    "validate": ("max_quarantined_share", 1.5),
    "features": ("horizon_minutes", 0),
    "train": ("boosting.learning_rate", 5),
    "tune": ("folds", 1),
    "evaluate": ("bootstrap.draws", 10),
    "register": ("model_name", "Two Words"),
    "reproduce": ("prediction_tolerance", 1),
    "serve": ("max_lag_minutes", 0),
    "rollout": ("canary.max_days", -14),
    "monitor": ("prediction_alert", -1),
    "retrain": ("holdout_days", 0),
}


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a copy of configs/."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(tree.ROOT / "configs", tmp_path / "configs"))


def _change(path: Path, key: str, value: Any) -> None:
    values = yaml.safe_load(path.read_text())
    *above, last = key.split(".")
    section = values
    for part in above:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(values))


def _run(stage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", stage],
        cwd=folder,
        env=tree.environment(PYTHONPATH=str(tree.ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_stage_has_one_typed_section() -> None:
    assert list(SECTIONS) == tree.stages()
    assert set(OUT_OF_RANGE) == set(SECTIONS)


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_config_loads_and_cannot_be_changed(stage: str, configs: Path) -> None:
    section = load(SECTIONS[stage])
    with pytest.raises(ValueError, match="frozen"):
        setattr(section, next(iter(SECTIONS[stage].model_fields)), None)


@pytest.mark.parametrize("stage", SECTIONS)
def test_an_unknown_key_is_refused_by_name(stage: str, configs: Path) -> None:
    _change(configs / f"{stage}.yaml", "mispelt_key", 1)
    with pytest.raises(ConfigError, match=rf"configs/{stage}\.yaml .*\n  mispelt_key: Extra"):
        load(SECTIONS[stage])


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_missing_key_is_refused_by_name(stage: str, configs: Path) -> None:
    path = configs / f"{stage}.yaml"
    gone, *kept = yaml.safe_load(path.read_text()).items()
    path.write_text(yaml.safe_dump(dict(kept)))
    with pytest.raises(
        ConfigError, match=rf"configs/{stage}\.yaml .*\n  {gone[0]}: Field required"
    ):
        load(SECTIONS[stage])


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_value_out_of_range_is_refused_by_name_with_the_value(stage: str, configs: Path) -> None:
    key, value = OUT_OF_RANGE[stage]
    _change(configs / f"{stage}.yaml", key, value)
    with pytest.raises(ConfigError, match=rf"\n  {key}: .*{value}"):
        load(SECTIONS[stage])


def test_the_command_line_answers_a_wrong_config_with_2_and_writes_nothing(configs: Path) -> None:
    _change(configs / "train.yaml", "max_dpeth", 5)
    _change(configs / "train.yaml", "boosting.learning_rate", 5)
    done = _run("train", configs.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("train: ConfigError: configs/train.yaml has 2 wrong key(s)")
    assert "max_dpeth: Extra inputs are not permitted" in done.stderr
    assert "boosting.learning_rate: Input should be less than or equal to 1, got 5" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in configs.parent.iterdir()] == ["configs"]


def test_the_command_line_answers_an_unknown_stage_with_2(tmp_path: Path) -> None:
    done = _run("trian", tmp_path)
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr
