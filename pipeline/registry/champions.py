"""The champion: the rollout ledger names it, and the registry's alias follows.

One source of truth: a transition is in the ledger before anything else changes. A process killed
after that leaves an alias that lags behind; every reader goes by the ledger and reports the lag,
and every writer updates the alias first. A registry without the version that the ledger names was
emptied or replaced: nothing is read from it, and the next model is not the first champion.
"""

import sys
from dataclasses import dataclass
from datetime import datetime

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry, Move, Side
from pipeline.registry import release, versions
from pipeline.registry.versions import CHAMPION, RegistryContents, Version
from pipeline.shared import lineage
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import RegistryRefused


@dataclass(frozen=True)
class ChampionTenure:
    """The champion by the ledger, the entry since which it serves, and its predecessor."""

    entry: Entry
    side: Side
    before: Side | None

    @property
    def description(self) -> str:
        """The champion and its entry, for messages."""
        return f"{self.side.label} since {self.entry.move.event!r} (entry {self.entry.number})"


def current(config: RegisterConfig) -> Version | None:
    """The champion's version, None before the first; a lagging alias is reported on stderr.

    Raises:
        RegistryRefused: ledger and registry contradict each other.
    """
    contents, tenure = versions.registry_contents(config), _tenure(rollout_ledger.entries())
    if tenure is None:
        return _without_ledger(config, contents)
    version = _registry_version(config, contents, tenure)
    if lag := _lag(config, contents, tenure):
        sys.stderr.write(f"champion: {lag}; the ledger counts, `make rollout` mends the alias\n")
    return version


def repair_alias(config: RegisterConfig) -> Version | None:
    """The champion's version, after a repair of the alias where it lags; the repair is reported.

    Raises:
        RegistryRefused: ledger and registry contradict each other, or another checkout may have
            set the alias of a registry on a server.
    """
    version, lag = _update_alias(config)
    if lag:
        sys.stderr.write(f"champion: {lag}; the alias was mended\n")
    return version


def update_alias(config: RegisterConfig) -> None:
    """Update the alias after a transition was written to the ledger.

    Raises:
        RegistryRefused: as `repair_alias`.
    """
    _update_alias(config)


def _update_alias(config: RegisterConfig) -> tuple[Version | None, str]:
    """Update the alias if it lags; returns the champion's version, and how the alias differed."""
    contents, tenure = versions.registry_contents(config), _tenure(rollout_ledger.entries())
    if tenure is None:
        return _without_ledger(config, contents), ""
    version = _registry_version(config, contents, tenure)
    if lag := _lag(config, contents, tenure):
        _require_ours(config, contents, lag)
        _approve_and_set_alias(config, version, tenure)
        version = versions.get_version(config, version.number)
    return version, lag


def resolve_version(config: RegisterConfig, name: str) -> Version:
    """The version with this number or alias; the champion is the ledger's.

    Raises:
        VersionUnknown: there is none.
        RegistryRefused: ledger and registry contradict each other.
    """
    version = current(config) if name == CHAMPION else None
    return version or versions.get_version(config, name)


def require_first(config: RegisterConfig, digest: str) -> None:
    """Refuse a first champion where something was served before.

    A version of the very same model is a registration that was killed before its first entry.

    Raises:
        RegistryRefused: the registry holds another model, or the release store any release.
    """
    if rollout_ledger.entries():
        return
    others = [
        v.number for v in versions.registry_contents(config).versions.values() if v.digest != digest
    ]
    exported = [folder.name for folder in release.exported_releases()]
    if others or exported:
        raise RegistryRefused(
            f"{rollout_ledger.LEDGER} has 0 entries, so {digest[:12]} would be the first "
            f"champion, but {config.tracking_url} holds {len(others)} other "
            f"version(s) {others[-5:]} and {release.RELEASE_STORE}/ {len(exported)} release(s) "
            f"{exported[-5:]}: something served before; {REPAIR}"
        )


def side_of(version: Version) -> Side:
    """A version as the ledger names it."""
    number, service = version.number, version.tag("feature_service")
    return Side(version=number, release=version.tag("release"), features=service)


def registration_transition(version: Version, at: datetime, by: str = "") -> Move:
    """The transition with which the first champion starts to serve."""
    return registration_of_side(side_of(version), at, by)


def registration_of_side(side: Side, at: datetime, by: str = "", before: int | None = None) -> Move:
    """The same for a release in the ledger's terms; `before` counts the rollouts before it."""
    number = 1 + (rollout_ledger.count_rollouts() if before is None else before)
    return Move(
        at=at,
        event="registered",
        rollout=f"{number:04}-register",
        champion=side,
        shares={"champion": rollout_ledger.WHOLE},
        by=by or lineage.actor(),
    )


def tenure() -> ChampionTenure | None:
    """The champion by the ledger with its predecessor; None before the first champion."""
    return _tenure(rollout_ledger.entries())


def _tenure(known: list[Entry]) -> ChampionTenure | None:
    """The champion's run of entries at the end of the ledger."""
    if not known:
        return None
    side = rollout_ledger.champion(known[-1].move)
    first = len(known)
    while first > 1 and rollout_ledger.champion(known[first - 2].move).version == side.version:
        first -= 1
    before = rollout_ledger.champion(known[first - 2].move) if first > 1 else None
    return ChampionTenure(known[first - 1], side, before)


def _without_ledger(config: RegisterConfig, contents: RegistryContents) -> Version | None:
    """The alias's version, if the registry is on a server that several checkouts share."""
    number = contents.aliases.get(CHAMPION) or contents.remembered.get(CHAMPION)
    if number is None:
        return None
    if config.database is None and number in contents.versions:
        return contents.versions[number]
    raise RegistryRefused(
        f"{config.tracking_url} says that version {number} is {CHAMPION}, "
        f"{rollout_ledger.LEDGER} has 0 entries: the ledger was lost; {REPAIR}"
    )


def _registry_version(
    config: RegisterConfig, contents: RegistryContents, tenure: ChampionTenure
) -> Version:
    """The registry's version of the ledger's champion."""
    version = contents.versions.get(tenure.side.version)
    if version is None:
        raise RegistryRefused(
            f"{rollout_ledger.LEDGER} says that {tenure.description} is {CHAMPION}, "
            f"{config.tracking_url} holds {len(contents.versions)} version(s) "
            f"{sorted(map(int, contents.versions))[-5:]}: it was emptied or replaced, or the "
            f"version deleted, and no other takes its place; {REPAIR}"
        )
    if tenure.side.release not in version.releases:
        raise RegistryRefused(
            f"{rollout_ledger.LEDGER} says that {tenure.description} is {CHAMPION}, in "
            f"{config.tracking_url} version {version.number} is release "
            f"{version.tag('release')[:8]}: another registry is in its place; {REPAIR}"
        )
    return version


def _lag(config: RegisterConfig, contents: RegistryContents, tenure: ChampionTenure) -> str:
    """How the alias differs from the ledger; "" where it does not."""
    number = contents.aliases.get(CHAMPION)
    if number == tenure.side.version:
        return ""
    alias = f"the alias {CHAMPION} in {config.tracking_url} "
    alias += "is not set" if number is None else f"is version {number}"
    return f"the ledger says {tenure.description}, {alias}"


def _require_ours(config: RegisterConfig, contents: RegistryContents, lag: str) -> None:
    """Refuse to move a server's alias that another checkout, with its own ledger, may have set."""
    number = contents.aliases.get(CHAMPION)
    moves = [entry.move for entry in rollout_ledger.entries()]
    served = {side.version for m in moves for side in (m.champion, rollout_ledger.champion(m))}
    if config.database is None and number is not None and number not in served:
        raise RegistryRefused(
            f"{lag}, which never served here: another checkout may have set it; run `make rollout` "
            "in that one, or set the alias back in MLflow"
        )


def _approve_and_set_alias(
    config: RegisterConfig, version: Version, tenure: ChampionTenure
) -> None:
    """Record who made a version champion, then set the alias; safe to repeat."""
    move = tenure.entry.move
    by_hand = move.event in ("registered", "promoted by hand")
    back = "rollback of " if move.by.startswith("hand of ") else ""
    words = {
        "by": move.by if by_hand else f"{back}{move.rollout} for {lineage.actor()}",
        "release": tenure.side.release[:12],
        "before": f"version {tenure.before.version}" if tenure.before else "none",
        "entry": str(tenure.entry.number),
    }
    versions.approve(config, version, words)
    versions.set_alias(config, CHAMPION, version.number)
