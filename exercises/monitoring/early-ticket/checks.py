"""The acceptance checks of the alert RisksTooLow, with its scenes."""

from typing import Any

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.shared.yaml_files import parse

NAME = "RisksTooLow"
QUIET = {"coverage": 0.99, "due_days": 14, "outcome_gap": 0.0, "excess_loss": 0.0}


def _firing(values):
    """Beside the solution: the alerts that signals fire, by the rules as they are."""
    from pipeline.monitor.operations.alerts import firing
    from pipeline.monitor.operations.job_signals import JobSignals

    about = {"at": "2013-06-24T12:00:00Z", "version": "3", "release": "0" * 64}
    return [alert.name for alert, _ in firing(JobSignals.model_validate(about | values))]


def _rings(subject, **changes: float) -> bool:
    rules = {str(one["alert"]): one for one in _alerts(subject)}
    holds(NAME in rules, f"an alert {NAME}", f"no RisksTooLow among {', '.join(rules)}")
    return NAME in subject.do(_firing, QUIET | changes)


def _alerts(subject) -> list[dict[str, Any]]:
    return _of(subject.read("configs/monitor/alerts.yml"))


def _of(text: str) -> list[dict[str, Any]]:
    groups = parse(text)["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@check(3)
def test_it_fires_where_risks_are_too_low(subject):
    """The gap of June, 0.025, and one that is far beyond."""
    expect([_rings(subject, outcome_gap=gap) for gap in (0.025, 0.2)], [True, True])


@check(2)
def test_it_is_quiet_where_risks_are_too_high(subject):
    """That is OutcomeGap's, at its own limit."""
    expect([_rings(subject, outcome_gap=gap) for gap in (-0.025, -0.2)], [False, False])


@check(2)
def test_it_is_quiet_where_too_little_is_known(subject):
    """Few labels, few days, or none at all."""
    scenes = [{"coverage": 0.9}, {"due_days": 9}, {"coverage": 0.0}]
    seen = [_rings(subject, outcome_gap=0.1, **scene) for scene in scenes]
    expect(seen, [False, False, False])


@check(1)
def test_it_is_a_ticket_of_its_area(subject):
    """With the words that a person needs at nine in the morning."""
    found = [one for one in _alerts(subject) if one["alert"] == NAME]
    holds(len(found) == 1, "one rule", f"{len(found)} of that name")
    expect(found[0].get("labels"), {"severity": "ticket", "area": "outcomes"})
    expect(sorted(found[0].get("annotations", {})), ["description", "runbook_url", "summary"])


@check(2)
def test_every_alert_of_before_is_as_it_was(subject):
    """OutcomeGap at 0.03 on either side, and as many others as there were."""
    others = [str(one["alert"]) for one in _alerts(subject) if one["alert"] != NAME]
    main = (ROOT / "configs/monitor/alerts.yml").read_text(encoding="utf-8")
    expect(others, [one["alert"] for one in _of(main) if one["alert"] != NAME])
    seen = [subject.do(_firing, QUIET | {"outcome_gap": gap}) for gap in (0.031, -0.031)]
    expect(["OutcomeGap" in names for names in seen], [True, True])


@check(1, hidden=True)
def test_the_limits_themselves_are_as_the_task_says(subject):
    """More than 0.02; 0.95 and ten days are enough."""
    seen = [_rings(subject, outcome_gap=0.02), _rings(subject, outcome_gap=0.0201)]
    seen.append(_rings(subject, outcome_gap=0.03, coverage=0.95, due_days=10))
    expect(seen, [False, True, True])
