"""Rebuild of a lost registry from releases that were exported or are among its artifacts.

A release is used only if its record has the digest that the ledger or the release store names, its
files match its manifest, and its parts belong together: exactly the registered models are rebuilt.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.registry import champions, copies, locations, release, release_consistency
from pipeline.registry import versions as tracking
from pipeline.registry.copies import VersionFiles
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactTampered, PipelineError, UsageError
from pipeline.shared.files import file_hash
from pipeline.shared.secrets import Address


@dataclass(frozen=True)
class KeptRelease:
    """An intact release outside the registry's database: its digest, folder, model and version."""

    digest: str
    folder: Path
    model: Path
    number: str | None


def kept_releases(config: RegisterConfig) -> dict[str, KeptRelease]:
    """Every intact release in the release store and among the registry's artifacts, by digest."""
    numbers = _version_by_release()
    models = {file_hash(path): path for path in _models(config)}
    found: dict[str, KeptRelease] = {}
    for record in _records(config):
        try:
            digest = file_hash(record)
            sealed = release.read(record.parent, digest)
            release_consistency.require_in_step(sealed, record.parent, models[sealed.model])
        except (PipelineError, UsageError, KeyError, ValueError):
            continue  # not intact
        found.setdefault(
            digest, KeptRelease(digest, record.parent, models[sealed.model], numbers.get(digest))
        )
    return found


def _records(config: RegisterConfig) -> Iterator[Path]:
    yield from sorted(release.RELEASE_STORE.glob(f"*/{release.RELEASE_FILES}/{release.RECORD}"))
    if config.artifacts is not None:
        yield from sorted(config.artifacts.glob(f"**/release/*/{release.RECORD}"))


def _models(config: RegisterConfig) -> Iterator[Path]:
    yield from release.RELEASE_STORE.glob(f"*/{tracking.MODEL_FILE}")
    if config.artifacts is not None:
        yield from config.artifacts.rglob(tracking.MODEL_FILE)
    if release.MODEL.is_file():
        yield release.MODEL


def _version_by_release() -> dict[str, str]:
    """The version of each release, by the ledger and the release store."""
    found: dict[str, str] = {}
    for path in release.RELEASE_STORE.glob(f"*/{release.EXPORT_RECORD}"):
        try:
            placed = json.loads(path.read_bytes())
            found[str(placed["release"])] = str(placed["number"])
        except (ValueError, KeyError, TypeError):
            continue
    for entry in rollout_ledger.entries():
        for side in filter(None, (entry.move.champion, entry.move.challenger)):
            found[side.release] = side.version
    return found


def side_of_release(one: KeptRelease) -> Side:
    """A kept release as a side of the ledger."""
    assert one.number is not None, "only a release of a known version is anybody's side"
    sealed = release.read(one.folder, one.digest)
    return Side(version=one.number, release=one.digest, features=sealed.features)


def restorable_versions(known: list[Entry], kept: dict[str, KeptRelease]) -> dict[int, KeptRelease]:
    """The versions that can be rebuilt, by number: of each the release that served last."""
    found = {int(one.number): one for one in kept.values() if one.number is not None}
    for entry in known:
        side = rollout_ledger.champion(entry.move)
        if side.release in kept:
            found[int(side.version)] = kept[side.release]
    return found


def rebuild(config: RegisterConfig, made: dict[int, KeptRelease]) -> None:
    """Replace a lost registry by one with these versions and the ledger's alias.

    It is built under a temporary name and renamed, so that a kill leaves no partial registry.
    """
    path = config.database
    assert path is not None, "a registry on a server is not rebuilt here"
    temporary = path.with_name(f".{path.name}.rebuilt.tmp")
    temporary.unlink(missing_ok=True)
    beside = config.model_copy(update={"tracking_url": Address(f"sqlite:///{temporary}")})
    restored = {
        number: VersionFiles(
            model=one.model,
            papers=one.folder,
            place=release.artifact_path(one.digest),
            tags=release.tags(release.read(one.folder, one.digest), one.folder),
        )
        for number, one in made.items()
    }
    copies.restore(beside, restored)
    champions.update_alias(beside)
    _set_challenger(beside)
    temporary.rename(path)


def _set_challenger(config: RegisterConfig) -> None:
    """Make the newest version that was compared with the champion its challenger."""
    champion, versions = champions.current(config), tracking.registry_contents(config).versions
    judged = [
        int(one.number)
        for one in versions.values()
        if champion is not None and one.tags.get("compared_with") == champion.digest
    ]
    if judged:
        tracking.set_alias(config, tracking.CHALLENGER, str(max(judged)))


def read_error(config: RegisterConfig) -> str:
    """The error that keeps a registry's versions from being read; "" if there is none.

    Raises:
        StorageFailed: another program holds it, or it may not be read: it may be intact.
    """
    try:
        locations.versions(config)
        locations.aliases(config)
    except ArtifactTampered as refusal:
        return str(refusal).partition(";")[0]
    return ""


def missing_champion(config: RegisterConfig, known: list[Entry]) -> str:
    """The fault of a readable registry that lacks the ledger's champion; "" if it has it."""
    if not known:
        return ""
    side = rollout_ledger.champion(known[-1].move)
    held = locations.versions(config)
    if side.version not in held:
        return f"it holds {len(held)} version(s) {sorted(held)[-5:]}, the champion is {side.label}"
    if side.release not in held[side.version]:
        other = sorted(held[side.version])[0][:8] if held[side.version] else "none"
        return f"its version {side.version} is release {other}, the champion is {side.label}"
    return ""
