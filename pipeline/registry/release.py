"""A release: one commit, one data version, one model, one feature service and one config, sealed.

Its papers are the files that prove it, under the names that they have in a checkout. dvc.lock is
the one that says which code, configs and data made which model, so each of the five has to agree
with it: a release in which two of them come from different runs is refused, whichever two.
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
"""The release store: what servers load, which start while the registry is down."""
RELEASE_FILES, EXPORT_RECORD = "papers", "placed.json"
"""Of an exported release: its papers, and which version of the registry it is."""
_NAME = re.compile(r"[0-9a-f]{12}")
PARTS = ("commit", "data", "model", "features", "config")
"""What must stay in step."""
ENVIRONMENT = Path("requirements.lock")
MANIFEST, SERVICE = INGEST / "manifest.json", FEATURES / "service.json"
TRAINING, VERDICT = TRAIN / "training.json", EVALUATE / "verdict.json"
MODEL = TRAIN / versions.MODEL_FILE
NEEDED = [dvc_lock.LOCK, ENVIRONMENT, MANIFEST, SERVICE, TRAINING, VERDICT]
WRITTEN = {
    "data": (f"{INGEST}/", f"{VALIDATE}/"),
    "model": (f"{TRAIN}/", f"{EVALUATE}/"),
    "features": (f"{FEATURES}/",),
}
"""Where the graph writes what belongs to a part."""


def _inside(name: str) -> str:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise ValueError(f"{name!r} leads out of the folder of papers")
    return name


Name = Annotated[str, AfterValidator(_inside)]


class Release(Record):
    """What goes live together. `papers` holds the SHA-256 of every file that proves it."""

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
    """Copy the papers of what the checkout holds into `folder`, and the patch of its tree."""
    figures = [path for path in map(Path, dvc_lock.uncached_outputs(Path())) if path.is_file()]
    for path in {*NEEDED, *figures, *members(CONFIGS, "*.yaml")}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path)
    write_json(folder / OUTPUTS, dvc_lock.output_digests(Path()))
    if changed := lineage.patch():
        (folder / PATCH).write_bytes(changed)


def seal(folder: Path) -> Release:
    """Write the record of the papers in `folder`, which are those of the checkout."""
    patch = folder / PATCH
    machine = lineage.surroundings()
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
    """The release whose record has this SHA-256, once the papers are exactly those that it names.

    Raises:
        ArtifactTampered: the record or a paper is another than was sealed, is gone, or was added.
    """
    record = folder / RECORD
    found = file_hash(record) if record.is_file() else "nothing"
    if found != digest:
        raise ArtifactTampered(_tampered(_digest_mismatch(RECORD, found, digest)))
    release = read_record(Release, record, "register")
    for name, sealed in release.papers.items():
        path = folder / name
        found = file_hash(path) if path.is_file() else "nothing"
        if found != sealed:
            raise ArtifactTampered(_tampered(_digest_mismatch(name, found, sealed)))
    for path in _files(folder):
        if (name := path.relative_to(folder).as_posix()) not in release.papers:
            raise ArtifactTampered(_tampered(_digest_mismatch(name, file_hash(path), "nothing")))
    for name in map(str, [*NEEDED, CARD]):
        if name not in release.papers:
            raise ArtifactTampered(_tampered(f"{RECORD} of the release names no {name}"))
    return release


def _digest_mismatch(name: str, found: str, sealed: str) -> str:
    return f"{name} of the release has SHA-256 {found[:12]}, {sealed[:12]} was sealed"


def _tampered(told: str) -> str:
    return f"{told}; the registry's files were changed: restore them from a backup; {REPAIR}"


def disagreements(
    release: Release, folder: Path, model: Path, checkout: Path | None = None
) -> dict[str, str]:
    """Each part that does not belong to the release's dvc.lock, and why; none where all do.

    Without a `checkout` of its commit, the commit's code cannot be asked.
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
        ReleaseRefused: names each part that does not belong to the others, and why.
    """
    if found := disagreements(release, folder, model, checkout):
        listed = "; ".join(f"{part}: {why}" for part, why in found.items())
        raise ReleaseRefused(
            f"{len(found)} of {len(PARTS)} parts of the release do not belong to the run that its "
            f"dvc.lock describes: {listed}; run `make evaluate register`"
        )


def _tree_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """Whether the papers that are files of the commit are those that the graph ran with."""
    if (sealed := release.papers.get(PATCH)) != release.patch:
        return f"the release names the patch {_short(release.patch)}, {PATCH} is {_short(sealed)}"
    for path, ran in _deps(lock):
        is_code = path in release.papers and not path.startswith("data/")
        if is_code and (held := dvc_lock.md5(folder / path)) != ran:
            return f"{path} is {_short(held)}, the graph ran {_short(ran)}"
    return ""


def _commit_differs(release: Release, lock: dict[str, dvc_lock.Stage], checkout: Path) -> str:
    if (here := lineage.require_checkout(checkout)) != release.commit:
        return f"the release names {release.commit[:12]}, the checkout is {here[:12]}"
    for path, ran in _deps(lock):
        if not path.startswith("data/") and (held := dvc_lock.md5(checkout / path)) != ran:
            return f"{path} is {_short(held)} in {release.commit[:12]}, the graph ran {_short(ran)}"
    return _values_differ(checkout, lock)


def _data_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    told = _data_version(folder)
    return _digest_differs("the manifest", release.data, told) or _run_differs(
        "data", release, folder, lock
    )


def _model_differs(
    release: Release, folder: Path, model: Path, lock: dict[str, dvc_lock.Stage]
) -> str:
    told, judged = _json(folder / TRAINING)["digest"], _json(folder / VERDICT)["challenger"]
    return (
        _digest_differs("the file", release.model, file_hash(model))
        or _digest_differs(TRAINING.name, release.model, told)
        or _digest_differs(VERDICT.name, release.model, judged)
        or _run_differs("model", release, folder, lock)
        or _output_differs(MODEL, folder, lock, model)
    )


def _features_differ(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    told = _json(folder / SERVICE)["version"]
    return _digest_differs(SERVICE.name, release.features, told) or (
        _run_differs("features", release, folder, lock)
    )


def _config_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    told = _config_version(folder, lock)
    return _values_differ(folder, lock) or _digest_differs("configs/", release.config, told)


def _values_differ(folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    for path, ran in _params(lock):
        if _plain(read_values(folder / path)) != _plain(ran):
            return f"{path} holds other values than the graph ran with"
    return ""


def _run_differs(part: str, release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """Whether the graph wrote each paper of a part, and later stages ran with what it wrote."""
    outs = _outs(lock)
    for paper in sorted(release.papers):
        if paper.startswith(WRITTEN[part]) and (why := _output_differs(Path(paper), folder, lock)):
            return why
    for path, ran in _deps(lock):
        if path.startswith(WRITTEN[part]) and (wrote := outs.get(path, ran)) != ran:
            return f"the graph wrote {path} {_short(wrote)}, a later stage ran with {_short(ran)}"
    return ""


def _digest_differs(who: str, named: str, told: str) -> str:
    return "" if named == told else f"the release names {_short(named)}, {who} is {_short(told)}"


def _output_differs(
    path: Path, folder: Path, lock: dict[str, dvc_lock.Stage], at: Path | None = None
) -> str:
    """Whether an output of the graph is the one that the lock says it wrote."""
    held, ran = dvc_lock.md5(at or folder / path), _outs(lock).get(path.as_posix())
    return "" if held == ran else f"{path} is {_short(held)}, the graph wrote {_short(ran)}"


def _short(digest: str | None) -> str:
    return (digest or "nothing")[-25:] if "-" in (digest or "") else (digest or "nothing")[:12]


def _outs(lock: dict[str, dvc_lock.Stage]) -> dict[str, str]:
    return {path: md5 for stage in lock.values() for path, md5 in stage.outs.items()}


def _deps(lock: dict[str, dvc_lock.Stage]) -> Iterator[tuple[str, str]]:
    """What each stage read: the same file more than once, as it was when each of them ran."""
    for stage in lock.values():
        yield from stage.deps.items()


def _params(lock: dict[str, dvc_lock.Stage]) -> Iterator[tuple[str, Any]]:
    for stage in lock.values():
        yield from stage.params.items()


def _plain(value: Any) -> Any:
    """A config's value as it is compared: YAML's two versions read 1e-05 differently."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def _config_version(folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    """One digest over the configs that the graph's stages ran with."""
    names = sorted({path for path, _ in _params(lock)})
    return text_hash("\n".join(f"{name} {file_hash(folder / name)}" for name in names))


def _data_version(folder: Path) -> str:
    return lineage.data_version(_json(folder / MANIFEST)["snapshots"])


def _json(path: Path) -> Any:
    """A paper as plain values: an old release's papers need not fit the records of today."""
    return read_json(path, "register")


def _files(folder: Path) -> list[Path]:
    return [path for path in members(folder) if path != folder / RECORD]


def tags(release: Release, folder: Path) -> dict[str, str]:
    """What the registry shows of a release: every tag follows from the sealed papers."""
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
    """A registered version's release, the folder of its papers, and its model file, all checked.

    Raises:
        ArtifactTampered: a tag, a paper or the model is another than was registered.
        ReleaseRefused: the parts do not belong together.
    """
    digest = registered.tag("release")
    folder = versions.fetch_folder(config, registered, artifact_path(digest))
    release = read(folder, digest)
    for name, sealed in tags(release, folder).items():
        if (told := registered.tags.get(name, "nothing")) != sealed:
            raise ArtifactTampered(
                f"tag {name} of {config.model_name} version {registered.number} says {told!r}, "
                f"its sealed release says {sealed!r}: the registry was rewritten; restore "
                f"{config.tracking_url} from a backup; {REPAIR}"
            )
    model = versions.fetch(config, registered)
    require_in_step(release, folder, model)
    return release, folder, model


def exported_releases() -> list[Path]:
    """The folders of the release store; not what was moved aside or is only being written."""
    return [folder for folder in sorted(RELEASE_STORE.glob("*")) if _NAME.fullmatch(folder.name)]


def artifact_path(digest: str) -> str:
    """Where a run keeps the release with this digest."""
    return f"release/{digest[:12]}"
