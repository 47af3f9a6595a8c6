"""A new feature is one line: the join, the store and the model's inputs follow from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from exercises.drill import replace_once
from exercises.scratch import scratch
from pipeline.features.definitions import FEATURES, service_version
from tests.rules import tree

pytestmark = [pytest.mark.answer("feature-store"), pytest.mark.slow]

ADDED = "route_late_14d"
ASKED = f"""
from pipeline.features import transform
from pipeline.features.definitions import FEATURES, RANGES, matrix, service_version
from pipeline.features.join import historical
from pipeline.shared.config import FeaturesConfig, load
from tests.builders import flights, weather

config = load(FeaturesConfig)
raw, sky = flights(), weather()
rows = historical(transform.requests(raw, config), transform.views(raw, sky, config), config)
assert rows["{ADDED}"].between(*RANGES["{ADDED}"]).all() and rows["{ADDED}"].nunique() > 5
assert matrix(rows, FEATURES).shape == (len(raw), len(FEATURES))
print(len(FEATURES), service_version({{}}))
"""
SAME = [f"tests/features/test_{name}.py" for name in ("definitions", "on_demand", "repository")]


def test_a_line_adds_a_feature_to_the_join_the_store_and_the_inputs(tmp_path: Path) -> None:
    """Its tests come with it: those of every feature pass for this one, in the store's too."""
    copy = scratch(tmp_path)
    replace_once(
        copy / "pipeline/features/definitions.py", '"late": [168, 672]},\n    "hour', _with(336)
    )
    count, version = _python(copy, "-c", ASKED).split()
    assert int(count) == len(FEATURES) + 1
    assert version != service_version({})
    assert " passed" in _python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SAME)


def _with(hours: int) -> str:
    return f'"late": [168, {hours}, 672]}},\n    "hour'


def _python(folder: Path, *arguments: str) -> str:
    environment = tree.environment(PYTHONPATH=str(folder))
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
