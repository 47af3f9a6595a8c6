"""The dashboard: drawable, with each alert's metrics and limit."""

import json
import math
import re
import subprocess
from itertools import combinations

import pytest
import yaml

from pipeline.monitor.operations.alerts import alerts
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.monitor.operations import promql
from tests.monitor.operations.scenes import needs
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor")

DRAWN = json.loads(tree.read("configs/monitor/dashboard.json"))
PANELS = [panel for panel in DRAWN["panels"] if panel["type"] != "row"]
ALERTS = {alert.name: alert for alert in alerts()}


def test_it_shows_operations_then_what_goes_in_and_out_then_outcomes():
    titles = [panel["title"] for panel in DRAWN["panels"] if panel["type"] == "row"]
    assert titles == ["Operations", "Inputs and predictions", "Outcomes"]


def test_panels_have_their_own_ids_and_places():
    ids = [panel["id"] for panel in DRAWN["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations((panel["gridPos"] for panel in DRAWN["panels"]), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above, (one, other)


def test_promtool_takes_every_expression(tmp_path):
    exprs = [target["expr"] for panel in PANELS for target in panel["targets"]]
    records = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(exprs)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    done = subprocess.run(
        [needs("promtool"), "check", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _named(panel) -> set[str]:
    """The alerts that a panel names."""
    return set(re.findall(r"\w+", panel["description"])) & set(ALERTS)


def test_a_panel_draws_what_the_alerts_read_that_it_names():
    for name in set().union(*map(_named, PANELS)):
        alert = ALERTS[name]
        targets = [t["expr"] for p in PANELS if name in _named(p) for t in p["targets"]]
        drawn = set().union(*map(promql.metrics, targets))
        assert promql.metrics(alert.expr) & drawn, name


def test_everything_that_an_alert_reads_is_drawn():
    everywhere = [target["expr"] for panel in PANELS for target in panel["targets"]]
    drawn = set().union(*map(promql.metrics, everywhere))
    assert set().union(*(promql.metrics(a.expr) for a in ALERTS.values())) <= drawn


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_line_in_a_picture_is_the_limit_of_an_alert_that_it_names(panel):
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    lines = {abs(step["value"]) for step in steps if step["value"] is not None}
    limits = [factors for name in _named(panel) for factors in promql.limits(ALERTS[name].expr)]
    known = {abs(factor) for factors in limits for factor in [*factors, math.prod(factors)]}
    if panel["title"] == "Latency":
        known = {load(MonitorConfig).slo.latency_ms}
    assert lines <= known


def test_the_error_budget_of_a_picture_is_that_of_the_configs():
    exprs = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    slo = load(MonitorConfig).slo
    (budget,) = set(re.findall(r"/ (0\.\d+)", exprs))
    assert float(budget) == pytest.approx(1 - slo.availability)
    assert set(re.findall(r"\[(\d+)d\]", exprs)) == {str(slo.budget_days)}
