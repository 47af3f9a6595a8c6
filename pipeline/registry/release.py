"""A release: one commit, data version, model, feature service and config, with a manifest.

Its files (papers/) have the names that they have in a checkout; the release manifest (release.json)
lists their digests, and its own digest identifies the release. A release is read only if its files
are exactly the listed ones.
"""

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from pipeline.registry import versions
from pipeline.shared import dvc_lock, lineage
from pipeline.shared.config.loading import CONFIGS
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import EVALUATE, FEATURES, INGEST, TRAIN, Record, read_record
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import file_hash, members, read_json, text_hash, write_json

RECORD, PATCH, CARD, OUTPUTS = "release.json", "tree.patch", "card.md", "outputs.json"
RELEASE_STORE = Path("state/serve/releases")
"""The release store, from which servers load: they start while the registry is down."""
RELEASE_FILES, EXPORT_RECORD = "papers", "placed.json"
"""In an exported release: the folder of its files, and the record of its registry version."""
_NAME = re.compile(r"[0-9a-f]{12}")
ENVIRONMENT = Path("requirements.lock")
MANIFEST, FEATURE_SERVICE = INGEST / "manifest.json", FEATURES / "service.json"
TRAINING, VERDICT = TRAIN / "training.json", EVALUATE / "verdict.json"
MODEL = TRAIN / versions.MODEL_FILE
REQUIRED_FILES = [dvc_lock.LOCK, ENVIRONMENT, MANIFEST, FEATURE_SERVICE, TRAINING, VERDICT]


def _inside(name: str) -> str:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise ValueError(f"{name!r} leads out of the folder of papers")
    return name


_Name = Annotated[str, AfterValidator(_inside)]


class Release(Record):
    """The release manifest. `papers` holds the SHA-256 of every file of the release."""

    commit: str
    patch: Sha256 | None
    data: Sha256
    model: Sha256
    features: str
    config: Sha256
    python: str
    machine: str
    papers: dict[_Name, Sha256]


def gather(folder: Path) -> None:
    """Copy a release's files from the checkout into `folder`, and the patch of its tree."""
    figures = [path for path in map(Path, dvc_lock.uncached_outputs(Path())) if path.is_file()]
    for path in {*REQUIRED_FILES, *figures, *members(CONFIGS, "*.yaml")}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path)
    write_json(folder / OUTPUTS, dvc_lock.output_digests(Path()))
    if changed := lineage.patch():
        (folder / PATCH).write_bytes(changed)


def seal(folder: Path) -> Release:
    """Write the release manifest of the files in `folder`, which `gather` copied."""
    patch = folder / PATCH
    machine = lineage.platform_versions()
    release = Release(
        commit=lineage.require_checkout(),
        patch=file_hash(patch) if patch.is_file() else None,
        data=recorded_data_version(folder),
        model=read_paper(folder / TRAINING)["digest"],
        features=read_paper(folder / FEATURE_SERVICE)["version"],
        config=config_version(folder, dvc_lock.read_lock(folder / dvc_lock.LOCK)),
        python=machine["python"],
        machine=machine["machine"],
        papers={path.relative_to(folder).as_posix(): file_hash(path) for path in _files(folder)},
    )
    write_json(folder / RECORD, release.model_dump())
    return release


def read(folder: Path, digest: str) -> Release:
    """Read the release whose manifest has this SHA-256, if its files are exactly the listed ones.

    Raises:
        ArtifactTampered: the manifest or a file was changed, removed or added.
    """
    record = folder / RECORD
    actual = file_hash(record) if record.is_file() else "nothing"
    if actual != digest:
        raise ArtifactTampered(_tampering(_digest_mismatch(RECORD, actual, digest)))
    release = read_record(Release, record, "register")
    for name, sealed in release.papers.items():
        path = folder / name
        actual = file_hash(path) if path.is_file() else "nothing"
        if actual != sealed:
            raise ArtifactTampered(_tampering(_digest_mismatch(name, actual, sealed)))
    for path in _files(folder):
        if (name := path.relative_to(folder).as_posix()) not in release.papers:
            raise ArtifactTampered(_tampering(_digest_mismatch(name, file_hash(path), "nothing")))
    for name in map(str, [*REQUIRED_FILES, CARD]):
        if name not in release.papers:
            raise ArtifactTampered(_tampering(f"{RECORD} of the release names no {name}"))
    return release


def _digest_mismatch(name: str, actual: str, sealed: str) -> str:
    return f"{name} of the release has SHA-256 {actual[:12]}, {sealed[:12]} was sealed"


def _tampering(fault: str) -> str:
    return f"{fault}; the registry's files were changed: restore them from a backup; {REPAIR}"


def config_version(folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """One digest over the configs of the DVC pipeline's stages."""
    names = sorted({path for stage in lock.values() for path in stage.params})
    return text_hash("\n".join(f"{name} {file_hash(folder / name)}" for name in names))


def recorded_data_version(folder: Path) -> str:
    """One digest over the snapshots that the manifest lists."""
    return lineage.data_version(read_paper(folder / MANIFEST)["snapshots"])


def read_paper(path: Path) -> Any:
    """A release file as plain values: an old one need not fit today's records."""
    return read_json(path, "register")


def _files(folder: Path) -> list[Path]:
    return [path for path in members(folder) if path != folder / RECORD]


def tags(release: Release, folder: Path) -> dict[str, str]:
    """The registry's tags of a release, all computed from its files."""
    training, verdict = read_paper(folder / TRAINING), read_paper(folder / VERDICT)
    return {
        "release": file_hash(folder / RECORD),
        "git_commit": release.commit,
        "git_tree": lineage.tree_words(release.patch),
        "data_hash": release.data,
        "model_digest": release.model,
        "feature_service": release.features,
        "config_hash": release.config,
        "dvc_lock_hash": release.papers[dvc_lock.LOCK.as_posix()],
        "environment_hash": release.papers[ENVIRONMENT.as_posix()],
        "python": release.python,
        "machine": release.machine,
        "window": training["window"],
        "recipe": training["recipe"],
        "predictions_hash": training["predictions_hash"],
        "seed": str(training["seed"]),
        "threads": str(training["threads"]),
        "verdict_hash": release.papers[VERDICT.as_posix()],
        "compared_with": verdict["champion"] or "baselines only",
    }


def exported_releases() -> list[Path]:
    """The folders in the release store, without broken ones moved aside and unfinished ones."""
    return [folder for folder in sorted(RELEASE_STORE.glob("*")) if _NAME.fullmatch(folder.name)]


def artifact_path(digest: str) -> str:
    """The folder in a run's artifacts for the release with this digest."""
    return f"release/{digest[:12]}"
