"""The door to MLflow: a client of the configured store, which is refused if not trusted.

With runs.py, the only module that imports MLflow. Nothing is read or written before the store is
known to be the project's own, which only trusted people may write. A failed read says which file to
restore; a locked database has lost nothing.
"""

import errno
import logging
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.registry import locations, run_description
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import REPAIR, database_refusal
from pipeline.shared.errors import RegistryRefused, StorageFailed, shell_quote
from pipeline.shared.files import atomic_write, storage_failure


def connect(config: RegisterConfig) -> Any:
    """A client of the configured store, which is made if it is a local file that is not there.

    Raises:
        RegistryRefused: everybody may write the registry, or it was moved or copied.
        StorageFailed: another program has locked it.
        ArtifactTampered: it is not a database.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("ALEMBIC_LOG_LEVEL", "WARNING")
    warnings.filterwarnings("ignore", module="mlflow")
    import mlflow

    os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run` for a run in another store
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # It logs each database error with a traceback before it raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    _require_private(config)
    locations.require_own_files(config)
    if config.database and not config.database.is_file():
        make_store(config.database)
    address = _without_password(config.tracking_url.get_secret_value())
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    return mlflow.MlflowClient()


def _require_private(config: RegisterConfig) -> None:
    """Refuse a world-writable registry: anybody could make any model champion.

    Raises:
        RegistryRefused: everybody may write the database, its folder or the artifacts.
    """
    os.umask(os.umask(0o077) | stat.S_IWOTH)  # for all that MLflow makes from here on
    folders = [config.database and config.database.parent, config.artifacts]
    for path in filter(None, [config.database, *folders]):
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
        sticky = path.is_dir() and mode & stat.S_ISVTX  # as /tmp is: each changes only their own
        if mode & stat.S_IWOTH and not sticky:
            if not _keeps_modes(path if path.is_dir() else path.parent):
                continue
            raise RegistryRefused(
                f"everybody may write {path}: its mode is {mode:04o}, at most "
                f"{mode & ~stat.S_IWOTH:04o} is trusted; look for what is not yours in it, then "
                f"`chmod -R o-w {shell_quote(path)}`"
            )


@cache
def _keeps_modes(folder: Path) -> bool:
    """Whether chmod has an effect in a folder; if not, warn once."""
    with tempfile.TemporaryFile(dir=folder) as stream:  # which is its owner's alone
        if not os.fstat(stream.fileno()).st_mode & stat.S_IWOTH:
            return True
    sys.stderr.write(
        f"{folder.resolve()}: this file system keeps no modes, as drives of Windows do not that "
        "are mounted in WSL: all users of this machine may write the registry; a folder of Linux's "
        "own, such as ~/, keeps it to its owner and is faster\n"
    )
    return False


def _without_password(url: str) -> str:
    """A server's address without its password, which MLflow would log; it goes into variables."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return url
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def make_store(database: Path) -> None:
    """Make an empty SQLite store atomically: MLflow cannot continue with half of one."""
    from mlflow import MlflowClient

    with atomic_write(database) as temporary:
        url = f"sqlite:///{temporary}"
        MlflowClient(url, url).search_experiments(max_results=1)


def store_exists(config: RegisterConfig) -> bool:
    """Whether there is a store; a local file is checked without importing MLflow."""
    return config.database is None or config.database.is_file()


def experiment_id(
    client: Any, config: RegisterConfig, note: str = run_description.EXPERIMENT
) -> str:
    """The id of the configured experiment; made with a note if the store has none of its name."""
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = locations.artifact_location(config)
    made = str(client.create_experiment(config.experiment, location, {"mlflow.note.content": note}))
    locations.set_location(config, made)
    return made


def registered_model(client: Any, config: RegisterConfig) -> Any:
    """The registry's entry for the model, None if there is none; other failures are raised."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(config.model_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


@contextmanager
def require_kept(config: RegisterConfig, name: str, number: str, place: str) -> Iterator[None]:
    """Turn a failed read of `place` into a refusal; a locked database has lost nothing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (OSError, MlflowException) as error:
        path = config.database
        if path is not None and (refusal := database_refusal(path, "registry", error)) is not None:
            raise refusal from error
        if (failed := _storage_failure_among_causes(error)) is not None:
            raise failed from error
        raise RegistryRefused(_missing(config, name, number, place)) from error


def download(address: str) -> Path:
    """Fetch a file or a folder of artifacts; returns its local path."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(address))


def _missing(config: RegisterConfig, name: str, number: str, place: str) -> str:
    return (
        f"{config.model_name} {name} is version {number}, but {place} no longer holds it: restore "
        f"{config.tracking_url} and {config.artifacts_url} from a backup; {REPAIR}"
    )


def _storage_failure_among_causes(error: BaseException | None) -> StorageFailed | None:
    """The failed write among an error's causes, as a refusal; None if there is none.

    MLflow writes while it reads: where that write failed, the artifact itself is not lost.
    ENOTDIR is no failed write: the artifact's own path leads through a file.
    """
    while error is not None:
        if isinstance(error, OSError) and error.filename and error.errno != errno.ENOTDIR:
            return storage_failure(Path(os.fsdecode(error.filename)), error)
        error = error.__cause__ or error.__context__
    return None
