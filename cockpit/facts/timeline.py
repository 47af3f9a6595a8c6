"""Every decision that can be opened: transitions of the ledger, and checks of the policy."""

from dataclasses import dataclass, replace
from datetime import datetime

from cockpit.facts.checks import Attempt, Check
from cockpit.facts.project import Project
from cockpit.facts.releases import reasons
from cockpit.facts.rollout_words import ARMS, why
from cockpit.reading import Missing
from pipeline.records.rollout_ledger import Entry

_IN_FULL = 60
"""Decisions that are shown with all their evidence; of older ones the page says the main thing."""
_GOOD = {"promoted", "baked", "shadow passed", "promoted by hand", "registered", "switched"}
_BAD = {"rolled back", "shadow failed", "switched back"}


@dataclass(frozen=True)
class Again:
    """How to decide again: the command, and the rollout's name for the page ("" for checks)."""

    command: str
    rollout: str


@dataclass(frozen=True)
class Decision:
    """A decision: when, what, why in a line; its evidence as names and values."""

    id: str
    at: datetime
    kind: str
    title: str
    words: str
    facts: list[tuple[str, str]]
    again: Again | None


def decisions(project: Project) -> list[Decision]:
    """Every decision, the newest first."""
    found: list[Decision] = []
    if not isinstance(project.releases, Missing):
        found += [_transition(entry) for entry in project.releases.entries]
    if not isinstance(project.loop, Missing):
        attempts = {one.at: one for one in project.loop.attempts}
        found += [_check(one, attempts.get(one.at)) for one in project.loop.checks]
    found.sort(key=lambda one: one.at, reverse=True)
    return [*found[:_IN_FULL], *(replace(one, facts=one.facts[:2]) for one in found[_IN_FULL:])]


def _transition(entry: Entry) -> Decision:
    move = entry.move
    kind = "good" if move.event in _GOOD else "bad" if move.event in _BAD else "step"
    shares = ", ".join(
        f"{ARMS.get(arm, arm)} {share / 100:g}%" for arm, share in move.shares.items() if share
    )
    facts = [("traffic from then on", shares + (", mirrored" if move.mirrored else ""))]
    facts.append(("champion", move.champion.label))
    if move.challenger is not None:
        facts.append(("challenger", move.challenger.label))
    if told := reasons(move):
        facts.append(("reasons as recorded", "; ".join(told)))
    facts.append(("by", move.by))
    if move.plan:
        facts.append(("plan, frozen before", f"`{move.plan[:12]}`"))
    facts += [
        ("evidence", f"`data/rollout/{move.rollout}/{name}` (SHA-256 `{digest[:12]}`)")
        for name, digest in move.evidence.items()
    ]
    facts.append(("ledger", f"entry {entry.number}, hash `{entry.hash[:12]}`"))
    again = None
    if move.evidence:
        again = Again(f"make replay-decision ROLLOUT={move.rollout}", move.rollout)
    title = f"{move.rollout}: {move.event}"
    return Decision(f"entry-{entry.number}", move.at, kind, title, why(told), facts, again)


def _check(check: Check, attempt: Attempt | None) -> Decision:
    signals = check.signals
    shown = {
        "champion": "champion",
        "trained until": "trained_until",
        "new labels": "fresh_labels",
        "performance": "outcome",
        "excess log loss": "excess",
        "late share less risk": "gap",
        "PSI of predictions": "prediction_psi",
        "skew": "skew",
        "broken feeds": "broken",
    }
    facts = [(name, _plain(signals.get(key))) for name, key in shown.items()]
    if attempt is not None:
        facts += [(f"then: {name}", _step(step)) for name, step in attempt.steps.items()]
        facts.append(("ended", attempt.result or "not yet"))
    kind = {"hold": "step", "retrain": "good"}.get(check.action, "bad")
    return Decision(
        f"check-{check.at:%Y-%m-%d}",
        check.at,
        kind,
        f"weekly check: {check.action}",
        "; ".join(check.reasons),
        facts,
        Again("make decisions", ""),
    )


def _plain(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:+.4f}" if isinstance(value, float) else f"{value}"


def _step(told: dict[str, object]) -> str:
    """An attempt's step in a line."""
    shown = {name: value for name, value in told.items() if name != "step"}
    parts = [f"{name} {_value(value)}" for name, value in shown.items()]
    return "; ".join(parts) or "done"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(of)}" for name, of in value.items())
    if isinstance(value, list):
        return " of ".join(map(_value, value))
    if isinstance(value, str) and len(value) > 40:
        return value[:12]
    return f"{value:g}" if isinstance(value, float) else str(value)
