"""A release ready to be served: exported from the registry once, and loaded without it ever after.

A server must start while the registry is down, so `export` puts what it needs beside it. What lies
there is checked again at every start: the papers, the model, and that they belong together.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features.definitions import service_version
from pipeline.features.windows import ZONE
from pipeline.registry import champions, release, versions
from pipeline.registry.model import Model
from pipeline.registry.model import load as load_model
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import TRAIN, Record, Training, WarmUp, read_record
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import (
    ArtifactTampered,
    PipelineError,
    ReleaseRefused,
    StorageFailed,
)
from pipeline.shared.files import own_temporary, write_json

RELEASES = release.EXPORTED
WARM_UP = TRAIN / "warmup.json"


class Placed(Record):
    """Which version of the registry an exported release is."""

    number: str
    release: str


@dataclass(frozen=True)
class Loaded:
    """A version of the model with its release, once everything in it was found to be as sealed.

    `folder` holds the papers. `warm_up` is None in a release older than that record.
    `trained_until` is the midnight in New York after the last day of its training window.
    """

    number: str
    release: str
    model: Model
    features: FeaturesConfig
    service: str
    folder: Path
    warm_up: WarmUp | None
    trained_until: pd.Timestamp


def place(digest: str) -> Path:
    """Where the release with this digest is exported to."""
    return RELEASES / digest[:12]


def export(name: str) -> str:
    """Put a registered release where servers load it from, and return its digest.

    `name` is a version's number or alias, or the digest of its release. What is already there stays
    as it is: `loaded` checks it.

    Raises:
        VersionUnknown: the registry has no such version.
        ArtifactTampered: a tag, a paper or the model is another than was registered.
        ReleaseRefused: the parts do not belong together.
    """
    registry = load(RegisterConfig)
    version = _named(registry, name)
    digest = version.tag("release")
    to = place(digest)
    if not to.is_dir():
        _, papers, model = release.fetch(registry, version)
        _copy(to, papers, model, Placed(number=version.number, release=digest))
    return digest


def _named(registry: RegisterConfig, name: str) -> versions.Version:
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return versions.sealed(registry, name)
    return champions.named(registry, name)


def _copy(to: Path, papers: Path, model: Path, placed: Placed) -> None:
    """A folder is there as a whole or not at all, whoever is killed or comes second."""
    RELEASES.parent.parent.mkdir(exist_ok=True)
    for folder in (RELEASES.parent, RELEASES):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = own_temporary(to)
    shutil.copytree(papers, temporary / release.PAPERS)
    shutil.copyfile(model, temporary / versions.MODEL_FILE)
    write_json(temporary / release.PLACED, placed.model_dump())
    temporary.chmod(0o700)
    try:
        temporary.rename(to)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not to.is_dir():
            raise


def loaded(digest: str) -> Loaded:
    """The exported release with this digest, everything in it checked; exported if it is not there.

    Raises:
        ArtifactTampered: a paper or the model is another than was sealed.
        ReleaseRefused: the parts do not belong together, or it was trained with other features than
            this checkout serves.
    """
    folder = place(digest)
    if not folder.is_dir():
        export(digest)
    papers, file = folder / release.PAPERS, folder / versions.MODEL_FILE
    placed = read_record(Placed, folder / release.PLACED, "serve-http")
    try:
        sealed = release.read(papers, digest)
        model = load_model(file, sealed.model)
    except ArtifactTampered as error:
        raise ArtifactTampered(
            f"{folder} is not what was exported: {str(error).partition(';')[0]}; {REPAIR}, here "
            "the registry"
        ) from error
    release.require_in_step(sealed, papers, file)
    config = load(FeaturesConfig)
    _require_service(placed.number, sealed, service_version(config.model_dump()))
    recorded = papers / WARM_UP
    warm_up = read_record(WarmUp, recorded, "train") if recorded.is_file() else None
    training = read_record(Training, papers / release.TRAINING, "train")
    told = (placed.number, digest, model, config, sealed.features, papers, warm_up)
    return Loaded(*told, _end_of(training.window))


def broken(folder: Path) -> str:
    """Why an exported release is not what was exported; "" where it is whole."""
    try:
        placed = read_record(Placed, folder / release.PLACED, "serve-http")
        if place(placed.release).name != folder.name:
            return f"{release.PLACED} names the release {placed.release[:12]}"
        sealed = release.read(folder / release.PAPERS, placed.release)
        release.require_in_step(sealed, folder / release.PAPERS, folder / versions.MODEL_FILE)
    except (PipelineError, OSError) as refusal:
        return str(refusal).partition(";")[0]
    return ""


def broken_in_registry(config: RegisterConfig, version: versions.Version) -> str:
    """Why a version is not what was registered; "" where papers, tags and model are whole.

    Raises:
        StorageFailed: it cannot be read, so it may be whole.
    """
    try:
        release.fetch(config, version)
    except StorageFailed:
        raise
    except PipelineError as refusal:
        return str(refusal).partition(";")[0]
    return ""


def registered(config: RegisterConfig, name: str) -> str:
    """The number of the whole version whose release the folder of this name holds; "" if none."""
    for version in versions.held(config).versions.values():
        if place(version.tag("release")).name == name and not broken_in_registry(config, version):
            return version.number
    return ""


def put_back(config: RegisterConfig, version: versions.Version, source: Path) -> None:
    """Give a version the papers, the model and the tags of its exported release again."""
    digest = version.tag("release")
    papers = versions.folder_of(config, version, release.place(digest))
    shutil.copytree(source / release.PAPERS, papers, dirs_exist_ok=True)
    model = versions.model_of(config, version)
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / versions.MODEL_FILE, model)
    sealed = release.read(source / release.PAPERS, digest)
    versions.set_tags(config, version, release.tags(sealed, source / release.PAPERS))


def _end_of(window: str) -> pd.Timestamp:
    last = pd.Timestamp(window.partition("..")[2], tz=ZONE)
    return pd.Timestamp(last + pd.DateOffset(days=1)).tz_convert("UTC")


def _require_service(number: str, sealed: release.Release, today: str) -> None:
    if sealed.features != today:
        raise ReleaseRefused(
            f"version {number} was trained with {sealed.features}, this checkout serves {today}: "
            f"check out its commit ({sealed.commit[:8]}), or `make run` to train again"
        )


def unready(loaded: Loaded) -> str:
    """Why a loaded model does not answer as it did when it was trained; empty if it does."""
    warm = loaded.warm_up
    if warm is None:
        return (
            f"version {loaded.number} was registered before releases recorded a prediction to warm "
            "up with; `make run` registers one that does"
        )
    if warm.features != loaded.model.features:
        return "the recorded prediction is that of a model with other inputs; `make run`"
    risk = loaded.model.predict_matrix(np.array(warm.inputs, dtype="float32"))
    worst = float(np.abs(risk - np.array(warm.risk)).max())
    if not worst <= warm.tolerance:
        return (
            f"the warm-up prediction differs by {worst:.2e} from the recorded one, allowed is "
            f"{warm.tolerance:.0e}: another ONNX Runtime or processor; install requirements.lock"
        )
    return ""
