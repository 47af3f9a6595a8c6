"""Rollouts in words: how one goes, what happens next, and the reasons of a decision.

The decisions' own reasons are shown beside as they were recorded: they name metrics by their key,
the baseline "control", and steps by their number from 0.
"""

import re

from cockpit.facts import dates
from cockpit.facts.rollouts import METRICS, Rollout
from cockpit.facts.steps import steps
from pipeline.rollout.analysis.decision import Decision

ARMS = {"control": "baseline"}
"""The recorded names of arms that people call otherwise."""
WENT_WELL = ("shadow passed", "promoted", "baked", "switched")
WENT_BADLY = ("rolled back", "shadow failed", "switched back")
_FAULTS = {"slow": "slowness", "failing": "failures", "crashing": "crashes"}
_FAILED = re.compile(r"failed of (\d+) in a row")
_ALARM = re.compile(r"(\w+): challenger (.+?), control (.+?)(?: \(.* events\))?; p \S+, alpha \S+")
_BREAKER = re.compile(r"(.+): (\d+), allowed (\d+)")
_OF_A_STEP = re.compile(r".* (?:requests of the smaller arm|days) in step \d+, needed \S+")
_SEEN = re.compile(r"(\w+) seen (.+)")
_AFTER = {
    "rollback": "The controller rolls it back now, as its next act: all requests return to {old}. "
    "Nobody has to act.",
    "pause": "The controller pauses it now, as its next act: all requests return to {old}, and a "
    "person finds out why the arms cannot be compared.",
    "inconclusive": "The controller ends it now, as its next act: {old} stays.",
    "advance": "The controller begins the next step now; nobody has to act.",
    "promote": "The controller makes {new} champion now; nobody has to act.",
}


def drill(fault: str) -> str:
    """An injected fault in words; "" without one."""
    if not fault:
        return ""
    return f"a drill: {_FAULTS.get(fault, f'the fault {fault!r}')} injected on purpose"


def breaker(name: str, found: int, allowed: int) -> str:
    """A circuit breaker with both numbers."""
    if failed := _FAILED.fullmatch(name):
        return f"{found:,} of {failed[1]} requests in a row failed, allowed {allowed:,}"
    words = name.replace("control", "baseline")
    metric = name.removesuffix(" in a row")
    if metric in METRICS:
        words = f"{METRICS[metric]} in a row"
    elif "beyond" not in name:
        return f"{words}: {found:,}, allowed {allowed:,}"
    return f"{found:,} {words}, allowed {allowed:,}"


def reason(recorded: str) -> str:
    """A recorded reason with the page's words."""
    if found := _ALARM.fullmatch(recorded):
        name, ours, theirs = found.groups()
        return f"{METRICS.get(name, name)}: challenger {ours}, baseline {theirs}"
    if found := _BREAKER.fullmatch(recorded):
        return breaker(found[1], int(found[2]), int(found[3]))
    if found := _SEEN.fullmatch(recorded):
        return f"{METRICS.get(found[1], found[1])} seen {found[2]}"
    return recorded.replace("control", "baseline")


def why(recorded: list[str]) -> str:
    """Recorded reasons in one line."""
    return "; ".join(map(reason, recorded))


def days(rollout: Rollout) -> str:
    """The days from its first transition to its last, or since the first."""
    last = None if rollout.open else rollout.entries[-1].move.at
    return dates.span(rollout.entries[0].move.at, last)


def sentence(rollout: Rollout) -> str:
    """Whether it goes well, in one sentence that needs no picture."""
    reasons = why(rollout.reasons)
    if rollout.ending in WENT_WELL:
        return f"It went well. {_compared(rollout)}"
    if rollout.ending in WENT_BADLY:
        met = f"{rollout.requests[0]:,} requests met it"
        return f"It went badly and was taken back: {reasons or 'by hand'}. {met}."
    if rollout.ending == "paused":
        return f"It was paused, since its arms cannot be compared: {reasons}."
    if not rollout.open:
        return f"It ended without a result, and the champion stays: {reasons}."
    return _going(rollout, reasons)


def _going(rollout: Rollout, reasons: str) -> str:
    """How a rollout that is still open goes."""
    if rollout.last is None:
        return "It has just begun: nothing is compared yet."
    if rollout.last.decision.outcome == "pause":
        return f"Nobody can say: its arms cannot be compared. {capital(reasons)}."
    if rollout.alarms:
        return f"It goes badly. {capital(reasons)}."
    ours, theirs = rollout.requests
    said = f"no alarm in {ours:,} requests of the challenger beside {theirs:,} of the baseline"
    return f"So far it goes well: {said}. {_needed(rollout)}"


def _needed(rollout: Rollout) -> str:
    """The evidence that the present step has and wants."""
    now = next((one for one in steps(rollout) if one.state == "open"), None)
    # With too few requests every metric has too few: the reasons repeat one number.
    short = now is not None and now.smaller < now.wanted
    others = [] if short else [one for one in rollout.reasons if not _OF_A_STEP.fullmatch(one)]
    if now is None or (rollout.last and rollout.last.decision.outcome != "hold"):
        return f"{capital(why(rollout.reasons))}."
    had = f"{now.smaller:,} of {now.wanted:,} requests an arm"
    lasted = f"{now.days:.1f} days of {now.wanted_days:g}"
    return f"The {now.weight:g}% step has {'; '.join([f'{had}, {lasted}', *map(reason, others)])}."


def _compared(rollout: Rollout) -> str:
    """The numbers of a rollout that went well."""
    if rollout.serving:
        both, pairs = rollout.serving["both_answered"], rollout.serving["pairs"]
        return f"It answered {both:,} of {pairs:,} mirrored requests; no user got an answer."
    errors = next((g.metric for g in (rollout.last.guardrails if rollout.last else [])), None)
    if errors is None:
        return f"{capital(why(rollout.reasons))}."
    ours, theirs = errors.challenger, errors.control
    return (
        f"No alarm: of {ours.of:,} requests {ours.bad} got no prediction, of the baseline's "
        f"{theirs.of:,} beside it {theirs.bad}."
    )


def next_act(rollout: Rollout, live: bool) -> str:
    """What happens next to an open rollout, and who does it; "" once it is over."""
    if not rollout.open:
        return ""
    if not live:
        return (
            "Its controller does not run now, so nobody changes the traffic: the command that "
            f"began it goes on with it, `make rollback` ends it and {_old(rollout)} serves all."
        )
    if rollout.ending == "promoted":
        return (
            f"{capital(_old(rollout))} is kept warm for now: a circuit breaker that trips brings "
            "it back by itself."
        )
    return _after(rollout, rollout.last.decision if rollout.last else None)


def _after(rollout: Rollout, decision: Decision | None) -> str:
    new = f"version {rollout.challenger.version}"
    if decision is not None and decision.outcome in _AFTER:
        return _AFTER[decision.outcome].format(old=_old(rollout), new=new)
    if rollout.kind != "canary" or not rollout.look_every:
        return "The controller compares again as requests come, and acts by itself."
    later = next((one.weight for one in steps(rollout) if one.state == "to come"), 100)
    return (
        f"The controller looks again within {rollout.look_every} requests of both arms, and acts "
        f"by itself: on to {later:g}% once this step has all that it needs, back to "
        f"{_old(rollout)} on an alarm."
    )


def _old(rollout: Rollout) -> str:
    return f"version {rollout.champion.version}"


def capital(words: str) -> str:
    """The words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]
