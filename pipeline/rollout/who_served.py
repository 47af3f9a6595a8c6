"""Queries on the ledger: the version in service, then or now, and a replay of each decision."""

import pandas as pd

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry
from pipeline.registry import champions
from pipeline.rollout.analysis.canary import decide_bake, decide_canary
from pipeline.rollout.analysis.decision import Decision, plan_hash
from pipeline.rollout.analysis.shadow import decide_shadow
from pipeline.rollout.progress import weights
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.errors import ArtifactTampered, DayUnknown, RolloutRefused
from pipeline.shared.files import file_hash, read_json, read_parquet


def run() -> str:
    """List every transition so far, and update the registry's alias.

    Raises:
        RegistryRefused: ledger and registry contradict each other.
        RolloutRefused: nothing was ever released.
    """
    known = rollout_ledger.entries()
    champions.repair_alias(load(RegisterConfig))
    return format_ledger(known)


def format_ledger(known: list[Entry]) -> str:
    """Format the transitions, one a line, oldest first.

    Raises:
        RolloutRefused: there is none.
    """
    if not known:
        raise RolloutRefused("the ledger has 0 entries: `make champion` registers a champion")
    return "\n".join([f"{len(known)} transitions, all hashes hold", *map(_line, known)])


def _line(entry: Entry) -> str:
    move = entry.move
    against = f" against {move.challenger.label}" if move.challenger else ""
    shares = {str(arm): share for arm, share in move.shares.items()}
    return (
        f"{entry.number:>4}  {move.at:%Y-%m-%d %H:%M}Z  {move.rollout:<16} {move.event:<16} "
        f"{weights(shares)}; {move.champion.label}{against}; by {move.by}"
    )


def who_served(at: str | None = None) -> str:
    """Name the version that served at an instant, and its share of the traffic.

    Without an instant, the version that serves since the last transition.

    Raises:
        DayUnknown: it is no instant, or nothing served yet.
    """
    instant = rollout_ledger.parse_instant(at) if at else None
    entry = rollout_ledger.entry_at(instant)
    if entry is None:
        begins = "begins later" if rollout_ledger.entries() else "is empty"
        when = f" at {at}" if at else ""
        raise DayUnknown(f"nothing served{when}: the ledger {begins}; see `make rollout`")
    move = entry.move
    shares = [
        f"{side.label} {share / 100:g}%" for side, share in rollout_ledger.serving_shares(move)
    ]
    mirrored = f", mirrored to {move.challenger.label}" if move.mirrored and move.challenger else ""
    when = f"at {instant:%Y-%m-%d %H:%M}Z" if instant else "now"
    return (
        f"{when}: {' and '.join(shares)}{mirrored}, since {move.event!r} in "
        f"{move.rollout} at {move.at:%Y-%m-%d %H:%M}Z by {move.by} (entry {entry.number})"
    )


def replay_decision(rollout: str | None = None) -> str:
    """Repeat a rollout's decisions from the recorded evidence, and compare every number.

    Raises:
        ArtifactTampered: the evidence was changed, or gives another decision.
        RolloutRefused: the ledger has no such rollout, or no decision of it.
    """
    known = [e for e in rollout_ledger.entries() if e.move.evidence]
    names = [entry.move.rollout for entry in known]
    name = rollout or (names[-1] if names else "")
    mine = [entry for entry in known if entry.move.rollout == name]
    if not mine:
        raise RolloutRefused(
            f"{name or 'no rollout'!s} has 0 decisions with evidence, {len(set(names))} rollouts "
            f"have some: {sorted(set(names))[-5:]}; see `make rollout`"
        )
    outcomes = [f"{e.move.event}: {_decide_again(e).outcome}" for e in mine]
    return f"{name}: {len(mine)} decisions come out again, number by number: {', '.join(outcomes)}"


def _decide_again(entry: Entry) -> Decision:
    """Repeat a decision from the evidence and plan on disk.

    Raises:
        ArtifactTampered: the outcome or a number differs.
    """
    move = entry.move
    folder = ROLLOUT / move.rollout
    (file, sealed), *_ = move.evidence.items()
    path = folder / file
    if path.is_file() and (found := file_hash(path)) != sealed:
        raise ArtifactTampered(
            f"{path} has SHA-256 {found[:12]}, the ledger recorded {sealed[:12]}: the evidence "
            "was changed; restore it from a backup"
        )
    evidence = read_parquet(path, "canary")
    plan = RolloutConfig.model_validate(read_json(folder / "plan.json", "canary"))
    recorded = Decision.model_validate(move.decision)
    again = _decision_from(plan, evidence, recorded)
    if plan_hash(plan) != move.plan or again != recorded:
        raise ArtifactTampered(
            f"entry {entry.number} recorded {recorded.outcome!r} by plan {(move.plan or '')[:12]}, "
            f"its evidence gives {again.outcome!r} by {plan_hash(plan)[:12]}: the decision or its "
            "code was changed; compare with `git log pipeline/rollout`"
        )
    return again


def _decision_from(plan: RolloutConfig, evidence: pd.DataFrame, recorded: Decision) -> Decision:
    if recorded.refresh is not None:
        return decide_shadow(plan, evidence, recorded.refresh)
    assert recorded.start is not None, "a canary records what it started with"
    assert recorded.at is not None, "a canary records its position"
    judge = decide_canary if recorded.metrics else decide_bake
    return judge(plan, recorded.start, evidence, recorded.at)
