import shutil
from pathlib import Path

import pytest

from tests.cockpit import life


@pytest.fixture(scope="session")
def _story(tmp_path_factory):
    return life.live_through(tmp_path_factory.mktemp("story"))


@pytest.fixture
def story(_story, tmp_path) -> Path:
    """A folder in which two months went by, which the test may spoil."""
    return shutil.copytree(_story, tmp_path / "story")


@pytest.fixture
def empty(tmp_path) -> Path:
    """A folder with configs, in which nothing happened."""
    return life.start(tmp_path / "empty")
