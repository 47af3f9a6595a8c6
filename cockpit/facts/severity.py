"""Concerns: severity, evidence and the command that helps, and the whole in one sentence.

A page: users may be affected, or the records contradict each other. A ticket waits for the morning.
A note is worth knowing and asks nothing of anybody.
"""

from dataclasses import dataclass

SEVERITIES = ("page", "ticket", "note")
GROUPS = {
    "page": "Act now",
    "ticket": "Look at it by tomorrow",
    "note": "Good to know, nothing to do",
}
"""The severities in words."""


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it should be; `place` is the part of the page with the evidence.

    `effect` says in a few words what the command does.
    """

    severity: str
    headline: str
    detail: str
    place: str
    command: str = ""
    effect: str = ""


def summary(found: list[Concern]) -> tuple[str, str]:
    """The severity of the whole, "fine" without any, and one sentence that counts by severity."""
    pages, tickets, notes = (sum(one.severity == name for one in found) for name in SEVERITIES)
    counts = {"to act on": pages, "to look at": tickets, "to know": notes}
    counted = ", ".join(f"{many} {what}" for what, many in counts.items() if many)
    if pages:
        return "page", f"Yes, somebody has to act now: {counted}."
    if tickets:
        return "ticket", f"Nothing urgent: {counted}."
    return "fine", f"No{f': {counted}' if notes else ', nothing'}."


def grouped(found: list[Concern]) -> list[tuple[str, str, list[Concern]]]:
    """The concerns by severity, with the severity's words; no group is empty."""
    groups = [(name, [one for one in found if one.severity == name]) for name in SEVERITIES]
    return [(name, GROUPS[name], of) for name, of in groups if of]
