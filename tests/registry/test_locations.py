"""A project that is moved, copied or renamed: its registry's files are those of its own folder."""

import contextlib
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import mlflow
import pytest

from pipeline.register import register
from pipeline.registry import locations, runs, versions
from pipeline.registry.client import connect, experiment_id
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import TRAIN, Training, read_record
from pipeline.shared.errors import RegistryRefused
from pipeline.shared.files import file_hash
from pipeline.shared.secrets import Address
from tests.shared import project

pytestmark = pytest.mark.slow

STORED = locations._ROOTS | locations._BELOW
REGISTRY = Path("state/mlflow.db")


def stored(database):
    """Every folder that a registry names, by where it names it."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {
            (table, column): {
                value
                for (value,) in connection.execute(f"SELECT {column} FROM {table}")
                if value and not value.endswith("/mlruns/0")  # MLflow's own experiment, never used
            }
            for table, column in STORED
        }


def of_verdicts(database):
    """The folders that the runs of verdicts would have: they log no file, and so have none."""
    nested = "SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId'"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"SELECT artifact_uri FROM runs WHERE run_uuid IN ({nested})")
        return {uri for (uri,) in rows}


def contents(folder):
    """Every file of a folder, with its bytes."""
    return {
        path.relative_to(folder): file_hash(path) for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def elsewhere(registered, tmp_path_factory):
    """Where the project goes: a folder whose name MLflow would write in percents."""
    return tmp_path_factory.mktemp("moved") / "né 5%"


def named_in_full(folder):
    """Let a registry name the full paths of `folder`, as one of an earlier version does."""
    start = (folder / "state/artifacts").as_uri()
    with contextlib.closing(sqlite3.connect(REGISTRY)) as connection, connection:
        for table, column in STORED:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} LIKE ?",
                (start, len("state/artifacts") + 1, "state/artifacts%"),
            )


def live_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    project.point_at(folder)
    return load(RegisterConfig)


def champion_file(config):
    return versions.fetch_model(config, versions.version_of_alias(config, versions.CHAMPION))


def test_no_path_in_the_registry_leads_out_of_the_project(registered):
    found = stored(REGISTRY)
    assert found["experiments", "artifact_location"] == {"state/artifacts"}
    values = set().union(*found.values())
    assert len(values) >= 4
    assert {v for v in values if not v.startswith(("state/artifacts", "models:/"))} == set()
    folders = {v for v in values if not v.startswith("models:/")}
    assert {v for v in folders if not Path(v).is_dir()} == of_verdicts(REGISTRY)


def test_a_project_that_was_moved_finds_its_model(registered, elsewhere, monkeypatch):
    shutil.move(registered, elsewhere)
    registered.mkdir()  # pytest's own, which it takes away
    path = champion_file(live_in(elsewhere, monkeypatch))
    assert path.is_relative_to(elsewhere)


def test_what_a_copy_writes_is_in_the_copy(registered, elsewhere, monkeypatch):
    shutil.copytree(registered, elsewhere, symlinks=True)
    before = contents(registered)
    config = live_in(elsewhere, monkeypatch)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    runs.log_folder(config, champion.run_id, Path("configs"), "of-the-copy")
    register.run()
    assert contents(registered) == before
    assert list(elsewhere.glob("state/artifacts/*/artifacts/of-the-copy/train.yaml"))


@pytest.mark.long
def test_a_registry_out_of_the_project_keeps_full_paths(registered, tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    config = load(RegisterConfig).model_copy(
        update={"tracking_url": Address(f"sqlite:///{shared}/all.db")}
    )
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    made = experiment_id(connect(config), config)
    here = (registered / "state/artifacts").as_uri()
    assert client.get_experiment(made).artifact_location == here


@pytest.mark.parametrize("original", ["kept", "gone"])
def test_an_older_registry_in_another_folder_is_refused_with_both_names(
    registered, elsewhere, monkeypatch, original
):
    named_in_full(registered)
    shutil.copytree(registered, elsewhere, symlinks=True)
    if original == "gone":
        shutil.rmtree(registered / "state")
    before = contents(registered)
    config = live_in(elsewhere, monkeypatch)
    told = (
        f"{elsewhere}/{REGISTRY} keeps its files in {registered}/state/artifacts, this project "
        f"keeps them in {elsewhere}/state/artifacts: it was moved or copied"
    )
    with pytest.raises(RegistryRefused, match=rf"{re.escape(told)}.*: `make relocate`") as refused:
        register.run()
    assert "clean" not in str(refused.value)
    assert contents(registered) == before
    assert register.relocate().startswith(f"{elsewhere}/{REGISTRY} (as it was: ")
    assert champion_file(config).is_relative_to(elsewhere)
    assert stored(REGISTRY)["experiments", "artifact_location"] == {"state/artifacts"}
    assert contents(registered) == before


def test_an_older_registry_is_relocated_from_a_name_in_percents(
    registered, elsewhere, tmp_path_factory, monkeypatch
):
    named_in_full(elsewhere)
    config = load(RegisterConfig)
    with pytest.raises(RegistryRefused, match=re.escape(f"in {elsewhere}/state/artifacts")):
        versions.version_of_alias(config, versions.CHAMPION)
    register.relocate()
    assert champion_file(config).is_relative_to(registered)


def test_relocating_twice_changes_nothing_and_the_first_leaves_a_backup(registered, elsewhere):
    named_in_full(elsewhere)
    before = stored(REGISTRY)
    register.relocate()
    [backup] = Path("state").glob("mlflow.db.*")
    assert stored(backup) == before
    assert backup.stat().st_mode & 0o077 == 0
    after = contents(registered)
    assert register.relocate().startswith("nothing to change")
    assert contents(registered) == after


def test_a_relocation_that_fails_on_its_way_has_changed_nothing(registered, elsewhere):
    named_in_full(elsewhere)
    before = stored(REGISTRY)
    with contextlib.closing(sqlite3.connect(REGISTRY)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON model_versions "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="not this one"):
        register.relocate()
    assert stored(REGISTRY) == before


def test_files_that_were_not_copied_are_named_and_nothing_is_changed(
    registered, elsewhere, monkeypatch
):
    named_in_full(registered)
    shutil.copytree(registered, elsewhere, symlinks=True)
    shutil.rmtree(elsewhere / "state/artifacts")
    live_in(elsewhere, monkeypatch)
    before = stored(REGISTRY)
    told = rf"2 of 2 folders .* are in {registered}/state/artifacts and not in .*`cp -a "
    with pytest.raises(RegistryRefused, match=told):
        register.relocate()
    assert stored(REGISTRY) == before


@pytest.fixture
def neighbour(registered, elsewhere, monkeypatch):
    """Another project, which names this one's registry and keeps its own files."""
    shutil.copytree(registered, elsewhere, symlinks=True)
    shutil.rmtree(elsewhere / "state")
    monkeypatch.chdir(elsewhere)
    project.configure("register", tracking_url=f"sqlite:///{registered}/{REGISTRY}")
    return load(RegisterConfig)


def test_the_registry_of_another_project_is_refused_with_both_folders(neighbour, registered):
    here = Path.cwd()
    told = (
        f"{registered}/{REGISTRY} is the registry of {registered} and keeps its files in "
        f"{registered}/state/artifacts, this project keeps them in {here}/state/artifacts"
    )
    before = contents(registered)
    with pytest.raises(RegistryRefused, match=re.escape(told)) as refused:
        champion_file(neighbour)
    assert "relocate" not in str(refused.value)
    assert register.relocate().startswith("nothing to change")
    assert contents(registered) == before


def test_the_registry_of_another_project_is_read_from_its_own_folder_and_not_written(
    neighbour, registered
):
    project.configure("register", artifacts_url=f"{registered}/state/artifacts")
    config = load(RegisterConfig)
    assert champion_file(config).read_bytes()
    champion = versions.version_of_alias(config, versions.CHAMPION)
    verdict = versions.fetch_folder(config, champion, "verdict")
    assert list(verdict.iterdir())
    before = contents(registered)
    told = f"is the registry of {re.escape(str(registered))}, which names its files by paths from"
    with pytest.raises(RegistryRefused, match=told):
        runs.log_folder(config, champion.run_id, Path("configs"), "of-another")
    with pytest.raises(RegistryRefused, match=told):
        runs.record(config, read_record(Training, TRAIN / "training.json", "train"))
    assert contents(registered) == before
    assert not Path("state/artifacts").exists()


def test_the_advice_to_copy_can_be_pasted_whatever_is_in_a_folders_name(
    registered, tmp_path_factory, monkeypatch
):
    named_in_full(registered)
    folder = tmp_path_factory.mktemp("moved") / 'it\'s a "b"'
    shutil.copytree(registered, folder, symlinks=True)
    shutil.rmtree(folder / "state/artifacts")
    config = live_in(folder, monkeypatch)
    with pytest.raises(RegistryRefused) as refused:
        register.relocate()
    (folder / "state/artifacts").mkdir()
    command = re.search(r"\(`(cp .*?)`\)", str(refused.value))[1]
    subprocess.run(["sh", "-c", command], check=True)
    register.relocate()
    assert champion_file(config).is_relative_to(folder)
