"""The consistency of a release: its five parts come from one run, and are those of its version.

dvc.lock records which code, configs and data made which model, so each part must agree with it: a
release in which two of them come from different runs is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.registry import release, versions
from pipeline.registry.release import (
    FEATURE_SERVICE,
    MODEL,
    PATCH,
    TRAINING,
    VERDICT,
    Release,
    artifact_path,
    config_version,
    read_paper,
    recorded_data_version,
    tags,
)
from pipeline.registry.versions import Version
from pipeline.shared import dvc_lock, lineage
from pipeline.shared.config.loading import read_values
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import EVALUATE, FEATURES, INGEST, TRAIN, VALIDATE
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered, ReleaseRefused
from pipeline.shared.files import file_hash

PARTS = ("commit", "data", "model", "features", "config")
"""The parts that must come from one run."""
PART_FOLDERS = {
    "data": (f"{INGEST}/", f"{VALIDATE}/"),
    "model": (f"{TRAIN}/", f"{EVALUATE}/"),
    "features": (f"{FEATURES}/",),
}
"""The folders in which the DVC pipeline writes each part."""


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


def fetch(config: RegisterConfig, registered: Version) -> tuple[Release, Path, Path]:
    """Fetch and verify a version's release: its manifest, its folder of files, its model file.

    Raises:
        ArtifactTampered: a tag, a file or the model differs from the registered one.
        ReleaseRefused: the parts do not belong together.
    """
    digest = registered.tag("release")
    folder = versions.fetch_folder(config, registered, artifact_path(digest))
    sealed = release.read(folder, digest)
    for name, said in tags(sealed, folder).items():
        if (tag := registered.tags.get(name, "nothing")) != said:
            raise ArtifactTampered(
                f"tag {name} of {config.model_name} version {registered.number} says {tag!r}, "
                f"its release says {said!r}: the registry was rewritten; restore "
                f"{config.tracking_url} from a backup; {REPAIR}"
            )
    model = versions.fetch_model(config, registered)
    require_in_step(sealed, folder, model)
    return sealed, folder, model


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
    data = recorded_data_version(folder)
    return _digest_differs("the manifest", release.data, data) or _run_differs(
        "data", release, folder, lock
    )


def _model_differs(
    release: Release, folder: Path, model: Path, lock: dict[str, dvc_lock.Stage]
) -> str:
    trained, judged = (
        read_paper(folder / TRAINING)["digest"],
        read_paper(folder / VERDICT)["challenger"],
    )
    return (
        _digest_differs("the file", release.model, file_hash(model))
        or _digest_differs(TRAINING.name, release.model, trained)
        or _digest_differs(VERDICT.name, release.model, judged)
        or _run_differs("model", release, folder, lock)
        or _output_differs(MODEL, folder, lock, model)
    )


def _features_differ(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    service = read_paper(folder / FEATURE_SERVICE)["version"]
    return _digest_differs(FEATURE_SERVICE.name, release.features, service) or (
        _run_differs("features", release, folder, lock)
    )


def _config_differs(release: Release, folder: Path, lock: dict[str, dvc_lock.Stage]) -> str:
    config = config_version(folder, lock)
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
