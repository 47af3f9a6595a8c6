"""Is something wrong? The rules that find a concern; one cause is one concern."""

from collections.abc import Iterator
from datetime import datetime

from cockpit.facts import dates, rollout_words
from cockpit.facts.checks import Day
from cockpit.facts.project import Project
from cockpit.facts.releases import Releases
from cockpit.facts.rollouts import Rollout
from cockpit.facts.severity import SEVERITIES, Concern
from cockpit.reading import Missing, read_config
from pipeline.shared.config.monitor import MonitorConfig

_STOPPED = ("rolled back", "paused", "inconclusive")
_DIAGNOSE = ("make diagnose", "finds the cause")


def concerns(project: Project) -> list[Concern]:
    """Find every concern, the most severe first."""
    rules = (
        _records,
        _rollouts,
        _registry,
        _alerts,
        _performance,
        _loop_stands_still,
        _data,
        _gate,
        _attempts,
    )
    found = [concern for rule in rules for concern in rule(project)]
    return sorted(found, key=lambda concern: SEVERITIES.index(concern.severity))


def _records(project: Project) -> Iterator[Concern]:
    """The ledger and the journal, on which all else rests."""
    for name, record in (("rollout ledger", project.releases), ("journal", project.loop)):
        if isinstance(record, Missing):
            if not record.why.endswith("not there yet"):
                yield _broken(f"The {name} cannot be read", record.why)
        elif record.flaw:
            yield _broken(f"The {name} was damaged", record.flaw)


def _broken(headline: str, why: str) -> Concern:
    return Concern("page", headline, why, "now", "make repair", "says what can be restored")


def _registry(project: Project) -> Iterator[Concern]:
    ledger, registry = project.releases, project.registry
    if isinstance(ledger, Missing):
        return
    if isinstance(registry, Missing):
        yield Concern(
            "ticket",
            "The registry cannot be read",
            registry.why,
            "now",
            registry.command,
            "is the way on",
        )
        return
    alias = registry.aliases.get("champion")
    if alias != ledger.champion.version:
        told = f"version {alias}" if alias else "nobody"
        yield Concern(
            "ticket",
            "Ledger and registry name different champions",
            f"The ledger says version {ledger.champion.version}, the registry's alias {told}; the "
            "ledger counts, and the alias follows",
            "now",
            "make rollout",
            "shows both",
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
            f"It watched version {month.signals.version}; the champion is version "
            f"{ledger.champion.version}",
            "performance",
            "make monitor",
            "watches the champion",
        )
        return
    for alert in month.alerts:
        detail = f"{alert.name}: {alert.reason}"
        yield Concern(alert.severity, alert.summary, detail, "performance", *_DIAGNOSE)


def _performance(project: Project) -> Iterator[Concern]:
    """The loop's daily performance rule, as long as it is about the champion."""
    loop, ledger = project.loop, project.releases
    if isinstance(loop, Missing) or isinstance(ledger, Missing) or not loop.days:
        return
    last, version = loop.days[-1], ledger.champion.version
    if last.at < ledger.reign.move.at:
        if not project.stands_still:
            yield Concern(
                "note",
                f"How well version {version} does is not known yet",
                f"It has been champion since {dates.day(ledger.reign.move.at)}, and its first "
                "labels come a day later",
                "performance",
            )
    elif last.status == "alert":
        yield Concern(
            "ticket",
            _performance_headline(project, last, version),
            f"Log loss {last.excess or 0:+.4f} nats beyond its expectation, late share "
            f"{last.gap or 0:+.4f} beyond its risks, on the 14 days to {dates.day(last.day)}",
            "performance",
            *_DIAGNOSE,
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
        more = f", and by {', '.join(one.title for one in others)}" if others else ""
        yield Concern(
            "ticket",
            f"New data were refused: {snapshot.table} of {dates.month(snapshot.month)}",
            f"{rollout_words.capital(first.statement)}. Refused by the rule {first.rule}{more}. "
            "Nothing is trained on them",
            "data",
            "make validate",
            "shows every rule",
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
        "judges it again",
    )


def _attempts(project: Project) -> Iterator[Concern]:
    if isinstance(project.loop, Missing) or not project.loop.attempts:
        return
    last = project.loop.attempts[-1]
    if not last.result:
        steps = ", ".join(last.steps) or "none"
        detail = f"On data to {last.as_of}; steps done: {steps}"
        yield Concern("note", "A retraining is in progress", detail, "time")
    if last.result and last.result != "promoted":
        yield Concern(
            "ticket",
            f"The last retraining ended: {last.result}",
            last.why or f"The attempt on data to {last.as_of}; the champion stays",
            "time",
            "make decisions",
            "shows its steps",
        )


def _rollouts(project: Project) -> Iterator[Concern]:
    ledger = project.releases
    if isinstance(ledger, Missing) or not project.rollouts:
        return
    last = project.rollouts[0]
    if last.open:
        yield _running(last, ledger, live="a rollout" in project.live)
    elif last.ending in _STOPPED:
        why = rollout_words.capital(rollout_words.why(last.reasons))
        drill = rollout_words.drill(last.challenger.fault)
        ended = "taken back" if last.ending == "rolled back" else last.ending
        yield Concern(
            "note",
            f"The last {last.kind} was {ended}{f' ({drill})' if drill else ''}",
            f"{why or 'By hand'}; {last.requests[0]:,} requests met the challenger",
            "rollout",
            f"make replay-decision ROLLOUT={last.name}",
            "checks the decision again",
        )


def _running(last: Rollout, ledger: Releases, live: bool) -> Concern:
    """A rollout in progress: its controller acts on an alarm by itself, as long as it runs."""
    why = rollout_words.capital(rollout_words.why(last.reasons))
    by_hand = ("make rollback", f"ends it by hand: version {last.champion.version} serves all")
    if last.alarms:
        headline, act = f"{last.name} has an alarm", rollout_words.next_act(last, live)
        if live:
            headline += ", and its controller acts"
            return Concern("ticket", headline, f"{why}. {act.rstrip('.')}", "rollout")
        return Concern("page", f"{headline} and no controller", why, "rollout", *by_hand)
    if not live:
        headline = f"{last.name} was interrupted: its controller does not run"
        return Concern("ticket", headline, why or "It had just begun", "rollout", *by_hand)
    share = ledger.last.shares.get("challenger", 0) / 100
    return Concern(
        "note",
        f"A {last.kind} is in progress: version {last.challenger.version} gets {share:g}%",
        rollout_words.sentence(last).rstrip("."),
        "rollout",
    )


def _loop_stands_still(project: Project) -> Iterator[Concern]:
    """A check whose day has passed: the loop stands still, so labels stay away as well."""
    loop, due, ledger = project.loop, project.next_check, project.releases
    if isinstance(loop, Missing) or isinstance(due, Missing) or not project.stands_still:
        return
    detail = f"No label has come since, and the weekly check of {dates.day(due)} is overdue"
    if not isinstance(ledger, Missing) and loop.at < ledger.reign.move.at:
        detail += f"; so how well version {ledger.champion.version} does is not known"
    yield Concern(
        "ticket",
        f"The closed loop has stood still since {dates.day(loop.at)}",
        detail,
        "time",
        _loop_to(due),
        "lets it go on to that check",
    )


def _loop_to(day: datetime) -> str:
    """The command that lets time pass up to a day."""
    return f"make loop UNTIL={day:%Y-%m-%d}"
