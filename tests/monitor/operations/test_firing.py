"""The month's report and Prometheus evaluate the same rules, and find the same."""

from datetime import UTC, datetime

import pytest

from pipeline.monitor.operations.alerts import AlertRule, alerts, firing
from pipeline.monitor.operations.job_signals import PREFIX, JobSignals
from tests.monitor.operations import promql
from tests.monitor.operations.scenes import ALONE, SCENES, SOUND, Scene

pytestmark = pytest.mark.answer("what-to-monitor")

BARE = JobSignals(at=datetime(2013, 5, 1, tzinfo=UTC), version="7", release="f" * 64)
HEARTBEAT = f"{PREFIX}heartbeat_seconds"
EVALUATED = {
    alert.name
    for alert in alerts()
    if all(n.startswith(PREFIX) and n != HEARTBEAT for n in promql.metrics(alert.expr))
}
"""The alerts on signals; of the job's own life Prometheus alone can say something."""


def signals(scene: Scene) -> JobSignals:
    """What the monitoring job has written in a scene."""
    series = {**SOUND, **scene.otherwise}
    known = {
        name.removeprefix(PREFIX): float(values.partition("x")[0])
        for name, values in series.items()
        if name.startswith(PREFIX) and name != HEARTBEAT and values is not None
    }
    psi = known.pop('input_psi{column="distance"}', None)
    return BARE.model_copy(update=known | {"input_psi": {} if psi is None else {"distance": psi}})


@pytest.mark.parametrize("scene", [*SCENES, ALONE], ids=str)
def test_the_report_raises_the_alerts_that_prometheus_fires(scene):
    assert {alert.name for alert, _ in firing(signals(scene))} == scene.fires & EVALUATED


def test_every_alert_on_signals_can_be_raised_by_the_report():
    raised = {alert.name for scene in SCENES for alert, _ in firing(signals(scene))}
    assert raised == EVALUATED
    assert set(promql.metrics(" ".join(a.expr for a in alerts()))) - {HEARTBEAT} >= {
        f"{PREFIX}{name}" for name in set(JobSignals.model_fields) - {"at", "version", "release"}
    }


def test_what_is_not_known_raises_nothing():
    assert firing(BARE) == []


@pytest.mark.parametrize(
    ("expr", "evidence"),
    [
        ("monitor_coverage < 0.95", "coverage 0.9 < 0.95"),
        ("monitor_coverage <= 0.9", "coverage 0.9 <= 0.9"),
        ("monitor_coverage < 0.9", ""),
        ("monitor_outcome_gap > 0.03", ""),
        ("abs(monitor_outcome_gap) > 0.03", "outcome_gap -0.04 beyond 0.03"),
        ("monitor_input_psi >= 0.2", "input_psi of distance 9 >= 0.2"),
        ("monitor_coverage > 1\nor monitor_due_days == 9", "due_days 9 == 9"),
        ("monitor_due_days > 0\nand on (instance) monitor_excess_loss > 0", ""),
        (
            "monitor_due_days > 0\nand on (instance) monitor_coverage < 1",
            "due_days 9 > 0, coverage 0.9 < 1",
        ),
        ("serve_waiting > 0", ""),
        ("monitor_nothing > 0", ""),
    ],
)
def test_the_evidence_is_the_numbers_by_which_a_rule_fires(expr, evidence):
    found = BARE.model_copy(
        update={
            "coverage": 0.9,
            "due_days": 9,
            "outcome_gap": -0.04,
            "input_psi": {"distance": 9.0, "origin": 0.1},
        }
    )
    assert AlertRule("A", "inputs", "ticket", expr, "").evidence(found) == evidence
