"""Features added by the README's recipe: the join, the store, the inputs and the tests follow.

One of each kind: a window of a view, a column of a view by hour and by event, a value of a request.
"""

import re
import subprocess
from pathlib import Path

import pytest

from exercises.drill import replace_once
from pipeline.features.definitions import FEATURES, service_version
from tests.flow import life
from tests.rules import tree

pytestmark = [pytest.mark.answer("feature-store"), pytest.mark.slow]

NAMES = "pipeline/features/definitions.py"
OF_VIEWS, OF_REQUESTS = "pipeline/features/windows.py", "pipeline/features/on_demand.py"
Change = tuple[str, str, str]
ADDED: dict[str, list[Change]] = {
    "route_late_14d": [(NAMES, '672]},\n    "hour"', '336, 672]},\n    "hour"')],
    "is_weekend": [
        (NAMES, "SCHEDULE = [*REQUEST]", 'SCHEDULE = [*REQUEST, "is_weekend"]'),
        (
            OF_REQUESTS,
            '    values["aircraft_age"]',
            '    values["is_weekend"] = request["day_of_week"] >= 5\n    values["aircraft_age"]',
        ),
    ],
    "dew_spread": [
        (NAMES, '"pressure_change_3h"),', '"pressure_change_3h", "dew_spread"),'),
        (
            OF_VIEWS,
            "        pressure_change_3h=",
            '        dew_spread=frame["temp"] - frame["dewp"],\n        pressure_change_3h=',
        ),
    ],
    "aircraft_distance": [
        (NAMES, '"aircraft_airborne"]', '"aircraft_airborne", "aircraft_distance"]'),
        (
            OF_VIEWS,
            '            "aircraft_airborne": 1.0,',
            '            "aircraft_airborne": 1.0,\n'
            '            "aircraft_distance": flown["distance"].to_numpy(),',
        ),
    ],
}
"""Each feature, and what a person changes for it: a file, and what is replaced there by what."""
ASKED = f"""
from pipeline.features import windows
from pipeline.features.definitions import FEATURES, matrix, service_version
from pipeline.features.point_in_time import historical
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from tests.builders import flights, weather

config = load(FeaturesConfig)
raw, sky = flights(tailnum=[f"N{{n % 13}}" for n in range(620)]), weather()
rows = historical(windows.requests(raw, config), windows.views(raw, sky, config), config)
assert matrix(rows, FEATURES).shape == (len(raw), len(FEATURES))
for name in {list(ADDED)}:
    assert rows[name].nunique() > 1 and name in FEATURES, name
print(len(FEATURES), service_version({{}}))
"""
NEAR = ["tests/features", "tests/serve/test_app.py", "tests/rules/test_personal.py"]
"""The tests that today's features are written in most; the nightly runs all of the fast ones."""


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch copy with all of these features."""
    copy = life.checkout(tmp_path_factory.mktemp("addition") / "copy")
    for changes in ADDED.values():
        for name, old, new in changes:
            replace_once(copy / name, old, new)
    return copy


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=life.settings(folder, PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    return done.stdout


def test_the_readme_names_the_files_that_a_feature_needs(added: Path) -> None:
    recipe = re.search(r"^- \*\*Add a feature\*\*:.*?(?=^- )", tree.read("README.md"), re.M | re.S)
    assert recipe is not None
    changed = life.git(added, "diff", "--name-only").split()
    named = {Path(name).name for name in re.findall(r"`(\S+\.py)`", recipe[0])}
    assert named == {Path(name).name for name in changed}
    assert all(len({name for name, *_ in changes}) <= 2 for changes in ADDED.values())


def test_a_feature_is_in_the_join_the_inputs_and_the_version_of_the_service(added: Path) -> None:
    count, version = _run(added, "python", "-c", ASKED).split()
    assert int(count) == len(FEATURES) + len(ADDED)
    assert version != service_version({})


@pytest.mark.timeout(3600)  # against a hang: a minute where nobody else computes
def test_the_tests_of_features_pass_with_the_new_ones(added: Path) -> None:
    said = _run(added, "python", "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *NEAR)
    assert re.search(r"^\d+ passed", said, re.MULTILINE), said


@pytest.mark.nightly
@pytest.mark.timeout(3600)  # against a hang: four minutes where nobody else computes
def test_the_whole_fast_suite_passes_with_the_new_ones(added: Path) -> None:
    said = _run(added, "make", "fast")
    assert re.search(r"\d+ passed", said), said


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_whole_graph_runs_with_the_new_ones(added: Path) -> None:
    said = _run(added, "make", "small")
    assert f"{len(FEATURES) + len(ADDED)} inputs" in said
    assert "small: passed" in said
