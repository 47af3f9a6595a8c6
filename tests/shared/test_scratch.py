"""A copied registry names the copy's files, whatever the folders are called."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from exercises.scratch import MOVED, relocate
from pipeline import register
from pipeline.shared import tracking
from pipeline.shared.config import RegisterConfig, load
from pipeline.shared.files import file_hash
from tests.shared import project

pytestmark = pytest.mark.answer("lineage")
NAMES = ["plain", "with space", "né", "100%", "a#b", "a?b", "it's", "a%20b", "日本"]


def registry(folder: Path, *texts: str) -> Path:
    """A database with the columns that hold paths, each with these."""
    (folder / "state").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(folder / "state/mlflow.db")) as database, database:
        for table, column in MOVED.items():
            database.execute(f"CREATE TABLE {table} ({column} TEXT)")
            for text in texts:
                database.execute(f"INSERT INTO {table} VALUES (?)", (text,))
    return folder


def held(folder: Path) -> list[list[str]]:
    with contextlib.closing(sqlite3.connect(folder / "state/mlflow.db")) as database:
        return [
            [text for (text,) in database.execute(f"SELECT {column} FROM {table} ORDER BY rowid")]
            for table, column in MOVED.items()
        ]


@pytest.mark.parametrize("old", NAMES)
@pytest.mark.parametrize("new", NAMES)
def test_every_way_to_write_a_folders_path_moves_and_no_other_path(tmp_path, old, new):
    source, to = tmp_path / "from" / old, tmp_path / "to" / new
    beside = source.with_name(f"{old}2")
    texts = [f"{source.as_uri()}/state/x", f"{source}/mlruns/0", source.as_uri(), str(source)]
    others = [f"{beside.as_uri()}/x", f"{beside}/x", "s3://bucket/x", f"s3://bucket{source}/x"]
    relocate(source, registry(to, *texts, *others))
    moved = [f"{to.as_uri()}/state/x", f"{to}/mlruns/0", to.as_uri(), str(to)]
    assert held(to) == [[*moved, *others]] * len(MOVED)


def test_a_folder_that_is_reached_by_a_link_moves_too(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    to = tmp_path / "to"
    relocate(tmp_path / "link/p", registry(to, f"{(tmp_path / 'real/p').as_uri()}/x"))
    assert held(to)[0] == [f"{to.as_uri()}/x"]


@pytest.mark.slow
def test_a_twin_in_a_folder_with_a_space_and_an_umlaut_reads_and_writes_its_own_files(
    judged, tmp_path_factory, monkeypatch
):
    first = tmp_path_factory.mktemp("ein Übergang")
    second = tmp_path_factory.mktemp("a twin, né")
    project.copy(judged, first)
    monkeypatch.chdir(first)
    shutil.rmtree("state")
    register.run()
    project.copy(first, second)
    shutil.rmtree(first)
    monkeypatch.chdir(second)
    champion = tracking.aliased(load(RegisterConfig), tracking.CHAMPION)
    assert champion
    path = tracking.fetch(load(RegisterConfig), champion)
    assert file_hash(path) == champion.digest
    assert path.is_relative_to(second)
