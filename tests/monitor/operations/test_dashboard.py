"""The dashboard: made from code, fresh, and drawable."""

import json
import re
import subprocess
from itertools import combinations

import pytest
import yaml

from pipeline.monitor.operations import alerts, dashboard, rules
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from tests.monitor.operations.scenes import needs
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor")

ROWS = dashboard.rows(load(MonitorConfig), load(ServeConfig))
DRAWN = json.loads(tree.read("configs/monitor/dashboard.json"))
PANELS = [panel for panel in DRAWN["panels"] if panel["type"] != "row"]


def test_the_dashboard_is_what_the_code_makes():
    made = dashboard.generated()[dashboard.DASHBOARD]
    assert made == tree.read("configs/monitor/dashboard.json"), "run `make fill`"


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


def test_whoever_gets_an_alert_finds_a_picture_of_what_it_reads():
    drawn = {s.metric for p in PANELS for t in p["targets"] for s in rules.selectors(t["expr"])}
    for alert in alerts.configured():
        assert {s.metric for s in rules.selectors(alert.expr)} <= drawn, alert.name


def test_a_limit_in_a_picture_is_the_alerts():
    limits = {panel.title: panel.limit for row in ROWS.values() for panel in row}
    found = {alert.name: alert for alert in alerts.configured()}
    for title, name in {
        "Excess loss, 14 days": "ExcessLoss",
        "Predictions, PSI": "PredictionDrift",
        "Age of the model": "ModelTooOld",
        "Waiting for the store": "Saturated",
        "Missing": "MissingFeatures",
    }.items():
        assert re.search(rf"> {limits[title]:g}\b", found[name].expr), title
