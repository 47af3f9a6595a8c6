"""Experiment tracking and the model registry with its aliases: the only module that imports MLflow.

A run is recorded from the files in data/train/, so it can be recorded again in a new store; a run
of the same model from the same lineage is reused, not repeated.
"""

import errno
import json
import logging
import os
import re
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.registry import locations, model_scan, run_words
from pipeline.shared import lineage
from pipeline.shared.config.loading import CONFIGS, load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import INGEST, TRAIN, Manifest, Training, Verdict, read_record
from pipeline.shared.databases import REPAIR, database_refusal
from pipeline.shared.errors import (
    ArtifactTampered,
    RegistryRefused,
    StorageFailed,
    VersionUnknown,
    shell_quote,
)
from pipeline.shared.files import atomic_write, file_hash, read_json, storage_failure

_APPROVAL = "approval."
CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_FILE = "model.onnx"
_LOGGED = "models:/m-"
"""The prefix of a version's source, before the id of its logged model."""


@dataclass(frozen=True)
class Version:
    """A registered model: its number, its file's digest, its run, its tags."""

    number: str
    digest: str
    run_id: str
    tags: dict[str, str]

    def tag(self, name: str) -> str:
        """A tag that `register` gives to every version.

        Raises:
            RegistryRefused: the version was registered by other means.
        """
        if name not in self.tags:
            raise RegistryRefused(
                f"version {self.number} has no tag {name!r}, so `make register` did not write it; "
                "point the alias at one that it wrote"
            )
        return self.tags[name]

    @property
    def releases(self) -> set[str]:
        """Its release, and those before it was evaluated again."""
        return {self.tag("release"), *self.tags.get("releases_before", "").split()}


@dataclass(frozen=True)
class RegistryContents:
    """The model's versions by number, and its aliases.

    `remembered` holds the numbers that aliases were last set to: MLflow deletes an alias with its
    version, and anybody with write access can delete an alias alone.
    """

    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)


def _client(config: RegisterConfig) -> Any:
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
        _make_store(config.database)
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


def _make_store(database: Path) -> None:
    """Make an empty SQLite store atomically: MLflow cannot continue with half of one."""
    from mlflow import MlflowClient

    with atomic_write(database) as temporary:
        url = f"sqlite:///{temporary}"
        MlflowClient(url, url).search_experiments(max_results=1)


def exists(config: RegisterConfig) -> bool:
    """Whether there is a store; a local file is checked without importing MLflow."""
    return config.database is None or config.database.is_file()


def _experiment(client: Any, config: RegisterConfig) -> str:
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = locations.artifact_location(config)
    made = str(
        client.create_experiment(
            config.experiment, location, {"mlflow.note.content": run_words.EXPERIMENT}
        )
    )
    locations.set_location(config, made)
    return made


def find_run(config: RegisterConfig, digest: str) -> str | None:
    """The newest finished run with a model of this digest, if there is one."""
    client = _client(config)
    runs = client.search_runs(
        [_experiment(client, config)],
        f"tags.model_digest = '{digest}' and attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return str(runs[0].info.run_id) if runs else None


def record(config: RegisterConfig, training: Training) -> str:
    """Record data/train/ as a run with parameters, metrics, data, figures, model and lineage.

    Returns the run's id; it is marked finished only once everything is stored.
    """
    client = _client(config)
    locations.require_written_here(config)
    import mlflow

    origin = lineage.collect()
    name, about = run_words.run_name(training), run_words.run_description(training)
    with mlflow.start_run(
        experiment_id=_experiment(client, config), run_name=name, description=about
    ) as active:
        mlflow.log_params(_parameters(training))
        mlflow.log_metrics(read_json(TRAIN / "metrics.json", "train"))
        _log_curve(read_json(TRAIN / "curve.json", "train"))
        mlflow.set_tags(
            {
                **run_words.run_tags(training),
                **origin,
                "model_digest": training.digest,
                "predictions_hash": training.predictions_hash,
            }
        )
        _log_data(client, active.info.run_id, training)
        _log_files()
        _remove_world_write(active.info.artifact_uri)
        _log_model(training)
        return str(active.info.run_id)


def _parameters(training: Training) -> dict[str, Any]:
    config = load(TrainConfig)
    return {
        **config.boosting.model_dump(),
        "window": training.window,
        "monotone": config.monotone,
        "seed": training.seed,
        "threads": training.threads,
        "inputs": len(training.features),
    }


def _log_curve(curve: list[dict[str, float]]) -> None:
    """Log the loss by iteration, of rows that were learned from and of rows held out."""
    import mlflow

    for point in curve:
        step = int(point["iteration"])
        for name, value in point.items():
            if name != "iteration":
                mlflow.log_metric(name, value, step=step)


def _log_data(client: Any, run_id: str, training: Training) -> None:
    """Name the snapshots behind the run, each with the start of its content hash as digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{snapshot.table}-{snapshot.month}",
                digest=snapshot.content_hash[:32],
                source_type="local",
                source=json.dumps({"uri": snapshot.path}),
                profile=json.dumps({"rows": snapshot.rows}),
            ),
            [InputTag("mlflow.data.context", "training")],
        )
        for snapshot in manifest.snapshots
        if snapshot.month[:7] <= training.window.split("..")[1][:7]
    ]
    client.log_inputs(run_id, datasets=inputs)


def _log_model(training: Training) -> None:
    """Store the ONNX file with its signature and an example, and check that it is the same file."""
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = TensorSpec(np.dtype("float32"), (-1, len(training.features)), "inputs")
    outputs = [
        TensorSpec(np.dtype("int64"), (-1,), "label"),
        TensorSpec(np.dtype("float32"), (-1, 2), "probabilities"),
    ]
    mlflow.onnx.log_model(
        model_scan.parse((TRAIN / MODEL_FILE).read_bytes()),
        name="model",
        signature=ModelSignature(Schema([inputs]), Schema(outputs)),
        input_example={"inputs": _example()},
        pip_requirements=[f"{name}=={version(name)}" for name in ("onnx", "onnxruntime")],
        save_as_external_data=False,
    )


def _example() -> Any:
    """Rows of inputs as they came, NaN where something is missing: those of the warm-up."""
    import numpy as np

    inputs = read_json(TRAIN / "warmup.json", "train")["inputs"]
    return np.array([[np.nan if v is None else v for v in row] for row in inputs], dtype="float32")


def _log_files() -> None:
    import mlflow

    mlflow.log_artifacts(str(TRAIN / "figures"), "figures")
    mlflow.log_artifacts(str(CONFIGS), "configs")
    mlflow.log_artifact(str(INGEST / "manifest.json"), "lineage")
    for name in ("training.json", "importance.json", "reference.csv"):
        mlflow.log_artifact(str(TRAIN / name), "training")
    for path in (Path("requirements.lock"), Path("dvc.lock")):
        if path.is_file():
            mlflow.log_artifact(str(path), "lineage")
    if changed := lineage.patch():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tree.patch"
            path.write_bytes(changed)
            mlflow.log_artifact(str(path), "lineage")


def _remove_world_write(artifacts: str) -> None:
    """Remove world write access from artifacts: MLflow copies files with their modes."""
    url = urlsplit(artifacts)
    if url.scheme in ("", "file"):
        for path in Path(unquote(url.path)).rglob("*"):
            if (mode := stat.S_IMODE(path.stat().st_mode)) & stat.S_IWOTH:
                path.chmod(mode & ~stat.S_IWOTH)


def version_of_alias(config: RegisterConfig, alias: str) -> Version | None:
    """The version that an alias names, or None where the alias is not set.

    For the champion, use champions.py: the ledger names it, and the alias follows.

    Raises:
        RegistryRefused: the alias names a version that is gone.
    """
    if not exists(config):
        return None
    client = _client(config)
    model = _registered_model(client, config)
    if model is None or alias not in model.aliases:
        return None
    number = model.aliases[alias]
    with _require_kept(config, alias, str(number), "the registry"):
        return _version(client.get_model_version(config.model_name, number))


def registry_contents(config: RegisterConfig) -> RegistryContents:
    """All versions and aliases of the model; empty without a registry."""
    if not exists(config):
        return RegistryContents()
    model = _registered_model(_client(config), config)
    if model is None:
        return RegistryContents()
    aliases = {name: str(number) for name, number in model.aliases.items()}
    versions = {version.number: version for version in _versions(config)}
    return RegistryContents(versions, aliases, dict(model.tags))


def _registered_model(client: Any, config: RegisterConfig) -> Any:
    """The registry's entry for the model, None if there is none; other failures are raised."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(config.model_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _version(entry: Any) -> Version:
    tags = dict(entry.tags)
    return Version(str(entry.version), tags.get("model_digest", ""), str(entry.run_id), tags)


def _missing(config: RegisterConfig, name: str, number: str, place: str) -> str:
    return (
        f"{config.model_name} {name} is version {number}, but {place} no longer holds it: restore "
        f"{config.tracking_url} and {config.artifacts_url} from a backup; {REPAIR}"
    )


@contextmanager
def _require_kept(config: RegisterConfig, name: str, number: str, place: str) -> Iterator[None]:
    """Turn a failed read of `place` into a refusal; a locked database has lost nothing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (OSError, MlflowException) as error:
        path = config.database
        if path is not None and (refusal := database_refusal(path, "registry", error)) is not None:
            raise refusal from error
        if (failed := _not_written(error)) is not None:
            raise failed from error
        raise RegistryRefused(_missing(config, name, number, place)) from error


def _not_written(error: BaseException | None) -> StorageFailed | None:
    """The refusal for a failed write: MLflow writes while it reads, and then nothing is lost."""
    while error is not None:
        if isinstance(error, OSError) and error.filename and error.errno != errno.ENOTDIR:
            return storage_failure(Path(os.fsdecode(error.filename)), error)
        error = error.__cause__ or error.__context__
    return None


def _source(client: Any, config: RegisterConfig, number: str) -> str:
    """The address of a version's model folder, also in another project's registry."""
    source = str(client.get_model_version(config.model_name, number).source)
    if locations.project(config) == Path.cwd().resolve():
        return source
    if source.startswith(_LOGGED):
        source = str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    return locations.resolve(config, source)


def fetch(config: RegisterConfig, registered: Version) -> Path:
    """Fetch a registered version's model file and verify its digest.

    Raises:
        RegistryRefused: the file is gone from the store.
        ArtifactTampered: the file is not the one that was registered.
    """
    client = _client(config)
    import mlflow

    source = _source(client, config, registered.number)
    with _require_kept(config, "in use", registered.number, str(config.artifacts_url)):
        path = Path(mlflow.artifacts.download_artifacts(source)) / MODEL_FILE
        actual = file_hash(path)
    if actual != registered.digest:
        raise ArtifactTampered(
            f"{config.model_name} version {registered.number} has SHA-256 {actual[:12]}…, "
            f"{registered.digest[:12]}… was registered; it is not loaded: restore "
            f"{config.artifacts_url} from a backup; {REPAIR}"
        )
    return path


def get_version(config: RegisterConfig, name: str) -> Version:
    """The version with this number or alias.

    Raises:
        VersionUnknown: the name is not valid, or the registry has no such version.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}|[a-z][a-z0-9-]{0,60}", name):
        raise VersionUnknown(
            f"{name!r} is no version: name a number such as 1, or an alias such as {CHAMPION}, as "
            "in `make lineage VERSION=1`"
        )
    registered = _registered_model(_client(config), config) if exists(config) else None
    aliases = dict(registered.aliases) if registered else {}
    versions = {version.number: version for version in _versions(config)} if registered else {}
    version = versions.get(str(aliases.get(name, name)))
    if version is None:
        raise VersionUnknown(
            f"{config.model_name} has no version {name!r} in {config.tracking_url}; it "
            f"has {len(versions)} version(s) {sorted(map(int, versions))[-5:]} and the aliases "
            f"{sorted(aliases)}; `make run` adds one"
        )
    return version


def version_of_release(config: RegisterConfig, release: str) -> Version:
    """The version whose release has this digest.

    Raises:
        VersionUnknown: there is none.
    """
    versions = _versions(config) if exists(config) else []
    for registered in versions:
        if registered.tags.get("release") == release:
            return registered
    raise VersionUnknown(
        f"{config.model_name} has no version with the release {release[:12]} in "
        f"{config.tracking_url}; it has {len(versions)} version(s), and `make lineage` "
        "shows the champion's"
    )


def _versions(config: RegisterConfig) -> list[Version]:
    entries = _client(config).search_model_versions(f"name = '{config.model_name}'")
    return [_version(entry) for entry in entries]


def find_version(config: RegisterConfig, digest: str) -> Version | None:
    """The registered version with this model digest, if there is one."""
    same = [version for version in _versions(config) if version.digest == digest]
    return min(same, key=lambda v: int(v.number)) if same else None


def add_version(
    config: RegisterConfig, run_id: str, digest: str, tags: dict[str, str], description: str = ""
) -> Version:
    """Register the model of a run as a new version with its lineage as tags."""
    client = _client(config)
    if _registered_model(client, config) is None:
        client.create_registered_model(config.model_name, description=run_words.MODEL)
    models = client.get_run(run_id).outputs.model_outputs
    added = client.create_model_version(
        config.model_name,
        source=f"models:/{models[0].model_id}",
        run_id=run_id,
        tags={**tags, "model_digest": digest},
        description=description or None,
    )
    registered = _version(client.get_model_version(config.model_name, added.version))
    fetch(config, registered)
    return registered


def set_alias(config: RegisterConfig, alias: str, number: str) -> None:
    """Point an alias at a version, atomically.

    A tag of the model keeps the number, so that an alias lost later can be reported. The alias is
    set last: after a kill before that, the old alias stands and the call can be repeated.
    """
    client = _client(config)
    client.set_registered_model_tag(config.model_name, alias, number)
    client.set_registered_model_alias(config.model_name, alias, number)


def set_tags(config: RegisterConfig, registered: Version, tags: dict[str, str]) -> Version:
    """Add or replace tags of a version; returns the version with them."""
    client = _client(config)
    for name, value in tags.items():
        client.set_model_version_tag(config.model_name, registered.number, name, value)
    return replace(registered, tags={**registered.tags, **tags})


def copy_champion(config: RegisterConfig, champion: Version, model: Path) -> str:
    """Copy a version into another, empty registry as its champion; returns its number there."""
    client = _client(config)
    locations.require_written_here(config)
    run = client.create_run(_experiment(client, config))
    client.log_artifact(run.info.run_id, str(model), "model")
    client.create_registered_model(config.model_name)
    source = f"{run.info.artifact_uri}/model"
    added = client.create_model_version(
        config.model_name, source=source, run_id=run.info.run_id, tags=champion.tags
    )
    client.set_terminated(run.info.run_id)
    client.set_registered_model_alias(config.model_name, CHAMPION, added.version)
    return str(added.version)


@dataclass(frozen=True)
class VersionFiles:
    """A version to restore: model, release files, their `place` in the run, and tags."""

    model: Path
    papers: Path
    place: str
    tags: dict[str, str]


def restore(config: RegisterConfig, versions: dict[int, VersionFiles]) -> None:
    """Fill an empty registry with versions of these numbers; the numbers between stay unused."""
    client = _client(config)
    client.create_registered_model(config.model_name)
    for number in range(1, max(versions) + 1):
        run = client.create_run(_experiment(client, config))
        source = f"{run.info.artifact_uri}/model"
        tags: dict[str, str] = {}
        if (one := versions.get(number)) is not None:
            client.log_artifact(run.info.run_id, str(one.model), "model")
            client.log_artifacts(run.info.run_id, str(one.papers), one.place)
            tags = one.tags
        added = client.create_model_version(
            config.model_name, source=source, run_id=run.info.run_id, tags=tags
        )
        client.set_terminated(run.info.run_id)
        if one is None:
            client.delete_model_version(config.model_name, added.version)
        else:
            fetch(config, _version(client.get_model_version(config.model_name, added.version)))


def log_folder(config: RegisterConfig, run_id: str, folder: Path, place: str) -> None:
    """Add the files of a folder to a run, below `place`."""
    client = _client(config)
    locations.require_written_here(config)
    client.log_artifacts(run_id, str(folder), place)


def fetch_folder(config: RegisterConfig, registered: Version, place: str) -> Path:
    """Fetch the folder `place` of a version's run.

    Raises:
        RegistryRefused: it is gone from the store.
    """
    client = _client(config)
    import mlflow

    with _require_kept(config, place, registered.number, str(config.artifacts_url)):
        artifacts = locations.resolve(config, client.get_run(registered.run_id).info.artifact_uri)
        return Path(mlflow.artifacts.download_artifacts(f"{artifacts}/{place}"))


def folder_of(config: RegisterConfig, registered: Version, place: str) -> Path:
    """The path of the folder `place` of a version's run in a local store."""
    return _local(f"{_client(config).get_run(registered.run_id).info.artifact_uri}/{place}")


def model_of(config: RegisterConfig, registered: Version) -> Path:
    """The path of a version's model file in a local store."""
    uri = _client(config).get_model_version_download_uri(config.model_name, registered.number)
    return _local(uri) / MODEL_FILE


def _local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def approve(config: RegisterConfig, registered: Version, words: dict[str, str]) -> None:
    """Add an approval to a version, with its wall-clock instant; none is replaced.

    Each ledger entry has one approval: a second one for the same entry is not added.
    """
    known = approvals(registered)
    if any(one.get("entry", "") == words["entry"] for one in known):
        return
    given = {**words, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    name = f"{_APPROVAL}{len(known) + 1:03}"
    set_tags(config, registered, {name: json.dumps(given, sort_keys=True)})


def approvals(registered: Version) -> list[dict[str, str]]:
    """A version's approvals, by whom and when, the oldest first."""
    names = sorted(name for name in registered.tags if name.startswith(_APPROVAL))
    return [json.loads(registered.tags[name]) for name in names]


def log_verdict(
    config: RegisterConfig, run_id: str, folder: Path, figures: dict[str, float]
) -> None:
    """Add the gate's verdict to the run that it judged."""
    log_folder(config, run_id, folder, "verdict")
    client = _client(config)
    _remove_world_write(client.get_run(run_id).info.artifact_uri)
    for name, value in figures.items():
        client.log_metric(run_id, name, value)


def note_verdict(config: RegisterConfig, verdict: Verdict) -> None:
    """Note a verdict on the run of the challenger, passed or refused; nothing without the run.

    The run gets tags to search by, and a nested run with every check as a metric.
    """
    run_id = find_run(config, verdict.challenger) if exists(config) else None
    if run_id is None:
        return
    client = _client(config)
    for name, value in run_words.verdict_tags(verdict).items():
        client.set_tag(run_id, name, value)
    about = {
        "mlflow.runName": run_words.verdict_name(verdict),
        "mlflow.parentRunId": run_id,
        "mlflow.note.content": run_words.verdict_description(verdict),
        **run_words.verdict_tags(verdict),
    }
    judged = client.create_run(_experiment(client, config), tags=about)
    for check in verdict.checks:
        client.log_metric(judged.info.run_id, run_words.metric_name(check.name), check.found)
    client.set_terminated(judged.info.run_id)
