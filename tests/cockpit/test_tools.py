"""The tools' own windows: what is asked of each tool, what is drawn, and what is refused."""

import json
import os
import shutil

import pytest
from starlette.testclient import TestClient

from cockpit import places, views
from cockpit.facts import project as facts
from cockpit.facts import registry, verdict
from cockpit.ports import listen
from cockpit.reading import Missing
from cockpit.tools import dashboard, dvc_window, own_windows
from cockpit.web import application
from pipeline.monitor.operations.alerts import alerts
from pipeline.monitor.operations.job_signals import JobSignals
from pipeline.shared import loopback
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactMissing, EnvironmentUnfit
from tests import needs
from tests.patience import until
from tests.rules.tree import ROOT
from tests.shared.moves import START

DOT = 'strict digraph {\n"a";\n"b";\n"c-d";\n"a" -> "b";\n"a" -> "c-d";\n"b" -> "c-d";\n}\n'


def test_the_graph_has_a_box_for_each_stage_and_a_path_for_each_edge():
    boxes, edges = dvc_window.graph(DOT)
    assert [box.name for box in boxes] == ["a", "b", "c-d"]
    assert len(edges) == 3
    assert [edge.count("C") for edge in edges] == [0, 1, 0]  # who skips a stage goes around it
    assert dvc_window.graph("") == ([], [])


def test_metrics_say_before_now_and_the_change():
    told = {
        "m.json": {"loss": {"old": 0.5, "new": 0.4, "diff": -0.1}, "new": {"old": None, "new": 1}}
    }
    first, second = dvc_window.rows(told)
    assert (first.name, first.old, first.new, first.change) == ("loss", "0.5", "0.4", "-0.1")
    assert (second.name, second.old, second.new, second.change) == ("new", "none", "1", "")
    assert dvc_window.rows([]) == []


def test_a_plot_has_a_line_for_each_revision(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {s: {plots: [{r.json: {x: a, y: b}}]}}")
    points = [{"a": n, "b": n * n, "rev": rev} for rev in ("HEAD", "workspace") for n in range(3)]
    told = {"data": {"r.json": [{"content": {"data": {"values": points}}}]}}
    (plot,) = dvc_window.plots(told, tmp_path)
    assert [rev for rev, _ in plot.lines] == ["HEAD", "workspace"]
    assert dvc_window.plots({"data": {"r.json": [{"content": {}}]}}, tmp_path) == []


def test_experiments_have_the_gates_metrics():
    told = [
        {
            "rev": "workspace",
            "data": {"metrics": {"data/evaluate/metrics.json": {"data": {"log_loss": 0.5}}}},
        },
        {"rev": "0123456789", "name": "exp-1", "data": None},
    ]
    first, second = dvc_window.experiments(told)
    assert (first["revision"], first["log_loss"], first["time"]) == ("workspac", "0.5", "now")
    assert (second["revision"], second["log_loss"]) == ("exp-1", "none")


@pytest.mark.long
@pytest.mark.slow
def test_dvc_is_asked_and_what_it_refuses_is_said(tmp_path):
    """Outside of a repository DVC answers nothing, and the page says so in its words."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    found = dvc_window.values(tmp_path)
    assert set(found["failures"]) == set(dvc_window.COMMANDS)
    assert found["boxes"] == found["metrics"] == found["plots"] == []


def test_the_dashboard_has_every_panel_of_its_file(story):
    told = json.loads((ROOT / dashboard.DASHBOARD).read_text())
    titles = [panel["title"] for panel in told["panels"] if panel["type"] != "row"]
    found = dashboard.values(story)
    assert [panel.title for group in found["groups"] for panel in group.panels] == titles
    assert isinstance(found["signals"], Missing)


def test_a_panel_is_red_beyond_its_limit_and_shows_the_past_that_the_journal_has(story):
    signals = {"excess_loss": 0.03, "outcome_gap": -0.05, "coverage": 1.0}
    (story / "data/monitor").mkdir(parents=True)
    (story / "data/monitor/signals.json").write_text(json.dumps(signals))
    panels = {p.title: p for group in dashboard.values(story)["groups"] for p in group.panels}
    excess, gap = panels["Excess loss, 14 days"], panels["Outcome less risk, 14 days"]
    assert (excess.value, excess.state, excess.limits) == ("0.03", "bad", ["0.02"])
    assert excess.past.startswith("M")
    assert gap.state == "bad"
    assert panels["Labels that have come"].state == "good"
    assert panels["Requests"].value == "while servers run"


def test_prometheus_gets_every_rule_on_signals_and_no_other():
    kept = own_windows.monitoring_rules(ROOT / "configs/monitor/alerts.yml")["groups"]
    names = {rule["alert"] for group in kept for rule in group["rules"]}
    assert names == {one.name for one in alerts() if "monitor_" in one.expr}
    assert "ExcessLoss" in names
    assert "TargetDown" not in names


@pytest.mark.parametrize("tool", own_windows.PARTS)
def test_a_tool_with_nothing_to_show_says_what_makes_it(empty, tool, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    with own_windows.open_windows() as windows, pytest.raises(ArtifactMissing, match="`make "):
        windows.open(tool, empty)


def test_where_prometheus_is_not_installed_its_package_is_named(story, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with own_windows.open_windows() as windows, pytest.raises(EnvironmentUnfit, match="prometheus"):
        windows.open("prometheus", story)


def test_a_window_takes_no_port_of_another_program(story):
    (story / "state/mlflow.db").touch()
    with listen(0) as taken, own_windows.open_windows() as windows:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentUnfit, match=f"make ui TOOL=mlflow PORT={port + 1}"):
            windows.open("mlflow", story, port)
        assert windows.pids == []


@pytest.mark.slow
@needs.unless(shutil.which("prometheus"), "prometheus")
def test_a_window_opens_and_ends_with_the_block(story):
    signals = JobSignals(at=START, version="1", release="a" * 64, excess_loss=0.03)
    (story / "data/monitor").mkdir(parents=True)
    (story / "data/monitor/signals.json").write_text(signals.model_dump_json())
    with own_windows.open_windows() as windows:
        address = windows.open("prometheus", story)
        port = int(address.rstrip("/").rpartition(":")[2])
        assert windows.open("prometheus", story) == address
        until(lambda: '"health":"up"' in (loopback.get(port, "/api/v1/targets") or ""))
        pids = list(windows.pids)
    assert loopback.get(port, "/-/ready") is None
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


def test_the_server_draws_windows_and_refuses_what_is_none(story):
    client = TestClient(application(story), base_url="http://localhost")
    for name in ("great-expectations", "dashboard"):
        assert client.get(f"/tools/{name}").status_code == 200
    assert client.get("/tools/nonsense").status_code == 404
    foreign = {"sec-fetch-site": "cross-site"}
    assert client.get("/tools/dashboard", headers=foreign).status_code == 403
    assert set(places.TOOLS) == {*places.DRAWN, *own_windows.PARTS}


def test_every_expectation_of_a_refused_month_is_on_the_data_docs(story):
    said = TestClient(application(story), base_url="http://localhost").get(
        "/tools/great-expectations"
    )
    assert "mean-shift" in said.text
    assert "1703.63" in said.text
    assert "NOT MET" in said.text


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.answer("lineage")
def test_the_registry_is_read_as_mlflow_wrote_it(registered):
    """Held against MLflow itself: a version's tags, metrics and aliases, without its library."""
    import mlflow

    config = load(RegisterConfig)
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    entry = client.get_model_version_by_alias(config.model_name, "champion")
    found = registry.read(registered)
    one = found.versions[found.aliases["champion"]]
    assert one.tags == entry.tags
    assert one.metrics == pytest.approx(client.get_run(entry.run_id).data.metrics)
    assert [approval.before for approval in one.approvals] == ["none"]
    assert verdict.of_version(one).passed
    said = views.page(facts.read(registered, "a project"), views.View(ROOT))
    assert "Version 1 served all requests" in said.replace("</span>", "")
