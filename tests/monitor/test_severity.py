"""What the monitoring finds calls the same person, by the month's report and by Prometheus."""

import re

import pytest

from pipeline.monitor.operations import alerts
from pipeline.monitor.severity import SEVERITY
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor")

SHOWN = {
    "broken data": ["quality_failures"],
    "skew": ["skew_mismatches"],
    "drift": ["prediction_psi", "input_psi"],
    "a refit wins": ["refit_gain"],
    "outcome": ["excess_loss", "outcome_gap"],
    "outcome not known": ["coverage"],
    "labels late": ["labels_age_hours"],
    "labels disagree with flags": ["labels_disagreeing"],
}
"""The signals by which Prometheus is shown each finding; an alert reads its own first."""
ALERTS = alerts.alerts(load(MonitorConfig), load(ServeConfig))


def test_every_finding_of_the_report_is_shown_to_prometheus() -> None:
    assert list(SHOWN) == list(SEVERITY)


@pytest.mark.parametrize("finding", SHOWN)
def test_a_finding_has_one_severity_in_the_report_and_in_prometheus(finding: str) -> None:
    first = {one.name: re.search(r"flight_monitor_(\w+)", one.expr) for one in ALERTS}
    read = {name: match[1] for name, match in first.items() if match}
    found = [one for one in ALERTS if read.get(one.name) in SHOWN[finding]]
    assert len(found) == len(SHOWN[finding])
    assert {one.severity for one in found} == {SEVERITY[finding]}


def test_the_report_takes_no_severity_from_elsewhere() -> None:
    assert 'severity="' not in tree.read("pipeline/monitor/report.py")


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("QualityFailures", ["make monitor", "make skew", "make rollback", "make materialize"]),
        ("LabelsDisagree", ["make monitor", "make guards"]),
        ("SkewFound", ["make skew"]),
    ],
)
def test_the_runbook_of_served_rows_names_commands_that_read_what_was_served(
    name: str, commands: list[str]
) -> None:
    section = tree.read(alerts.RUNBOOK).split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert [command for command in commands if f"`{command}`" not in section] == []
    first = section.split("**First five minutes.**")[1].split("**Repair.**")[0]
    assert "`make validate`" not in first  # it reads what arrived, not what was served
