"""The release loader: releases are exported from the registry once, then loaded without it.

A server must start while the registry is down, so `export` copies what it needs. Every start
verifies the copy again: the files, the model, and that they belong together.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features.definitions import service_version
from pipeline.features.windows import ZONE
from pipeline.registry import champions, release, release_consistency, versions
from pipeline.registry.model import Model
from pipeline.registry.model import load as load_model
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import TRAIN, Record, Training, WarmUp, read_record
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered, PipelineError, ReleaseRefused, StorageFailed
from pipeline.shared.files import own_temporary, write_json

RELEASES = release.RELEASE_STORE
WARM_UP = TRAIN / "warmup.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ExportRecord(Record):
    """The registry's version of an exported release."""

    number: str
    release: str


@dataclass(frozen=True)
class LoadedRelease:
    """A verified release with its model, ready to serve.

    `folder` holds the release's files. `warm_up` is None in a release older than that record.
    `trained_until` is the local midnight after the last day of its training window.
    """

    number: str
    release: str
    model: Model
    features: FeaturesConfig
    service: str
    folder: Path
    warm_up: WarmUp | None
    trained_until: pd.Timestamp


def export_folder(digest: str) -> Path:
    """The folder of the exported release with this digest."""
    return RELEASES / digest[:12]


def export(name: str) -> str:
    """Export a registered release to the release store; returns its digest.

    `name` is a version's number or alias, or its release's digest. An existing export stays as it
    is: `load_release` verifies it, and its digest alone finds it where there is no registry.

    Raises:
        VersionUnknown: the registry has no such version.
        ArtifactTampered: a tag, a paper or the model is another than was registered.
        ReleaseRefused: the parts do not belong together.
    """
    if _DIGEST.fullmatch(name) and export_folder(name).is_dir():
        return name
    registry = load(RegisterConfig)
    version = _find_version(registry, name)
    digest = version.tag("release")
    to = export_folder(digest)
    if not to.is_dir():
        _, files, model = release_consistency.fetch(registry, version)
        _copy(to, files, model, ExportRecord(number=version.number, release=digest))
    return digest


def _find_version(registry: RegisterConfig, name: str) -> versions.Version:
    if _DIGEST.fullmatch(name):
        return versions.version_of_release(registry, name)
    return champions.resolve_version(registry, name)


def _copy(to: Path, files: Path, model: Path, record: ExportRecord) -> None:
    """Copy atomically: a kill leaves no half export, and the first of two writers wins."""
    RELEASES.parent.parent.mkdir(exist_ok=True)
    for folder in (RELEASES.parent, RELEASES):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = own_temporary(to)
    shutil.copytree(files, temporary / release.RELEASE_FILES)
    shutil.copyfile(model, temporary / versions.MODEL_FILE)
    write_json(temporary / release.EXPORT_RECORD, record.model_dump())
    temporary.chmod(0o700)
    try:
        temporary.rename(to)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not to.is_dir():
            raise


def load_release(digest: str) -> LoadedRelease:
    """Load and verify the exported release with this digest; export it first if necessary.

    Raises:
        ArtifactTampered: a file or the model differs from the exported one.
        ReleaseRefused: the parts do not belong together, or its features are not those that this
            checkout serves.
    """
    folder = export_folder(digest)
    if not folder.is_dir():
        export(digest)
    files, file = folder / release.RELEASE_FILES, folder / versions.MODEL_FILE
    record = read_record(ExportRecord, folder / release.EXPORT_RECORD, "serve-http")
    try:
        sealed = release.read(files, digest)
        model = load_model(file, sealed.model)
    except ArtifactTampered as error:
        raise ArtifactTampered(
            f"{folder} is not what was exported: {str(error).partition(';')[0]}; {REPAIR}, here "
            "the registry"
        ) from error
    release_consistency.require_in_step(sealed, files, file)
    config = load(FeaturesConfig)
    _require_service(record.number, sealed, service_version(config.model_dump()))
    recorded = files / WARM_UP
    training = read_record(Training, files / release.TRAINING, "train")
    return LoadedRelease(
        number=record.number,
        release=digest,
        model=model,
        features=config,
        service=sealed.features,
        folder=files,
        warm_up=read_record(WarmUp, recorded, "train") if recorded.is_file() else None,
        trained_until=_end_of(training.window),
    )


def export_fault(folder: Path) -> str:
    """Why an exported release was damaged or changed; "" if it is intact."""
    try:
        record = read_record(ExportRecord, folder / release.EXPORT_RECORD, "serve-http")
        if export_folder(record.release).name != folder.name:
            return f"{release.EXPORT_RECORD} names the release {record.release[:12]}"
        files = folder / release.RELEASE_FILES
        sealed = release.read(files, record.release)
        release_consistency.require_in_step(sealed, files, folder / versions.MODEL_FILE)
    except (PipelineError, OSError) as refusal:
        return str(refusal).partition(";")[0]
    return ""


def registry_fault(config: RegisterConfig, version: versions.Version) -> str:
    """Why a version was damaged or changed; "" if files, tags and model are intact.

    Raises:
        StorageFailed: it cannot be read, so it may be intact.
    """
    try:
        release_consistency.fetch(config, version)
    except StorageFailed:
        raise
    except PipelineError as refusal:
        return str(refusal).partition(";")[0]
    return ""


def version_of_folder(config: RegisterConfig, name: str) -> str:
    """The number of the intact version whose export has this folder name; "" if none."""
    for version in versions.registry_contents(config).versions.values():
        folder = export_folder(version.tag("release"))
        if folder.name == name and not registry_fault(config, version):
            return version.number
    return ""


def restore_from_export(config: RegisterConfig, version: versions.Version, source: Path) -> None:
    """Restore a version's files, model and tags from its exported release."""
    digest = version.tag("release")
    files = source / release.RELEASE_FILES
    to = versions.folder_of(config, version, release.artifact_path(digest))
    shutil.copytree(files, to, dirs_exist_ok=True)
    model = versions.model_of(config, version)
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / versions.MODEL_FILE, model)
    versions.set_tags(config, version, release.tags(release.read(files, digest), files))


def _end_of(window: str) -> pd.Timestamp:
    last = pd.Timestamp(window.partition("..")[2], tz=ZONE)
    return pd.Timestamp(last + pd.DateOffset(days=1)).tz_convert("UTC")


def _require_service(number: str, sealed: release.Release, today: str) -> None:
    if sealed.features != today:
        raise ReleaseRefused(
            f"version {number} was trained with {sealed.features}, this checkout serves {today}: "
            f"check out its commit ({sealed.commit[:8]}), or `make champion` to train again"
        )


def warm_up_failure(loaded: LoadedRelease) -> str:
    """Why the warm-up prediction is not the recorded one; "" if it is."""
    warm = loaded.warm_up
    if warm is None:
        return (
            f"version {loaded.number} was registered before releases recorded a prediction to warm "
            "up with; `make champion` registers one that does"
        )
    if warm.features != loaded.model.features:
        return "the recorded prediction is that of a model with other inputs; `make champion`"
    risk = loaded.model.predict_matrix(np.array(warm.inputs, dtype="float32"))
    worst = float(np.abs(risk - np.array(warm.risk)).max())
    if not worst <= warm.tolerance:
        return (
            f"the warm-up prediction differs by {worst:.2e} from the recorded one, allowed is "
            f"{warm.tolerance:.0e}: another ONNX Runtime or processor; install requirements.lock"
        )
    return ""
