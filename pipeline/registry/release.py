"""A release: one commit, data version, model, feature service and config, with a manifest.

Its files (papers/) have the names that they have in a checkout; the release manifest (release.json)
lists their digests, and its own digest identifies the release. dvc.lock records which code, configs
and data made which model, so each of the five parts must agree with it: a release in which two of
them come from different runs is refused.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from pipeline.registry import versions
from pipeline.registry.versions import Version
from pipeline.shared import dvc_lock, lineage
from pipeline.shared.config.loading import CONFIGS, read_values
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import (
    EVALUATE,
    FEATURES,
    INGEST,
    TRAIN,
    VALIDATE,
    Record,
    read_record,
)
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered, ReleaseRefused
from pipeline.shared.files import file_hash, members, read_json, text_hash, write_json

RECORD, PATCH, CARD, OUTPUTS = "release.json", "tree.patch", "card.md", "outputs.json"
RELEASE_STORE = Path("state/serve/releases")
"""The release store, from which servers load: they start while the registry is down."""
RELEASE_FILES, EXPORT_RECORD = "papers", "placed.json"
"""In an exported release: the folder of its files, and the record of its registry version."""
_NAME = re.compile(r"[0-9a-f]{12}")
PARTS = ("commit", "data", "model", "features", "config")
"""The parts that must come from one run."""
ENVIRONMENT = Path("requirements.lock")
MANIFEST, SERVICE = INGEST / "manifest.json", FEATURES / "service.json"
TRAINING, VERDICT = TRAIN / "training.json", EVALUATE / "verdict.json"
MODEL = TRAIN / versions.MODEL_FILE
REQUIRED_FILES = [dvc_lock.LOCK, ENVIRONMENT, MANIFEST, SERVICE, TRAINING, VERDICT]
PART_FOLDERS = {
    "data": (f"{INGEST}/", f"{VALIDATE}/"),
    "model": (f"{TRAIN}/", f"{EVALUATE}/"),
    "features": (f"{FEATURES}/",),
}
"""The folders in which the DVC pipeline writes each part."""


def _inside(name: str) -> str:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise ValueError(f"{name!r} leads out of the folder of papers")
    return name


Name = Annotated[str, AfterValidator(_inside)]


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
    papers: dict[Name, Sha256]


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
        data=_data_version(folder),
        model=_json(folder / TRAINING)["digest"],
        features=_json(folder / SERVICE)["version"],
        config=_config_version(folder, dvc_lock.read_lock(folder / dvc_lock.LOCK)),
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


def disagreements(
    release: Release, folder: Path, model: Path, checkout: Path | None = None
) -> dict[str, str]:
    """Each part that disagrees with the release's dvc.lock, and why.

    The commit's code is compared only with a `checkout` of it.
    """
    lock = dvc_lock.read_lock(folder / dvc_lock.LOCK)
    reasons = {
        "data": _data_differs(release, folder, lock),
        "model": _model_differs(release, folder, model, lock),
        "features": _features_differ(release, folder, lock),
        "config": _config_differs(release, folder, lock),
        "commit": _tree_differs(release, folder, lock),
    }
    if checkout is not None:
        reasons["commit"] = reasons["commit"] or _commit_differs(release, lock, checkout)
    return {part: reasons[part] for part in PARTS if reasons.get(part)}


def require_in_step(
    release: Release, folder: Path, model: Path, checkout: Path | None = None
) -> None:
    """Refuse a release whose parts come from different runs.

    Raises:
        ReleaseRefused: parts disagree; names each, and why.
    """
    if wrong := disagreements(release, folder, model, checkout):
        listed = "; ".join(f"{part}: {why}" for part, why in wrong.items())
        raise ReleaseRefused(
            f"{len(wrong)} of {len(PARTS)} parts of the release do not belong to the run that its "
            f"dvc.lock describes: {listed}; run `make evaluate register`"
        )


def _tree_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """How the release's patch or source files differ from those of the run; "" if they do not."""
    if (sealed := release.papers.get(PATCH)) != release.patch:
        return f"the release names the patch {_short(release.patch)}, {PATCH} is {_short(sealed)}"
    for path, ran in _deps(lock):
        is_code = path in release.papers and not path.startswith("data/")
        if is_code and (actual := dvc_lock.md5(folder / path)) != ran:
            return f"{path} is {_short(actual)}, the DVC pipeline ran {_short(ran)}"
    return ""


def _commit_differs(release: Release, lock: dict[str, dvc_lock.Stage], checkout: Path) -> str:
    if (here := lineage.require_checkout(checkout)) != release.commit:
        return f"the release names {release.commit[:12]}, the checkout is {here[:12]}"
    for path, ran in _deps(lock):
        if not path.startswith("data/") and (actual := dvc_lock.md5(checkout / path)) != ran:
            at = release.commit[:12]
            return f"{path} is {_short(actual)} in {at}, the DVC pipeline ran {_short(ran)}"
    return _values_differ(checkout, lock)


def _data_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    data = _data_version(folder)
    return _digest_differs("the manifest", release.data, data) or _run_differs(
        "data", release, folder, lock
    )


def _model_differs(
    release: Release, folder: Path, model: Path, lock: dict[str, dvc_lock.Stage]
) -> str:
    trained, judged = _json(folder / TRAINING)["digest"], _json(folder / VERDICT)["challenger"]
    return (
        _digest_differs("the file", release.model, file_hash(model))
        or _digest_differs(TRAINING.name, release.model, trained)
        or _digest_differs(VERDICT.name, release.model, judged)
        or _run_differs("model", release, folder, lock)
        or _output_differs(MODEL, folder, lock, model)
    )


def _features_differ(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    service = _json(folder / SERVICE)["version"]
    return _digest_differs(SERVICE.name, release.features, service) or (
        _run_differs("features", release, folder, lock)
    )


def _config_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    config = _config_version(folder, lock)
    return _values_differ(folder, lock) or _digest_differs("configs/", release.config, config)


def _values_differ(folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    for path, ran in _params(lock):
        if _plain(read_values(folder / path)) != _plain(ran):
            return f"{path} holds other values than the DVC pipeline ran with"
    return ""


def _run_differs(part: str, release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """How a part's files differ from the run's outputs, or later stages' inputs from these."""
    outs = _outs(lock)
    for paper in sorted(release.papers):
        if paper.startswith(PART_FOLDERS[part]) and (
            why := _output_differs(Path(paper), folder, lock)
        ):
            return why
    for path, ran in _deps(lock):
        if path.startswith(PART_FOLDERS[part]) and (wrote := outs.get(path, ran)) != ran:
            what = f"the DVC pipeline wrote {path} {_short(wrote)}"
            return f"{what}, a later stage ran with {_short(ran)}"
    return ""


def _digest_differs(what: str, named: str, actual: str) -> str:
    if named == actual:
        return ""
    return f"the release names {_short(named)}, {what} is {_short(actual)}"


def _output_differs(
    path: Path, folder: Path, lock: dict[str, dvc_lock.Stage], at: Path | None = None
) -> str:
    """How an output of the DVC pipeline differs from the lock's; "" if it does not."""
    actual, ran = dvc_lock.md5(at or folder / path), _outs(lock).get(path.as_posix())
    return (
        "" if actual == ran else f"{path} is {_short(actual)}, the DVC pipeline wrote {_short(ran)}"
    )


def _short(digest: str | None) -> str:
    return (digest or "nothing")[-25:] if "-" in (digest or "") else (digest or "nothing")[:12]


def _outs(lock: dict[str, dvc_lock.Stage]) -> dict[str, str]:
    return {path: md5 for stage in lock.values() for path, md5 in stage.outs.items()}


def _deps(lock: dict[str, dvc_lock.Stage]) -> Iterator[tuple[str, str]]:
    """Each stage's dependencies; a file read by several stages comes once for each."""
    for stage in lock.values():
        yield from stage.deps.items()


def _params(lock: dict[str, dvc_lock.Stage]) -> Iterator[tuple[str, Any]]:
    for stage in lock.values():
        yield from stage.params.items()


def _plain(value: Any) -> Any:
    """A config's value for comparison: YAML 1.1 and 1.2 read 1e-05 differently."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def _config_version(folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """One digest over the configs of the DVC pipeline's stages."""
    names = sorted({path for path, _ in _params(lock)})
    return text_hash("\n".join(f"{name} {file_hash(folder / name)}" for name in names))


def _data_version(folder: Path) -> str:
    return lineage.data_version(_json(folder / MANIFEST)["snapshots"])


def _json(path: Path) -> Any:
    """A release file as plain values: an old one need not fit today's records."""
    return read_json(path, "register")


def _files(folder: Path) -> list[Path]:
    return [path for path in members(folder) if path != folder / RECORD]


def tags(release: Release, folder: Path) -> dict[str, str]:
    """The registry's tags of a release, all computed from its files."""
    training, verdict = _json(folder / TRAINING), _json(folder / VERDICT)
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


def fetch(config: RegisterConfig, registered: Version) -> tuple[Release, Path, Path]:
    """Fetch and verify a version's release: its manifest, its folder of files, its model file.

    Raises:
        ArtifactTampered: a tag, a file or the model differs from the registered one.
        ReleaseRefused: the parts do not belong together.
    """
    digest = registered.tag("release")
    folder = versions.fetch_folder(config, registered, artifact_path(digest))
    release = read(folder, digest)
    for name, sealed in tags(release, folder).items():
        if (tag := registered.tags.get(name, "nothing")) != sealed:
            raise ArtifactTampered(
                f"tag {name} of {config.model_name} version {registered.number} says {tag!r}, "
                f"its release says {sealed!r}: the registry was rewritten; restore "
                f"{config.tracking_url} from a backup; {REPAIR}"
            )
    model = versions.fetch(config, registered)
    require_in_step(release, folder, model)
    return release, folder, model


def exported_releases() -> list[Path]:
    """The folders in the release store, without broken ones moved aside and unfinished ones."""
    return [folder for folder in sorted(RELEASE_STORE.glob("*")) if _NAME.fullmatch(folder.name)]


def artifact_path(digest: str) -> str:
    """The folder in a run's artifacts for the release with this digest."""
    return f"release/{digest[:12]}"
