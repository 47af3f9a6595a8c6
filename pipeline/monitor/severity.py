"""The severity of each monitoring finding, shared by the month's report and Prometheus.

A page wakes a person: users are harmed, or the model is wrong now, and a person can help. A ticket
waits for the morning. Drift is a ticket at most: inputs moved, but perhaps not performance.
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
    "broken data": "page",  # invalid rows are served, and users get their risks
    "skew": "page",
    "drift": "ticket",
    "a refit wins": "page",
    "outcome": "ticket",
    "outcome not known": "ticket",
    "labels late": "ticket",
    "labels disagree with flags": "page",  # a model would learn the fault
}
