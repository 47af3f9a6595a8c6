"""The alerts of configs/monitor/alerts.yml, and which of them the monitoring job's signals fire.

The file is the only source: Prometheus reads it, and the month's report evaluates the same rules
here, so that no name, severity or limit of an alert can differ between the two.
"""

import operator
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.monitor.operations.job_signals import PREFIX, JobSignals
from pipeline.shared import yaml_files

RULES = Path("configs/monitor/alerts.yml")
Severity = Literal["page", "ticket"]
"""A page wakes somebody, a ticket waits for the morning."""
_COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_CLAUSE = re.compile(rf"(abs\()?{PREFIX}(\w+)\)? ([<=>]=?) (-?[\d.]+)")
_AND, _OR = "\nand on (instance) ", "\nor "
"""Rules on signals compare each with a limit, and join such clauses; every line begins one."""


@dataclass(frozen=True)
class AlertRule:
    """A rule of the file: its name, whom it calls, when it fires, what it means, what to do."""

    name: str
    area: str
    severity: Severity
    expr: str
    summary: str
    runbook: str = ""

    def evidence(self, signals: JobSignals) -> str:
        """The signals beside their limits where the rule fires; empty where it does not.

        Rules on other metrics, of servers or of the job itself, are Prometheus's alone.
        """
        for alternative in self.expr.split(_OR):
            held = [_breach(clause, signals) for clause in alternative.split(_AND)]
            if all(held):
                return ", ".join(held)
        return ""


def _breach(clause: str, signals: JobSignals) -> str:
    """A clause with the value for which it is true; unknown signals make it false."""
    if (match := _CLAUSE.fullmatch(clause)) is None:
        return ""
    absolute, name, sign, limit = match.groups()
    shown = "beyond" if absolute else sign
    found = getattr(signals, name, None)
    values = found if isinstance(found, dict) else {"": found}
    held = [
        f"{name}{f' of {label}' if label else ''} {value:.4g} {shown} {limit}"
        for label, value in sorted(values.items())
        if value is not None and _COMPARISONS[sign](abs(value) if absolute else value, float(limit))
    ]
    return "; ".join(held)


def alerts() -> list[AlertRule]:
    """Every alert, in the order of the file."""
    groups = yaml_files.parse(RULES.read_text(encoding="utf-8"))["groups"]
    return [
        AlertRule(
            rule["alert"],
            rule["labels"]["area"],
            rule["labels"]["severity"],
            rule["expr"],
            rule["annotations"]["summary"],
            rule["annotations"].get("runbook", ""),
        )
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    ]


def firing(signals: JobSignals) -> list[tuple[AlertRule, str]]:
    """The alerts that the signals fire, each with its evidence."""
    return [(alert, found) for alert in alerts() if (found := alert.evidence(signals))]
