"""Whom each finding of the monitoring calls: said once, for the month's report and for Prometheus.

A page wakes somebody: users are hurt, or the model is wrong now, and somebody can help. A ticket
waits for the morning. Drift is a ticket at most: it says that the world moved, not that anybody
lost by it.
"""

from typing import Literal

Severity = Literal["page", "ticket"]
Finding = Literal[
    "broken data",
    "skew",
    "drift",
    "a refit wins",
    "outcome",
    "outcome not known",
    "labels late",
    "labels disagree with flags",
]

SEVERITY: dict[Finding, Severity] = {
    "broken data": "page",  # rows are served that no rule allows, and users get their risks
    "skew": "page",
    "drift": "ticket",
    "a refit wins": "page",
    "outcome": "ticket",
    "outcome not known": "ticket",
    "labels late": "ticket",
    "labels disagree with flags": "page",  # what learns from them would learn the fault
}
