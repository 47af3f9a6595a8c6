"""A project that is copied and renamed lives on in its own folder, whatever that is called."""

import sqlite3
from contextlib import closing

import pytest

from pipeline.shared.files import file_hash
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]

REGISTER = ("make", "evaluate", "register", "lineage")
ODD = "né # it's b"


def contents(folder):
    """What a project has stored, and what its checkout holds."""
    tops = ("state", "data", ".dvc", ".git")
    found = [path for top in tops for path in (folder / top).rglob("*") if path.is_file()]
    return {path: file_hash(path) for path in found}


def test_a_copy_registers_in_itself_and_leaves_the_original_as_it_was(shelf, small):
    original = small.folder
    before = contents(original)
    folder = life.twin(original, shelf / ODD)
    life.run(folder, *REGISTER).well()
    renamed = folder.rename(shelf / f"{ODD} again")
    said = life.run(renamed, "make", "lineage").well().words
    assert "flight-delay version 1" in said
    assert contents(original) == before
    with closing(sqlite3.connect(renamed / "state/mlflow.db")) as registry:
        places = registry.execute("SELECT artifact_uri FROM runs").fetchall()
    assert {place.split("/")[0] for (place,) in places} == {"state"}
