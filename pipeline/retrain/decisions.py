"""The policy's decisions, replayed from the journal to show that each one is reproducible."""

from pipeline.retrain import journal
from pipeline.retrain.journal import JournalEvent
from pipeline.retrain.policy import Attempt, PolicyCheck, differing_decisions
from pipeline.shared.errors import ArtifactTampered, RegistryRefused


def attempts(events: list[JournalEvent]) -> list[Attempt]:
    """Every attempt that ended, the oldest first."""
    fields = Attempt.model_fields
    lines = [{"at": event.at, **event.told} for event in events if event.kind == "ended"]
    return [Attempt.model_validate({k: v for k, v in one.items() if k in fields}) for one in lines]


def recorded_checks(events: list[JournalEvent]) -> list[PolicyCheck]:
    """Every journaled check with the attempts that had ended before it: its decision's inputs."""
    return [
        PolicyCheck.model_validate({**event.told, "attempts": attempts(events[:place])})
        for place, event in enumerate(events)
        if event.kind == "check"
    ]


def decisions() -> str:
    """Replay the decision of every check in the journal and compare it with the recorded one.

    Raises:
        RegistryRefused: the loop has not run here.
        ArtifactTampered: a replayed decision differs, or a line was rewritten.
    """
    checks = recorded_checks(journal.events())
    if not checks:
        raise RegistryRefused(
            "the journal holds 0 checks, 1 is needed: `make loop` writes it; replays have one in "
            "state/replay/run"
        )
    if other := differing_decisions(checks):
        raise ArtifactTampered(
            f"{len(other)} of {len(checks)} decisions do not come out again, the first of "
            f"{other[0]}: the journal or the policy's code was changed; compare with `git log "
            "pipeline/retrain/policy.py`"
        )
    lines = [
        f"{one.signals.at[:10]}  {one.decision.action:<8} {'; '.join(one.decision.reasons)}"
        for one in checks
    ]
    return "\n".join([f"{len(checks)} decisions come out again, number by number", *lines])
