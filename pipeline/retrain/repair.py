"""What of the state is broken, what still stands and what rebuilds it: shown first, done with YES.

Nothing is deleted: a broken file is moved aside under a name with .broken, and what replaces it
comes from something whole, with the evidence for it. docs/state.md lists every file.
"""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry
from pipeline.register import registry_rebuild
from pipeline.registry import champions, locations, release, release_loader, versions
from pipeline.retrain import journal
from pipeline.retrain.chains import chain
from pipeline.retrain.findings import Finding, set_aside
from pipeline.retrain.records import calendar_moves, evidence, labels, online_stores, request_log
from pipeline.rollout.state import hold_rollout
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import ANEW, damage
from pipeline.shared.errors import ArtifactTampered

_CHAINS = {rollout_ledger.LEDGER: "ledger", journal.JOURNAL: "journal"}
_MOST = 50
"""Repairs in one run: far more than there are files, so that none is tried forever."""


def repair(yes: bool = False) -> str:
    """Show what is broken and what would rebuild it; with `yes` do it, one file after another.

    Raises:
        ArtifactTampered: something is left that nothing here rebuilds, or was not repaired.
        RolloutRefused: a rollout goes on, which writes what would be repaired.
    """
    with contextlib.ExitStack() as until_over:
        if yes:
            until_over.enter_context(hold_rollout())
        return _repaired(yes)


def _repaired(yes: bool) -> str:
    done: list[str] = []
    while found := _first(findings(), yes):
        act = found[0].act
        if not yes or act is None:
            return _told(found, done, yes)
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


def _first(found: Iterator[Finding], yes: bool) -> list[Finding]:
    """Everything that is broken, what can be repaired first; to do it, one is enough."""
    every = sorted(found, key=lambda finding: finding.act is None)
    return every[:1] if yes and every and every[0].act else every


def _told(found: list[Finding], done: list[str], yes: bool) -> str:
    """The proposal, or what is left over."""
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


def findings() -> Iterator[Finding]:
    """What is broken, in the order in which it is repaired: the ledger comes first."""
    config = load(RegisterConfig)
    for path, what in _CHAINS.items():
        yield from chain(path, what)
    known = _readable_ledger()
    if known is None:
        return  # who is champion, and so all that follows, is asked of it
    registry = list(_registry(config, known))
    yield from registry
    if not registry and versions.exists(config):
        yield from _alias(config, known)
        yield from _versions(config)
    yield from _releases(config)
    yield from online_stores()
    yield from request_log()
    yield from labels(known)
    yield from calendar_moves()
    yield from evidence(known)


def _readable_ledger() -> list[Entry] | None:
    try:
        return rollout_ledger.entries()
    except ArtifactTampered:
        return None


# The registry, its files, and the release store.


def _registry(config: RegisterConfig, known: list[Entry]) -> Iterator[Finding]:
    path = config.database
    if path is None or not (known or path.is_file()):
        return
    wrong = damage(path) if path.is_file() else "it is gone"
    if not (
        wrong := wrong
        or registry_rebuild.unreadable(config)
        or registry_rebuild.lacks(config, known)
    ):
        return
    kept = registry_rebuild.kept_releases(config)
    made = registry_rebuild.versions(known, kept)
    can = bool(known) and int(rollout_ledger.champion(known[-1].move).version) in made

    def again() -> None:
        set_aside(path)
        registry_rebuild.rebuild(config, made)

    yield Finding(
        path,
        wrong,
        f"{len(made)} version(s) {sorted(made)} with whole releases in "
        f"{release_loader.RELEASES}/ and {config.artifacts}/; {len(kept) - len(made)} "
        "release(s) of no known version",
        "make these versions again, with the alias that the ledger says; runs and their metrics "
        "come from a backup only"
        if can
        else f"a backup's; the champion is not among them: {ANEW}",
        again if can else None,
    )


def _alias(config: RegisterConfig, known: list[Entry]) -> Iterator[Finding]:
    if not known or config.database is None:
        return
    side, alias = rollout_ledger.champion(known[-1].move), locations.aliases(config).get("champion")
    if alias != side.version:
        yield Finding(
            Path(config.database),
            f"its alias champion is {f'version {alias}' if alias else 'not set'}",
            f"the ledger says {side.label} since entry {len(known)}, and it is registered",
            "let the alias follow",
            lambda: champions.follow(config),
        )


def _versions(config: RegisterConfig) -> Iterator[Finding]:
    """Versions whose papers or model are not what was registered, and whole copies of them."""
    for version in versions.held(config).versions.values():
        if not (wrong := release_loader.broken_in_registry(config, version)):
            continue
        digest = version.tag("release")
        source = release_loader.place(digest)
        can = source.is_dir() and not release_loader.broken(source)
        yield Finding(
            versions.folder_of(config, version, release.place(digest)),
            f"version {version.number}: {wrong}",
            f"{source}/ holds the same release, whole" if can else "no whole copy was found",
            "put its papers and model back" if can else f"a backup's, or {ANEW}",
            partial(_put_back, config, version, source) if can else None,
        )


def _put_back(config: RegisterConfig, version: versions.Version, source: Path) -> None:
    set_aside(versions.folder_of(config, version, release.place(version.tag("release"))))
    set_aside(versions.model_of(config, version))
    release_loader.put_back(config, version, source)


def _releases(config: RegisterConfig) -> Iterator[Finding]:
    """Exported releases that are not what was exported: the registry has them."""
    for folder in release.exported():
        if not (wrong := release_loader.broken(folder)):
            continue
        can = release_loader.registered(config, folder.name)
        yield Finding(
            folder,
            wrong,
            f"version {can} in the registry is this release, whole" if can else "no whole copy",
            "export it again" if can else f"a backup's; nothing serves from it: {ANEW}",
            partial(_again, folder, can) if can else None,
        )


def _again(folder: Path, number: str) -> None:
    set_aside(folder)
    release_loader.export(number)
