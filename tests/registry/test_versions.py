import errno
import os
import shutil
import traceback
from pathlib import Path

import mlflow
import pytest

from pipeline.register import register
from pipeline.registry import client, runs, versions
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import Training, read_record
from pipeline.shared.errors import RegistryRefused, StorageFailed
from pipeline.shared.secrets import Address
from tests.shared import project

pytestmark = pytest.mark.slow


def test_asking_a_registry_that_is_not_there_does_not_make_one(
    tmp_path_factory, tmp_path, monkeypatch
):
    project.enter("started", tmp_path_factory, tmp_path, monkeypatch)
    assert versions.version_of_alias(load(RegisterConfig), versions.CHAMPION) is None
    assert not (tmp_path / project.STATE).exists()


def test_a_server_is_asked_whether_or_not_a_file_has_its_name(registered):
    server = load(RegisterConfig).model_copy(
        update={"tracking_url": Address("https://localhost:1")}
    )
    assert client.store_exists(server)


def test_an_alias_that_was_never_set_names_nothing(registered):
    assert versions.version_of_alias(load(RegisterConfig), versions.CHALLENGER) is None


@pytest.mark.answer("experiment-tracking", "model-registry")
def test_a_run_and_a_version_are_found_by_the_digest_of_their_model(registered):
    config = load(RegisterConfig)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    assert runs.find_run(config, champion.digest) == champion.run_id
    assert versions.find_version(config, champion.digest) == champion
    assert runs.find_run(config, "0" * 64) is None
    assert versions.find_version(config, "0" * 64) is None


def test_a_run_that_failed_is_not_found(registered):
    config = load(RegisterConfig)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    client.update_run(champion.run_id, status="FAILED")
    assert runs.find_run(config, champion.digest) is None


def test_tags_that_are_set_again_are_replaced_and_the_others_kept(registered):
    config = load(RegisterConfig)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    changed = versions.set_tags(config, champion, {"compared_with": "another"})
    assert changed == versions.version_of_alias(config, versions.CHAMPION)
    assert changed.tags == champion.tags | {"compared_with": "another"}


# Who may write the registry, and what its messages show.

about_security = pytest.mark.answer("model-security")
HUNTER = "hunter" + "2"


def open_to_everybody(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_mode & 0o002
    )


@pytest.fixture
def no_mask():
    """A process that keeps nothing from anybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.long
@about_security
def test_a_registry_is_kept_from_everybody_though_the_checkout_is_open(judged, no_mask):
    for path in [*Path("configs").rglob("*"), *Path("data").rglob("*")]:
        path.chmod(0o777)
    shutil.rmtree("state")  # of the training: this one is made by a process without a mask
    os.umask(0)
    config = load(RegisterConfig)
    runs.record(config, read_record(Training, Path("data/train/training.json"), "train"))
    assert open_to_everybody(Path.cwd() / "state") == []
    register.run()
    assert len(list(Path("state").rglob("*"))) > 30
    assert open_to_everybody(Path.cwd() / "state") == []
    assert Path("state").stat().st_mode & 0o002 == 0


@about_security
@pytest.mark.parametrize(
    ("path", "mode", "most"),
    [
        ("state/mlflow.db", 0o666, "0664"),
        ("state/mlflow.db", 0o1646, "1644"),  # sticky says nothing about a file
        ("state/artifacts", 0o777, "0775"),
        ("state", 0o757, "0755"),
    ],
)
def test_a_registry_that_everybody_may_write_is_refused_with_the_command(
    registered, path, mode, most
):
    (registered / path).chmod(mode)
    named = path if path == "state/artifacts" else f"{registered}/{path}"
    told = rf"may write {named}: its mode is {mode:04o}, at most {most} is trusted; .*"
    with pytest.raises(RegistryRefused, match=rf"{told}`chmod -R o-w {named}`"):
        versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)
    (registered / path).chmod(mode & ~0o002)
    assert versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)


@about_security
def test_a_drive_on_which_no_mode_holds_is_named_once_and_not_refused(
    registered, monkeypatch, capsys
):
    """As WSL mounts a drive of Windows: everything is 0777, and chmod does nothing."""
    for path in (registered / "state", registered / "state/mlflow.db"):
        path.chmod(0o777)
    client._keeps_modes.cache_clear()
    real = os.fstat

    def open_to_all(stream):
        found = list(real(stream))
        return os.stat_result([found[0] | 0o777, *found[1:]])

    with monkeypatch.context() as mounted:
        mounted.setattr(os, "fstat", open_to_all)
        for _ in range(2):
            assert versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)
    said = capsys.readouterr().err
    assert said.count("this file system keeps no modes") == 1
    assert f"{registered}/state: " in said
    client._keeps_modes.cache_clear()
    with pytest.raises(RegistryRefused, match="everybody may write"):
        versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)


@about_security
def test_a_folder_in_which_each_changes_only_their_own_is_trusted(registered):
    (registered / "state").chmod(0o1777)
    assert versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)


@about_security
def test_a_server_that_does_not_answer_is_told_without_the_password(registered, monkeypatch):
    """MLflow repeats the address that it was given, so it is given none with a password."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = "://".join(["http", f"bob%40home:a%2F{HUNTER}@localhost:1/path"])
    monkeypatch.setenv("PIPELINE_TRACKING_URL", url)
    with pytest.raises(mlflow.MlflowException, match="http://localhost:1/path/api") as failed:
        versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)
    assert HUNTER not in "".join(traceback.format_exception(failed.value))
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "bob@home"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == f"a/{HUNTER}"


@about_security
def test_a_version_that_is_gone_is_told_without_the_passwords(registered):
    urls = {
        "tracking_url": "://".join(["postgresql", f"bob:{HUNTER}@db.example/mlflow"]),
        "artifacts_url": "://".join(["ftp", f"bob:a {HUNTER}@files.example/mlflow"]),
    }
    config = load(RegisterConfig).model_copy(update={k: Address(url) for k, url in urls.items()})
    told = client._missing(config, "champion", "1", "the registry")
    assert "restore postgresql://***@db.example/mlflow and ftp://***@files.example/mlflow" in told
    assert HUNTER not in told


def test_a_store_that_cannot_be_written_has_lost_nothing(registered, monkeypatch):
    """MLflow writes beside what it reads, also to fetch a model."""
    config = load(RegisterConfig)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    real = open

    def on_a_read_only_disk(path, mode="r", *rest, **options):
        if "w" in mode and "/state/artifacts/" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, mode, *rest, **options)

    monkeypatch.setattr("builtins.open", on_a_read_only_disk)
    with pytest.raises(StorageFailed, match=r"cannot write .*state/artifacts/.*: Read-only file"):
        versions.fetch_model(config, champion)
