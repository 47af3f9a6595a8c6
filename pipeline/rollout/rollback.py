"""Rollback to the previous version: one command from any state, checked before and after.

A release goes back as a whole: model, feature service and config are one record, so an older model
never meets newer features. A version that does not load here is refused before the switch.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import UNFINISHED, Entry, Move, Side
from pipeline.registry import champions
from pipeline.rollout.state import (
    ALL_CHAMPION,
    FAILED_EVENTS,
    hold_traffic,
    require_servable,
)
from pipeline.rollout.traffic import envoy, routes, servers
from pipeline.rollout.traffic.supervisor import SERVER_STATE, SPEC, read_spec
from pipeline.shared import clock, lineage
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import database
from pipeline.shared.errors import PipelineError, RolloutRefused
from pipeline.shared.installation import REPLAYS

_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Rollback:
    """The side to take out, and the target that serves instead."""

    target: Side
    out: Side


def rollback(version: str = "") -> str:
    """End the rollout in progress, or undo the last promotion; a second call changes nothing.

    With a `version`, go back to that one, which served before: also after a canary that has ended.

    Raises:
        RolloutRefused: there is nothing to go back to, or the version never served.
        ReleaseRefused: the target does not load, or predicts something else than it did.
    """
    with hold_traffic(_PATIENCE_SECONDS):  # goes on without the lock if it is not released in time
        return _roll_back(version)


def _roll_back(version: str) -> str:
    started = time.perf_counter()
    known = rollout_ledger.entries()
    if version and known:
        _require_over(known[-1].move)
        serves = rollout_ledger.main_side(known[-1].move)
        if serves.version == version:
            return f"{serves.label} serves all already: nothing to take back{_update_registry()}"
    back = _to_version(version, known) if version and known else _previous(known)
    if back is None:
        move = known[-1].move
        if move.challenger is not None:  # its writer may have died before the traffic changed
            _switch_traffic(Rollback(move.champion, move.challenger), move)
        words = f"{move.champion.label} serves all since {move.event!r}: nothing to take back"
        words += _update_registry()
        failed = {e.move.challenger for e in known if e.move.event in FAILED_EVENTS}
        out = {move.champion.version, *(side.version for side in failed if side and not side.fault)}
        older = [one for one in _served_versions(known) if one not in out]
        return words + (f"; `make rollback VERSION={older[-1]}` goes further" if older else "")
    require_servable(back.target)
    last = known[-1].move
    rollout_ledger.append(
        Move(
            at=rollout_ledger.now(clock.arrived_at(load(IngestConfig).as_of)),
            event="rolled back",
            rollout=last.rollout,
            champion=back.target,
            challenger=back.out,
            shares=ALL_CHAMPION,  # type: ignore[arg-type]
            salt=last.salt,
            by=f"hand of {lineage.actor()}",
        )
    )
    switched = _switch_traffic(back, last)
    followed = _update_registry(champions.update_alias)
    return (
        f"{back.target.label} with features {back.target.features[-12:]} serves all, "
        f"{back.out.label} is out, {1000 * (time.perf_counter() - started):.0f} ms after the call"
        f"{switched}; entry {len(known) + 1} of the ledger{followed}"
    )


def _update_registry(how: Callable[[RegisterConfig], object] = champions.repair_alias) -> str:
    """Update the registry's alias; a broken registry does not keep traffic from going back."""
    config = load(RegisterConfig)
    try:
        with contextlib.ExitStack() as until_over:
            if config.database is not None:
                until_over.enter_context(database(config.database, "registry"))
            how(config)
    except PipelineError as refusal:
        return f"; BUT the registry could not follow: {refusal}"
    return ""


def _previous(known: list[Entry]) -> Rollback | None:
    """The rollback that the last move calls for; None if the champion serves already."""
    if not known:
        champions.current(load(RegisterConfig))  # refuses if the ledger was lost, not empty
        raise RolloutRefused(
            "the ledger has 0 entries, 2 are needed to go back: `make champion` registers one"
        )
    move = known[-1].move
    if move.event in FAILED_EVENTS or move.event in ("paused", "inconclusive"):
        return None
    if move.challenger is None:
        raise RolloutRefused(
            f"{move.champion.label} is the first of 1 champion(s): there is none to go back to; "
            f"{_elsewhere() or '`make canary` promotes a challenger that the gate has passed'}"
        )
    rehearsed = move.champion.name == move.challenger.name  # the champion beside itself
    ended_well = move.event in ("promoted", "baked", "promoted by hand") and not rehearsed
    if move.event in UNFINISHED or ended_well:
        return Rollback(move.champion, move.challenger)
    return None


def _elsewhere() -> str:
    """The replay here in which more than one version has served, and the way there; "" if none."""
    for folder in sorted(REPLAYS.glob("*/")):
        with contextlib.suppress(PipelineError):  # a damaged ledger there is refused there
            known = rollout_ledger.entries(folder / rollout_ledger.LEDGER)
            serves = rollout_ledger.main_side(known[-1].move).version if known else ""
            if others := [one for one in _served_versions(known) if one != serves]:
                return (
                    f"the replay in {folder} is a project of its own with {len(others) + 1} "
                    f"champions: `cd {folder}`, then `make rollback VERSION={others[-1]}`"
                )
    return ""


def _require_over(last: Move) -> None:
    """Refuse a named version while a rollout is in progress, since that would continue."""
    if last.event in UNFINISHED:
        raise RolloutRefused(
            f"{last.rollout} is unfinished at {last.event!r}, and would go on: `make rollback` "
            "without a version ends it"
        )


def _to_version(version: str, known: list[Entry]) -> Rollback:
    """The rollback to a named version."""
    served = _served_versions(known)
    if version not in served:
        raise RolloutRefused(
            f"version {version} never served here, {len(served)} did: {', '.join(served)}; "
            "`make rollout` shows when"
        )
    return Rollback(served[version], rollout_ledger.main_side(known[-1].move))


def _served_versions(known: list[Entry]) -> dict[str, Side]:
    """All versions that ever served all traffic, the most recent last."""
    found: dict[str, Side] = {}
    for entry in known:
        for side, share in rollout_ledger.serving_shares(entry.move):
            if share == rollout_ledger.WHOLE and not side.fault:
                found.pop(side.version, None)
                found[side.version] = side
    return found


def _switch_traffic(back: Rollback, last: Move) -> str:
    """Switch the traffic of the running servers, if any; returns a phrase for the report."""
    if not servers.is_running() or not (SERVER_STATE / SPEC).is_file():
        return "; no server runs, so no traffic had to be switched"
    wanted = read_spec(SERVER_STATE)
    arm = next((a for a, s in wanted.servers.items() if s.release == back.target.release), None)
    if arm is None:
        return "; what serves now does not hold it: it is served from the next start on"
    route = routes.Route({arm: rollout_ledger.WHOLE}, last.salt)
    version = envoy.set_route(SERVER_STATE, route, wanted.keys)
    took = envoy.confirm(wanted.ports, version)
    return f", traffic switched in {1000 * took:.0f} ms"
