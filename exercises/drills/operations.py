"""Faults of operations: servers that fail, and alerts that would not say so."""

import re
from collections.abc import Callable
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once
from exercises.drills.release import ran

ALERTS = "configs/monitor/alerts.yml"
TESTS = [f"tests/monitor/operations/test_{name}.py" for name in ("alerts", "thresholds")]
PYTEST = ("-m", "pytest", "-q")


def _watched(fault: str) -> Callable[[Path], list[str]]:
    """A champion is registered and serves; then this goes wrong under its users."""

    def inject(folder: Path) -> list[str]:
        ran(folder, "register")
        return ["monitor-live", f"--fault={fault}"]

    return inject


def _rename_a_label(folder: Path) -> list[str]:
    """The server calls a label by another name; promtool and Prometheus find nothing wrong."""
    replace_once(folder / "pipeline/serve/metrics.py", '["view", "flag"]', '["view", "reason"]')
    return TESTS


def _move_a_limit(folder: Path) -> list[str]:
    """Somebody quietens an alert in the file that Prometheus reads, and tells nobody."""
    gap = "abs(monitor_outcome_gap) > 0"
    replace_once(folder / ALERTS, f"{gap}.03", f"{gap}.3")
    return TESTS


def _page_on_drift(folder: Path) -> list[str]:
    old = "monitor_prediction_psi >= 0.2\n    labels: {severity: ticket"
    replace_once(folder / ALERTS, old, old.replace("ticket", "page"))
    return TESTS


def _fired(alert: str) -> Callable[[Path, Outcome], str]:
    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"{alert} fired \d+ s after the fault and ended[^;]*", outcome.words)
        states = re.findall(rf"^ +[\d.]+ s  {alert}: (\w+)", outcome.words, re.MULTILINE)
        right = outcome.code == 0 and states[-3:] == ["pending", "firing", "over"]
        return told[0] if right and told else ""

    return caught


def _failed(*tests: str) -> Callable[[Path, Outcome], str]:
    """These tests fail, and say so."""

    def caught(_: Path, outcome: Outcome) -> str:
        failed = re.findall(r"^FAILED \S+::(\w+)(\[[^\]]*\])?", outcome.words, re.MULTILINE)
        right = outcome.code == 1 and set(tests) <= {name for name, _ in failed}
        names = ", ".join(sorted({name + at for name, at in failed}))
        return f"{len(failed)} fail: {names}" if right else ""

    return caught


def _silent(folder: Path, outcome: Outcome) -> str:
    """The test names the alerts, and the label that nobody shows."""
    found = _failed("test_every_metric_and_label_that_an_alert_reads_is_shown_by_somebody")
    told = re.search(r"Selector\(metric='serve_features_total'[^\n]{0,200}", outcome.words)
    evidence = found(folder, outcome)
    return f"{evidence}; nobody shows serve_features_total with this label" if told else ""


DRILLS = [
    Drill(
        slug="burning-budget",
        stage="monitor",
        fault="the champion's server fails a fifth of its requests, among real users",
        guard="the alert ErrorBudgetBurnsFast, in a real Prometheus",
        inject=_watched("failing"),
        caught=_fired("ErrorBudgetBurnsFast"),
    ),
    Drill(
        slug="dead-exporter",
        stage="monitor",
        fault="what shows the monitoring job's findings is killed: no alert on them can fire",
        guard="the alert SignalsMissing, on what is absent",
        inject=_watched("exporter"),
        caught=_fired("SignalsMissing"),
    ),
    Drill(
        slug="silent-alert",
        stage="rules",
        fault="a label of a metric gets another name: two alerts can never fire again",
        guard="the test that every metric and label of a rule is exported by somebody",
        inject=_rename_a_label,
        caught=_silent,
        command=PYTEST,
    ),
    Drill(
        slug="moved-limit",
        stage="rules",
        fault="a limit is raised tenfold in the file that Prometheus reads",
        guard="the thresholds of configs/monitor.yaml, and promtool's scenes that fire each rule",
        inject=_move_a_limit,
        caught=_failed(
            "test_each_threshold_is_that_of_the_configs", "test_exactly_these_alerts_fire_when"
        ),
        command=PYTEST,
    ),
    Drill(
        slug="paging-drift",
        stage="rules",
        fault="drift of the predictions wakes somebody at night",
        guard="the test that no alert on drift alone is a page",
        inject=_page_on_drift,
        caught=_failed("test_drift_alone_pages_nobody"),
        command=PYTEST,
    ),
]
