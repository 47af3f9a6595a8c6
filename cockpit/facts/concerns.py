"""Is something wrong? Every concern with its severity, its evidence and the command that helps.

A page: users may be affected, or the records contradict each other. A ticket waits for the morning.
A note is worth knowing and asks nothing of anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cockpit.facts.checks import Day
from cockpit.facts.project import Project
from cockpit.facts.releases import Releases
from cockpit.facts.rollouts import Rollout
from cockpit.reading import Missing, read_config
from pipeline.shared.config.monitor import MonitorConfig

SEVERITIES = ("page", "ticket", "note")
_STOPPED = ("rolled back", "paused", "inconclusive")


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it should be; `place` is the part of the page with the evidence."""

    severity: str
    headline: str
    detail: str
    place: str
    command: str = ""


def concerns(project: Project) -> list[Concern]:
    """Find every concern, the most severe first."""
    rules = (
        _records,
        _registry,
        _alerts,
        _performance,
        _data,
        _gate,
        _attempts,
        _rollouts,
        _check_overdue,
    )
    found = [concern for rule in rules for concern in rule(project)]
    return sorted(found, key=lambda concern: SEVERITIES.index(concern.severity))


def summary(found: list[Concern]) -> tuple[str, str]:
    """The severity of the whole, "fine" without any, and one sentence."""
    pages = [one for one in found if one.severity == "page"]
    tickets = [one for one in found if one.severity == "ticket"]
    if pages:
        return "page", "Yes: somebody has to act now."
    if tickets:
        many = f"{len(tickets)} things need" if len(tickets) > 1 else "one thing needs"
        return "ticket", f"Nothing urgent; {many} a look."
    return "fine", "No: nothing needs anybody."


def _records(project: Project) -> Iterator[Concern]:
    """The ledger and the journal, on which all else rests."""
    for name, record in (("rollout ledger", project.releases), ("journal", project.loop)):
        if isinstance(record, Missing):
            if not record.why.endswith("not there yet"):
                yield Concern(
                    "page", f"The {name} cannot be read", record.why, "now", "make repair"
                )
        elif record.flaw:
            yield Concern("page", f"The {name} was damaged", record.flaw, "now", "make repair")


def _registry(project: Project) -> Iterator[Concern]:
    ledger, registry = project.releases, project.registry
    if isinstance(ledger, Missing):
        return
    if isinstance(registry, Missing):
        yield Concern(
            "ticket", "The registry cannot be read", registry.why, "now", registry.command
        )
        return
    alias = registry.aliases.get("champion")
    if alias != ledger.champion.version:
        told = f"version {alias}" if alias else "nobody"
        yield Concern(
            "ticket",
            "Ledger and registry name different champions",
            f"the ledger says version {ledger.champion.version}, the registry's alias {told}; the "
            "ledger counts, and the alias follows",
            "now",
            "make rollout",
        )


def _alerts(project: Project) -> Iterator[Concern]:
    """The alerts of the last monitoring run, if they are about the champion."""
    month, ledger = project.month, project.releases
    if isinstance(month, Missing) or isinstance(ledger, Missing):
        return
    if month.signals.release != ledger.champion.release:
        yield Concern(
            "note",
            "The month's report is about an earlier champion",
            f"it watched version {month.signals.version}; version {ledger.champion.version} serves",
            "performance",
            "make monitor",
        )
        return
    for alert in month.alerts:
        detail = f"{alert.name}: {alert.reason}"
        yield Concern(alert.severity, alert.summary, detail, "performance", "make diagnose")


def _performance(project: Project) -> Iterator[Concern]:
    """The loop's daily performance rule, as long as it is about the champion."""
    loop, ledger = project.loop, project.releases
    if isinstance(loop, Missing) or isinstance(ledger, Missing) or not loop.days:
        return
    last, reign = loop.days[-1], ledger.reign
    version = ledger.champion.version
    if last.at < reign.move.at:
        yield Concern(
            "ticket",
            f"How well version {version} does is not known yet",
            f"the newest labels are of {last.day}, and it serves all since "
            f"{reign.move.at:%Y-%m-%d}; they come a day later, when the loop goes on",
            "performance",
            _loop_to(project.next_check),
        )
    elif last.status == "alert":
        yield Concern(
            "ticket",
            _performance_headline(project, last, version),
            f"log loss {last.excess or 0:+.4f} nats beyond its expectation, late share "
            f"{last.gap or 0:+.4f} beyond its risks, on days to {last.day}",
            "performance",
            "make diagnose",
        )


def _performance_headline(project: Project, last: Day, version: str) -> str:
    """The limit that was passed: of the loss, or of the risks as a whole."""
    config = read_config(project.folder, MonitorConfig)
    if isinstance(config, Missing) or (last.excess or 0.0) > config.outcome.max_excess_loss:
        return f"Version {version} does worse than it expects of itself"
    side = "low" if (last.gap or 0.0) > 0 else "high"
    return f"Version {version} predicts too {side} on the whole"


def _data(project: Project) -> Iterator[Concern]:
    if isinstance(project.snapshots, Missing):
        return
    for snapshot in project.snapshots.refused:
        first, *others = snapshot.failures
        found = first.observed if isinstance(first.observed, str) else f"{first.observed:g}"
        more = f", and {len(others)} more rules" if others else ""
        yield Concern(
            "ticket",
            f"New data were refused: {snapshot.table} of {snapshot.month}",
            f"{first.title} found {found}{more}; nothing is trained on them, and the champion "
            "serves on",
            "data",
            "make validate",
        )


def _gate(project: Project) -> Iterator[Concern]:
    verdict = project.verdict
    if isinstance(verdict, Missing) or verdict.passed:
        return
    first = verdict.failures[0]
    yield Concern(
        "note",
        f"The gate refused the newest challenger ({verdict.challenger[:8]})",
        f"{first.name}: {first.found:.4g}, limit {first.limit:.4g}; the champion stays",
        "gate",
        "make evaluate",
    )


def _attempts(project: Project) -> Iterator[Concern]:
    if isinstance(project.loop, Missing) or not project.loop.attempts:
        return
    last = project.loop.attempts[-1]
    if not last.result:
        steps = ", ".join(last.steps) or "none"
        detail = f"on data to {last.as_of}; steps done: {steps}"
        yield Concern("note", "A retraining is in progress", detail, "time", "make rollout")
    if last.result and last.result != "promoted":
        yield Concern(
            "ticket",
            f"The last retraining ended: {last.result}",
            last.why or f"the attempt on data to {last.as_of}; the champion stays",
            "time",
            "make decisions",
        )


def _rollouts(project: Project) -> Iterator[Concern]:
    ledger = project.releases
    if isinstance(ledger, Missing) or not project.rollouts:
        return
    last = project.rollouts[0]
    if last.open:
        yield _running(last, ledger)
    elif last.ending in _STOPPED:
        injected = f" (injected: {last.challenger.fault})" if last.challenger.fault else ""
        served = last.last.requests[0] if last.last else 0
        yield Concern(
            "note",
            f"The last {last.kind} was {last.ending}{injected}",
            f"{'; '.join(last.reasons) or 'by hand'}; {served:,} requests met the challenger",
            "rollout",
            f"make replay-decision ROLLOUT={last.name}",
        )


def _running(last: Rollout, ledger: Releases) -> Concern:
    if last.alarms:
        words = ", ".join(last.alarms)
        return Concern("page", f"{last.name} has an alarm", words, "rollout", "make rollback")
    share = ledger.last.shares.get("challenger", 0) / 100
    return Concern(
        "note",
        f"A {last.kind} is in progress: version {last.challenger.version} gets {share:g}%",
        "; ".join(last.reasons) or "it has just begun",
        "rollout",
        "make rollback",
    )


def _check_overdue(project: Project) -> Iterator[Concern]:
    """A check whose day has passed: the loop stands still."""
    due = project.next_check
    if isinstance(project.loop, Missing) or isinstance(due, Missing) or project.now is None:
        return
    if due < project.now and not project.live:
        yield Concern(
            "note",
            "The weekly check is overdue",
            f"it was due on {due:%Y-%m-%d}; the loop stands at {project.loop.at:%Y-%m-%d}",
            "time",
            _loop_to(due),
        )


def _loop_to(day: datetime | Missing) -> str:
    """The command that lets time pass up to a day."""
    return "make loop" if isinstance(day, Missing) else f"make loop UNTIL={day:%Y-%m-%d}"
