"""A registry that was lost, from what else holds its versions: releases that were exported or kept.

A release is taken only if its record has the digest that the ledger or the store names, its papers
are those that it names, and its parts belong together: what is rebuilt is what was registered.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.registry import champions, locations, release
from pipeline.registry import versions as tracking
from pipeline.registry.versions import Restored
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactTampered, PipelineError, UsageError
from pipeline.shared.files import file_hash
from pipeline.shared.secrets import Address


@dataclass(frozen=True)
class Kept:
    """A whole release that lies outside the registry's database: its digest, papers and model."""

    digest: str
    papers: Path
    model: Path
    number: str | None


def kept_releases(config: RegisterConfig) -> dict[str, Kept]:
    """Every whole release in the release store and among the registry's files, by its digest."""
    numbers = _numbers()
    models = {file_hash(path): path for path in _models(config)}
    found: dict[str, Kept] = {}
    for record in _records(config):
        try:
            digest = file_hash(record)
            sealed = release.read(record.parent, digest)
            release.require_in_step(sealed, record.parent, models[sealed.model])
        except (PipelineError, UsageError, KeyError, ValueError):
            continue  # not whole: nothing is taken from it
        found.setdefault(
            digest, Kept(digest, record.parent, models[sealed.model], numbers.get(digest))
        )
    return found


def _records(config: RegisterConfig) -> Iterator[Path]:
    yield from sorted(release.EXPORTED.glob(f"*/{release.PAPERS}/{release.RECORD}"))
    if config.artifacts is not None:
        yield from sorted(config.artifacts.glob(f"**/release/*/{release.RECORD}"))


def _models(config: RegisterConfig) -> Iterator[Path]:
    yield from release.EXPORTED.glob(f"*/{tracking.MODEL_FILE}")
    if config.artifacts is not None:
        yield from config.artifacts.rglob(tracking.MODEL_FILE)
    if release.MODEL.is_file():
        yield release.MODEL


def _numbers() -> dict[str, str]:
    """The version of each release, as the ledger and the release store name it."""
    found: dict[str, str] = {}
    for path in release.EXPORTED.glob(f"*/{release.PLACED}"):
        try:
            placed = json.loads(path.read_bytes())
            found[str(placed["release"])] = str(placed["number"])
        except (ValueError, KeyError, TypeError):
            continue
    for entry in rollout_ledger.entries():
        for side in filter(None, (entry.move.champion, entry.move.challenger)):
            found[side.release] = side.version
    return found


def side_of(one: Kept) -> Side:
    """A kept release as the ledger names it."""
    assert one.number is not None, "only a release of a known version is anybody's side"
    sealed = release.read(one.papers, one.digest)
    return Side(version=one.number, release=one.digest, features=sealed.features)


def versions(known: list[Entry], kept: dict[str, Kept]) -> dict[int, Kept]:
    """The versions that can be made again, by number: of each the release that served last."""
    found = {int(one.number): one for one in kept.values() if one.number is not None}
    for entry in known:
        side = rollout_ledger.champion(entry.move)
        if side.release in kept:
            found[int(side.version)] = kept[side.release]
    return found


def rebuild(config: RegisterConfig, made: dict[int, Kept]) -> None:
    """Put a registry of these versions in the place of one that was lost, with the ledger's alias.

    It appears whole: it is made under another name beside, and a kill leaves nothing in its place.
    """
    path = config.database
    assert path is not None, "a registry on a server is not made here"
    temporary = path.with_name(f".{path.name}.rebuilt.tmp")
    temporary.unlink(missing_ok=True)
    beside = config.model_copy(update={"tracking_url": Address(f"sqlite:///{temporary}")})
    restored = {
        number: Restored(
            model=one.model,
            papers=one.papers,
            place=release.place(one.digest),
            tags=release.tags(release.read(one.papers, one.digest), one.papers),
        )
        for number, one in made.items()
    }
    tracking.restore(beside, restored)
    champions.follow(beside)
    _challenger(beside)
    temporary.rename(path)


def _challenger(config: RegisterConfig) -> None:
    """The newest version that was judged against the champion is its challenger again."""
    champion, versions = champions.current(config), tracking.held(config).versions
    judged = [
        int(one.number)
        for one in versions.values()
        if champion is not None and one.tags.get("compared_with") == champion.digest
    ]
    if judged:
        tracking.set_alias(config, tracking.CHALLENGER, str(max(judged)))


def unreadable(config: RegisterConfig) -> str:
    """Why a registry has no versions to read; "" where it has.

    Raises:
        StorageFailed: another program holds it, or it may not be read: it may be whole.
    """
    try:
        locations.versions(config)
        locations.aliases(config)
    except ArtifactTampered as refusal:
        return str(refusal).partition(";")[0]
    return ""


def lacks(config: RegisterConfig, known: list[Entry]) -> str:
    """Which version of the ledger's champion a readable registry lacks; "" where it has it."""
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
