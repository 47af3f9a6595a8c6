"""The checks that `make repair` runs on the two hash chains, ledger and journal, and their copies.

A chain is rewritten only from links whose hashes are valid. Where a ledger lacks its end, the
registry fills the gap: a champion's approval names the ledger entry of its promotion.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.records import hash_chain, rollout_ledger
from pipeline.records.hash_chain import Link
from pipeline.records.rollout_ledger import Move, Side
from pipeline.register import registry_rebuild
from pipeline.registry import champions, versions
from pipeline.registry.versions import CHAMPION, RegistryContents
from pipeline.retrain.repair_findings import RepairFinding, set_aside
from pipeline.retrain.repair_records import last_served
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import START_AGAIN, find_damage
from pipeline.shared.errors import shell_quote


def check_chain(path: Path, what: str) -> Iterator[RepairFinding]:
    """Findings for a chain and its copy."""
    (ours, wrong), (copied, copy_wrong) = hash_chain.salvage(path), hash_chain.salvage_copy(path)
    copy = hash_chain.copy_path(path)
    if not path.is_file() and not copied and not copy_wrong:
        yield from _lost_ledger(path) if path == rollout_ledger.LEDGER else ()
        return
    agree = sum(a.hash == b.hash for a, b in zip(ours, copied, strict=False))
    if not wrong and not copy_wrong and agree == len(copied):
        return
    if not wrong and agree == len(copied):
        yield RepairFinding(
            copy,
            copy_wrong,
            f"{path} holds {len(ours)} entries, each with its hash",
            "write the copy anew from it",
            lambda: _write(path, what, ours, copy),
        )
    elif not copy_wrong and agree == len(ours):
        yield RepairFinding(
            path,
            wrong or f"it holds {len(ours)} entries, {len(copied)} were written",
            f"its copy {copy.name} holds {len(copied)}, all hashes hold"
            f"{_state_at_end(path, copied)}",
            f"write the {what} anew from the copy",
            lambda: _write(path, what, copied, path),
        )
    elif wrong and copy_wrong and agree == min(len(ours), len(copied)):
        best = max(ours, copied, key=len)
        yield RepairFinding(
            path,
            f"{wrong}; its copy: {copy_wrong}",
            f"{len(best)} entries can be read, all hashes hold{_state_at_end(path, best)}",
            f"write the {what} anew from these",
            lambda: _write(path, what, best, path, copy),
        )
    else:
        yield RepairFinding(
            path,
            f"it and its copy {copy.name} agree in {agree} entries, then hold {len(ours) - agree} "
            f"and {len(copied) - agree} others: one of them was rewritten",
            f"by the {what}{_state_at_end(path, ours)}; by the copy{_state_at_end(path, copied)}",
            f"a person's: check which is right, then move the other aside: `mv {shell_quote(path)} "
            f"{shell_quote(f'{path}.broken')}`",
        )


def _write(path: Path, what: str, links: list[Link], *broken: Path) -> None:
    """Replace broken chains; each stays until its replacement is written: a kill loses none."""
    if path == rollout_ledger.LEDGER and (later := _later_promotion(links)) is not None:
        links = [*links, hash_chain.next_link(links, later.model_dump_json())]
    for one in broken:
        set_aside(one, keep=True)
    hash_chain.write_chain(path, what, links)


def _state_at_end(path: Path, links: list[Link]) -> str:
    """The champion at a ledger's end, and a later promotion that the registry records."""
    if path != rollout_ledger.LEDGER or not links:
        return ""
    words = f", champion is {_champion(links).label}"
    if (later := _later_promotion(links)) is None:
        return words
    return f"{words}; the registry knows of a later promotion, which is added: {later.by}"


def _champion(links: list[Link]) -> Side:
    return rollout_ledger.champion(Move.model_validate_json(links[-1].text))


def _registry_contents(config: RegisterConfig) -> RegistryContents:
    """The contents of an intact local registry; empty for a broken one."""
    path = config.database
    if (
        path is None
        or not path.is_file()
        or find_damage(path)
        or registry_rebuild.read_error(config)
    ):
        return RegistryContents()
    return versions.registry_contents(config)


def _later_promotion(links: list[Link]) -> Move | None:
    """The promotion missing from these entries, where the champion's approval names a later one."""
    held = _registry_contents(load(RegisterConfig))
    version = held.versions.get(held.aliases.get(CHAMPION, ""))
    given = versions.approvals(version)[-1:] if version else []
    if version is None or not links or int((given or [{}])[0].get("entry", "0")) <= len(links):
        return None
    last = Move.model_validate_json(links[-1].text)
    number = int(last.rollout.partition("-")[0])
    return champions.registration_of_side(
        champions.side_of(version), last.at, before=number
    ).model_copy(
        update={
            "event": "promoted by hand",
            "champion": rollout_ledger.champion(last),
            "challenger": champions.side_of(version),
            "shares": {"challenger": rollout_ledger.WHOLE},
            "by": f"repair, after the registry: approved by {given[0]['by']} at {given[0]['at']}",
        }
    )


def _lost_ledger(path: Path) -> Iterator[RepairFinding]:
    """No ledger and no copy: derive the champion from the registry or the request log."""
    config = load(RegisterConfig)
    held = _registry_contents(config)
    number = held.aliases.get(CHAMPION) or held.remembered.get(CHAMPION)
    if number in held.versions:
        version = held.versions[number]
        given = (versions.approvals(version) or [{}])[-1]
        why = f"approved by {given.get('by', 'nobody')} at {given.get('at', 'no time')}"
        side, source = champions.side_of(version), "after the registry's alias"
    elif kept := {} if held.versions else registry_rebuild.kept_releases(config):
        digest, why = last_served()
        if digest not in kept or kept[digest].number is None:
            yield RepairFinding(
                path,
                "it is gone, its copy and the registry with it",
                f"{len(kept)} whole release(s) that were registered; no answer says who served",
                f"a person's; the release store keeps what was served: {START_AGAIN}",
            )
            return
        side, source = registry_rebuild.side_of_release(kept[digest]), "after the request log"
    else:
        return
    by = f"repair, {source}: {why}"
    first = champions.registration_of_side(side, rollout_ledger.beginning(), by)
    yield RepairFinding(
        path,
        "it is gone, and its copy with it",
        f"{side.label} was champion {source}: {why}",
        "begin a ledger in which it is champion; who served before is not known any more",
        partial(rollout_ledger.append, first),
    )
