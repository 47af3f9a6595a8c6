"""The steps of a canary's plan: what each wants and has, and where it stands."""

from dataclasses import dataclass

from cockpit.facts.rollouts import Analysis, Rollout
from cockpit.reading import Missing


@dataclass(frozen=True)
class Step:
    """One step: its weight in percent, requests of each arm and days, both beside what it wants.

    `state` is "over", "open", "alarm" (open, and about to be taken back), "stopped", "to come" or
    "not reached". `requests` are the challenger's and the baseline's; `smaller` is the count that
    the plan judges, by rows that are compared.
    """

    weight: float
    state: str
    requests: tuple[int, int]
    smaller: int
    wanted: int
    days: float
    wanted_days: float


def steps(rollout: Rollout) -> list[Step]:
    """The steps of a canary's plan, those that are over, the present one, and those to come."""
    if isinstance(rollout.plan, Missing) or rollout.kind != "canary":
        return []
    newest: list[Analysis | None] = []
    for number, _ in enumerate(rollout.plan.canary.steps):
        seen = [a for a in rollout.analyses if a.decision.at and a.decision.at.step == number]
        newest.append(seen[-1] if seen else None)
    found, before = [], (0, 0)
    for number, (step, here) in enumerate(zip(rollout.plan.canary.steps, newest, strict=True)):
        counts = here.requests if here else before
        had = counts[0] - before[0], counts[1] - before[1]
        before = counts
        at = here.decision.at if here else None
        found.append(
            Step(
                weight=step.set_weight,
                state=_state(rollout, number),
                requests=had,
                smaller=here.guardrails[0].metric.seen if here and here.guardrails else 0,
                wanted=step.min_requests,
                days=at.days_at_step if at else 0.0,
                wanted_days=step.days,
            )
        )
    return found


def _state(rollout: Rollout, number: int) -> str:
    at = rollout.last.decision.at if rollout.last else None
    reached = at.step if at else 0
    if number < reached or rollout.ending in ("promoted", "baked"):
        return "over"
    if number > reached:
        return "to come" if rollout.open else "not reached"
    if rollout.open:
        return "alarm" if rollout.alarms else "open"
    return "stopped"
