"""The retraining policy: a pure decision from the signals known at an instant.

Broken data come first: no model may learn from a broken feed, whatever the triggers. Then what no
retraining repairs, which is escalated to a person. Then the triggers: degraded performance, a
diagnosis, an old model, many new labels. Drift is no trigger, since it says nothing of performance.
Last the limits: the cooldown and too few new labels hold, a spent training budget is escalated.
"""

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from pipeline.shared.config.retrain import Policy
from pipeline.shared.config.sections import Sha256
from pipeline.shared.contracts import Record
from pipeline.shared.files import text_hash

Action = Literal["retrain", "hold", "block", "escalate"]
"""Train; do nothing; do nothing until the data are repaired; leave it to a person."""
Result = Literal[
    "promoted", "refused by the gate", "refused data", "taken out", "inconclusive", "failed"
]


class RefreshGain(Record):
    """The effect of refreshes: mean log loss less that of the champion before each, in nats.

    With a 95 % interval over days; above 0 is worse.
    """

    point: float
    low: float
    high: float
    days: int


class RetrainingSignals(Record):
    """The signals known at a check; counts are of labels, log loss is in nats.

    `trained_until` is the last day that the champion learned from, `served_since` the first day on
    which it served all traffic. `fresh_labels` are of days after `trained_until`. `broken` names
    broken feeds and labels that contradict the proxy; `skew` counts predictions made from other
    features than the offline join gives. `refreshed` is None if no refresh has been promoted yet.
    `diagnosis` and `diagnosed_act` are None where no diagnosis was made.
    """

    at: str
    champion: str
    trained_until: str
    served_since: str
    fresh_labels: int
    outcome: Literal["alert", "quiet", "not known"]
    outcome_reasons: list[str]
    excess: float | None
    gap: float | None
    labels_stale: bool
    labels_age_hours: float | None
    broken: list[str]
    skew: int
    prediction_psi: float | None
    drift: Literal["quiet", "warn", "alert"]
    refreshed: RefreshGain | None = None
    diagnosis: str | None = None
    diagnosed_act: Literal["retrain", "hold", "escalate", "fix the feed"] | None = None


class Attempt(Record):
    """A finished attempt: its start, the last day of its data, its result, and if it trained."""

    at: str
    as_of: str
    result: Result
    trained: bool


class RetrainingDecision(Record):
    """The action, its triggers and reasons; `rules` is the digest of the policy."""

    action: Action
    triggers: list[str]
    reasons: list[str]
    rules: Sha256


def is_check_day(now: pd.Timestamp, policy: Policy) -> bool:
    """Whether the policy is consulted on the day of an instant."""
    return bool(now.day_name().lower() == policy.check_weekday)


def decide_retraining(
    signals: RetrainingSignals, attempts: list[Attempt], policy: Policy
) -> RetrainingDecision:
    """Decide from the signals and the finished attempts, the oldest first."""
    called = _triggers(signals, policy)
    if broken := _broken(signals):
        action, reasons = "block", broken
    elif why := _beyond_repair(signals, attempts):
        action, reasons = "escalate", why
    elif not called:
        action, reasons = "hold", [_no_trigger(signals)]
    elif why := _reasons_to_wait(signals, attempts, policy):
        action, reasons = "hold", why
    elif why := _over_budget(signals, attempts, policy):
        action, reasons = "escalate", why
    else:
        action, reasons = "retrain", [reason for found in called.values() for reason in found]
    return RetrainingDecision.model_validate(
        {
            "action": action,
            "triggers": list(called),
            "reasons": reasons,
            "rules": text_hash(policy.model_dump_json()),
        }
    )


def _broken(signals: RetrainingSignals) -> list[str]:
    found = [f"broken data: {what}" for what in signals.broken]
    if signals.skew:
        found.append(f"{signals.skew} answers rest on other features than are known, allowed are 0")
    if signals.labels_stale:
        age = signals.labels_age_hours
        late = "none has come" if age is None else f"the newest came {age:g} h ago"
        found.append(f"the label feed is late: {late}")
    return found


def _triggers(signals: RetrainingSignals, policy: Policy) -> dict[str, list[str]]:
    """The triggers for training by name, each with its reasons."""
    found = {}
    if policy.outcome_alert and signals.outcome == "alert":
        found["outcome"] = signals.outcome_reasons
    if signals.diagnosed_act == "retrain":
        found["diagnosis"] = [f"diagnosed: {signals.diagnosis}, and a refit helps"]
    age = _days(signals.at, signals.trained_until)
    if policy.max_age_days is not None and age >= policy.max_age_days:
        found["schedule"] = [f"its newest labels are {age} days old, limit {policy.max_age_days}"]
    if policy.max_fresh_labels is not None and signals.fresh_labels >= policy.max_fresh_labels:
        most = policy.max_fresh_labels
        found["volume"] = [
            f"{signals.fresh_labels:,} labels it has not learned from, limit {most:,}"
        ]
    return found


def _no_trigger(signals: RetrainingSignals) -> str:
    words = f"the outcome is {signals.outcome}"
    if signals.excess is not None:
        words += f" (excess {signals.excess:+.4f}, gap {signals.gap or 0:+.4f})"
    if signals.drift != "quiet":
        words += f"; drift alone (PSI {signals.prediction_psi:.3f}) is no reason to train"
    return words


def _beyond_repair(signals: RetrainingSignals, attempts: list[Attempt]) -> list[str]:
    """Reasons to escalate: the relation moved, and retraining has not helped or would not."""
    if signals.diagnosed_act == "escalate":
        return [f"diagnosed: {signals.diagnosis}, which a refit does not surely repair"]
    if (gain := signals.refreshed) is not None and gain.low > 0:
        return [
            f"over {gain.days} days the refreshes lost {gain.point:+.4f} [{gain.low:+.4f}, "
            f"{gain.high:+.4f}] against the champions before them"
        ]
    refused = bool(attempts) and attempts[-1].result == "refused by the gate"
    moved = signals.diagnosis in ("concept shift", "both shifts")
    if refused and moved and signals.outcome == "alert" and signals.diagnosed_act != "retrain":
        last = attempts[-1].as_of
        return [f"{signals.diagnosis} goes on, and the model trained to {last} was no better"]
    return []


def _reasons_to_wait(
    signals: RetrainingSignals, attempts: list[Attempt], policy: Policy
) -> list[str]:
    """Reasons to hold: the cooldown or too few labels, each with its figure and its limit."""
    found = []
    if attempts:
        last = attempts[-1]
        promoted = last.result == "promoted"
        least = policy.cooldown_days if promoted else policy.retry_days
        if (since := _days(signals.at, last.at)) < least:
            what = "a promotion's attempt" if promoted else f"an attempt that was {last.result}"
            found.append(f"{since} days since {what}, wanted are {least}")
    if signals.fresh_labels < policy.min_fresh_labels:
        found.append(
            f"{signals.fresh_labels:,} labels that it has not learned from, wanted are "
            f"{policy.min_fresh_labels:,}"
        )
    return found


def _over_budget(signals: RetrainingSignals, attempts: list[Attempt], policy: Policy) -> list[str]:
    """The reason to escalate if the training budget is spent."""
    days, most = policy.budget.days, policy.budget.trainings
    recent = [a for a in attempts if a.trained and _days(signals.at, a.at) < days]
    if len(recent) < most:
        return []
    return [f"{len(recent)} trainings within {days} days, the budget is {most}: a person looks"]


def _days(now: str, then: str) -> int:
    """Whole days from one date to another, ignoring the hours."""
    return (pd.Timestamp(now[:10]) - pd.Timestamp(then[:10])).days


class PolicyCheck(Record):
    """A journaled check: everything that is needed to replay its decision."""

    signals: RetrainingSignals
    attempts: list[Attempt]
    policy: Policy
    decision: RetrainingDecision


def differing_decisions(checks: Iterable[PolicyCheck]) -> list[str]:
    """The instants of checks whose replayed decision differs from the recorded one."""
    return [
        one.signals.at
        for one in checks
        if decide_retraining(one.signals, one.attempts, one.policy) != one.decision
    ]
