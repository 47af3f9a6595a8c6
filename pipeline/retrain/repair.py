"""Repair of broken state: each fault, the intact evidence, and the step that rebuilds the file.

The proposal is printed first and carried out with YES. Nothing is deleted: a broken file is moved
aside under a name with .broken, and its replacement comes from an intact source. docs/state.md
lists every file.
"""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry
from pipeline.register import registry_rebuild
from pipeline.registry import champions, client, locations, release, release_loader, versions
from pipeline.retrain import journal
from pipeline.retrain.repair_chains import check_chain
from pipeline.retrain.repair_findings import RepairFinding, set_aside
from pipeline.retrain.repair_records import (
    calendar_moves,
    evidence,
    label_findings,
    online_stores,
    request_log,
)
from pipeline.rollout.state import hold_rollout
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import START_AGAIN, find_damage
from pipeline.shared.errors import ArtifactTampered

_CHAINS = {rollout_ledger.LEDGER: "ledger", journal.JOURNAL: "journal"}
_MOST = 50
"""Repairs in one run: far more than there are files, so that no repair loops forever."""


def repair(yes: bool = False) -> str:
    """List broken files and how to rebuild them; with `yes` rebuild them one after another.

    Raises:
        ArtifactTampered: a file is left that cannot be rebuilt here, or a repair failed.
        RolloutRefused: a rollout is in progress, which writes the same files.
    """
    with contextlib.ExitStack() as until_over:
        if yes:
            until_over.enter_context(hold_rollout())
        return _repair_all(yes)


def _repair_all(yes: bool) -> str:
    done: list[str] = []
    while found := _first(findings(), yes):
        act = found[0].act
        if not yes or act is None:
            return _proposal(found, done, yes)
        if len(done) == _MOST:
            raise ArtifactTampered(
                f"{len(done)} repaired, as many as in one run, and {found[0].file} is broken yet: "
                "`make repair YES=1` goes on"
            )
        sys.stdout.write(f"{found[0].words}\n")
        act()
        if (words := found[0].words) in done:
            raise ArtifactTampered(f"repaired, and broken again; see docs/state.md: {words}")
        done.append(words)
    return f"{len(done)} repaired; every file of state holds" if done else "nothing is broken"


def _first(found: Iterator[RepairFinding], yes: bool) -> list[RepairFinding]:
    """All findings, the repairable ones first; to repair, only the first."""
    every = sorted(found, key=lambda finding: finding.act is None)
    return every[:1] if yes and every and every[0].act else every


def _proposal(found: list[RepairFinding], done: list[str], yes: bool) -> str:
    """The proposal; with `yes` the refusal that names the files that are left."""
    lines = [f"{number}. {one.words}" for number, one in enumerate(found, 1)]
    can = sum(one.act is not None for one in found)
    counted = f"{len(found)} broken, {can} of them can be repaired here"
    then = "; nothing was changed: `make repair YES=1` does it" if can else ""
    if yes:
        raise ArtifactTampered(
            f"{len(done)} repaired, {len(found)} left that nothing here rebuilds; see "
            "docs/state.md:\n" + "\n".join(lines)
        )
    return "\n".join([f"{counted}{then}", *lines])


def findings() -> Iterator[RepairFinding]:
    """All findings in the order of repair: the ledger comes first."""
    config = load(RegisterConfig)
    for path, what in _CHAINS.items():
        yield from check_chain(path, what)
    known = _readable_ledger()
    if known is None:
        return  # it names the champion, on which all that follows depends
    registry = list(_registry(config, known))
    yield from registry
    if not registry and client.store_exists(config):
        yield from _alias(config, known)
        yield from _damaged_versions(config)
    yield from _damaged_exports(config)
    yield from online_stores()
    yield from request_log()
    yield from label_findings(known)
    yield from calendar_moves()
    yield from evidence(known)


def _readable_ledger() -> list[Entry] | None:
    try:
        return rollout_ledger.entries()
    except ArtifactTampered:
        return None


# The registry, its files, and the release store.


def _registry(config: RegisterConfig, known: list[Entry]) -> Iterator[RepairFinding]:
    path = config.database
    if path is None or not (known or path.is_file()):
        return
    wrong = find_damage(path) if path.is_file() else "it is gone"
    if not (
        wrong := wrong
        or registry_rebuild.read_error(config)
        or registry_rebuild.missing_champion(config, known)
    ):
        return
    kept = registry_rebuild.kept_releases(config)
    made = registry_rebuild.restorable_versions(known, kept)
    can = bool(known) and int(rollout_ledger.champion(known[-1].move).version) in made

    def again() -> None:
        set_aside(path)
        registry_rebuild.rebuild(config, made)

    yield RepairFinding(
        path,
        wrong,
        f"{len(made)} version(s) {sorted(made)} with whole releases in "
        f"{release_loader.RELEASES}/ and {config.artifacts}/; {len(kept) - len(made)} "
        "release(s) of no known version",
        "make these versions again, with the alias that the ledger says; runs and their metrics "
        "come from a backup only"
        if can
        else f"a backup's; the champion is not among them: {START_AGAIN}",
        again if can else None,
    )


def _alias(config: RegisterConfig, known: list[Entry]) -> Iterator[RepairFinding]:
    if not known or config.database is None:
        return
    side, alias = rollout_ledger.champion(known[-1].move), locations.aliases(config).get("champion")
    if alias != side.version:
        yield RepairFinding(
            Path(config.database),
            f"its alias champion is {f'version {alias}' if alias else 'not set'}",
            f"the ledger says {side.label} since entry {len(known)}, and it is registered",
            "let the alias follow",
            lambda: champions.update_alias(config),
        )


def _damaged_versions(config: RegisterConfig) -> Iterator[RepairFinding]:
    """Registered versions whose files were changed, and intact copies of them."""
    for version in versions.registry_contents(config).versions.values():
        if not (wrong := release_loader.registry_fault(config, version)):
            continue
        digest = version.tag("release")
        source = release_loader.export_folder(digest)
        can = source.is_dir() and not release_loader.export_fault(source)
        yield RepairFinding(
            versions.folder_of(config, version, release.artifact_path(digest)),
            f"version {version.number}: {wrong}",
            f"{source}/ holds the same release, whole" if can else "no whole copy was found",
            "put its papers and model back" if can else f"a backup's, or {START_AGAIN}",
            partial(_put_back, config, version, source) if can else None,
        )


def _put_back(config: RegisterConfig, version: versions.Version, source: Path) -> None:
    set_aside(versions.folder_of(config, version, release.artifact_path(version.tag("release"))))
    set_aside(versions.model_of(config, version))
    release_loader.restore_from_export(config, version, source)


def _damaged_exports(config: RegisterConfig) -> Iterator[RepairFinding]:
    """Exported releases whose files were changed; the registry has the originals."""
    for folder in release.exported_releases():
        if not (wrong := release_loader.export_fault(folder)):
            continue
        can = release_loader.version_of_folder(config, folder.name)
        yield RepairFinding(
            folder,
            wrong,
            f"version {can} in the registry is this release, whole" if can else "no whole copy",
            "export it again" if can else f"a backup's; nothing serves from it: {START_AGAIN}",
            partial(_export_again, folder, can) if can else None,
        )


def _export_again(folder: Path, number: str) -> None:
    set_aside(folder)
    release_loader.export(number)
