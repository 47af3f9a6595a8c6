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

from pipeline.shared import graph, lineage, tracking
from pipeline.shared.config import CONFIGS, RegisterConfig, Sha256, read_values
from pipeline.shared.contracts import EVALUATE, FEATURES, INGEST, TRAIN, Record, read_record
from pipeline.shared.errors import ArtifactTampered, ReleaseRefused
from pipeline.shared.files import file_hash, read_json, text_hash, write_json
from pipeline.shared.secrets import shown
from pipeline.shared.tracking import Version

RECORD, PATCH, CARD, OUTPUTS = "release.json", "tree.patch", "card.md", "outputs.json"
PARTS = ("commit", "data", "model", "features", "config")
"""What must stay in step."""
ENVIRONMENT = Path("requirements.lock")
MANIFEST, SERVICE = INGEST / "manifest.json", FEATURES / "service.json"
TRAINING, VERDICT = TRAIN / "training.json", EVALUATE / "verdict.json"
MODEL = TRAIN / tracking.MODEL_FILE


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
    named = [graph.LOCK, ENVIRONMENT, MANIFEST, SERVICE, TRAINING, VERDICT]
    figures = [path for path in map(Path, graph.uncached(Path())) if path.is_file()]
    for path in {*named, *figures, *CONFIGS.glob("*.yaml")}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path)
    write_json(folder / OUTPUTS, graph.written(Path()))
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
        config=_config_version(folder, graph.read_lock(folder / graph.LOCK)),
        python=machine["python"],
        machine=machine["machine"],
        papers={path.relative_to(folder).as_posix(): file_hash(path) for path in _files(folder)},
    )
    write_json(folder / RECORD, release.model_dump())
    return release


def read(folder: Path, digest: str) -> Release:
    """The release whose record has this SHA-256, once every paper is the one that it names.

    Raises:
        ArtifactTampered: the record or a paper is another than was sealed, or is gone.
    """
    record = folder / RECORD
    found = file_hash(record) if record.is_file() else "nothing"
    if found != digest:
        raise ArtifactTampered(_changed(RECORD, found, digest))
    release = read_record(Release, record, "register")
    for name, sealed in release.papers.items():
        path = folder / name
        found = file_hash(path) if path.is_file() else "nothing"
        if found != sealed:
            raise ArtifactTampered(_changed(name, found, sealed))
    return release


def _changed(name: str, found: str, sealed: str) -> str:
    return (
        f"{name} of the release has SHA-256 {found[:12]}, {sealed[:12]} was sealed; the registry's "
        "files were changed: restore them from a backup, or register anew with `make run`"
    )


def disagreements(
    release: Release, folder: Path, model: Path, checkout: Path | None = None
) -> dict[str, str]:
    """Each part that does not belong to the release's dvc.lock, and why; none where all do.

    Without a `checkout` of its commit, the commit's code cannot be asked.
    """
    lock = graph.read_lock(folder / graph.LOCK)
    reasons = {
        "data": _data_differs(release, folder, lock),
        "model": _model_differs(release, folder, model, lock),
        "features": _features_differ(release, folder, lock),
        "config": _config_differs(release, folder, lock),
    }
    if checkout is not None:
        reasons["commit"] = _commit_differs(release, lock, checkout)
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


def _commit_differs(release: Release, lock: dict[str, graph.Stage], checkout: Path) -> str:
    if (here := lineage.require_checkout(checkout)) != release.commit:
        return f"the release names {release.commit[:12]}, the checkout is {here[:12]}"
    deps = {path: md5 for stage in lock.values() for path, md5 in stage.deps.items()}
    for path, ran in deps.items():
        if not path.startswith("data/") and (held := graph.md5(checkout / path)) != ran:
            return f"{path} is {_short(held)} in {release.commit[:12]}, the graph ran {_short(ran)}"
    return ""


def _data_differs(release: Release, folder: Path, lock: dict[str, graph.Stage]) -> str:
    told = _data_version(folder)
    return _named("the manifest", release.data, told) or _written(MANIFEST, folder, lock)


def _model_differs(
    release: Release, folder: Path, model: Path, lock: dict[str, graph.Stage]
) -> str:
    told = _json(folder / TRAINING)["digest"]
    return (
        _named("the file", release.model, file_hash(model))
        or _named(TRAINING.name, release.model, told)
        or _written(TRAINING, folder, lock)
        or _written(MODEL, folder, lock, model)
    )


def _features_differ(release: Release, folder: Path, lock: dict[str, graph.Stage]) -> str:
    told = _json(folder / SERVICE)["version"]
    return _named(SERVICE.name, release.features, told) or _written(SERVICE, folder, lock)


def _config_differs(release: Release, folder: Path, lock: dict[str, graph.Stage]) -> str:
    for path, ran in _params(lock):
        if _plain(read_values(folder / path)) != _plain(ran):
            return f"{path} holds other values than the graph ran with"
    return _named("configs/", release.config, _config_version(folder, lock))


def _named(who: str, named: str, told: str) -> str:
    return "" if named == told else f"the release names {_short(named)}, {who} is {_short(told)}"


def _written(path: Path, folder: Path, lock: dict[str, graph.Stage], at: Path | None = None) -> str:
    """Whether an output of the graph is the one that the lock says it wrote."""
    outs = {name: md5 for stage in lock.values() for name, md5 in stage.outs.items()}
    held, ran = graph.md5(at or folder / path), outs.get(path.as_posix())
    return "" if held == ran else f"{path} is {_short(held)}, the graph wrote {_short(ran)}"


def _short(digest: str | None) -> str:
    return (digest or "nothing")[-25:] if "-" in (digest or "") else (digest or "nothing")[:12]


def _params(lock: dict[str, graph.Stage]) -> Iterator[tuple[str, Any]]:
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


def _config_version(folder: Path, lock: dict[str, graph.Stage]) -> str:
    """One digest over the configs that the graph's stages ran with."""
    names = sorted({path for path, _ in _params(lock)})
    return text_hash("\n".join(f"{name} {file_hash(folder / name)}" for name in names))


def _data_version(folder: Path) -> str:
    return lineage.data_version(_json(folder / MANIFEST)["snapshots"])


def _json(path: Path) -> Any:
    """A paper as plain values: an old release's papers need not fit the records of today."""
    return read_json(path, "register")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)


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
        "dvc_lock_hash": release.papers[graph.LOCK.as_posix()],
        "environment_hash": release.papers[ENVIRONMENT.as_posix()],
        "python": release.python,
        "machine": release.machine,
        "window": training["window"],
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
    folder = tracking.fetch_folder(config, registered, place(digest))
    release = read(folder, digest)
    for name, sealed in tags(release, folder).items():
        if (told := registered.tags.get(name, "nothing")) != sealed:
            raise ArtifactTampered(
                f"tag {name} of {config.model_name} version {registered.number} says {told!r}, "
                f"its sealed release says {sealed!r}: the registry was rewritten; restore "
                f"{shown(config.tracking_url)} from a backup, or register anew with `make run`"
            )
    model = tracking.fetch(config, registered)
    require_in_step(release, folder, model)
    return release, folder, model


def place(digest: str) -> str:
    """Where a run keeps the release with this digest."""
    return f"release/{digest[:12]}"
