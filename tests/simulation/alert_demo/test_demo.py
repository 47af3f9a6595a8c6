"""The parts of an alert as it happens; the whole is in tests/flow/test_monitor_live.py."""

import json
import re
import subprocess

import pytest
import yaml

from pipeline.monitor.operations.alerts import RULES, alerts
from pipeline.rollout.traffic.servers import free_ports
from pipeline.shared import loopback
from pipeline.shared.errors import ConfigError, EnvironmentUnfit
from simulation.alert_demo import scene, setting
from simulation.alert_demo.demo import FAULT_ALERTS, monitor_live, program
from simulation.alert_demo.receiver import Sink
from simulation.alert_demo.scene import StoppableFeed
from simulation.faults import FAULTS as OF_SERVERS
from tests.monitor.operations.scenes import needs
from tests.patience import PATIENCE

pytestmark = pytest.mark.answer("what-to-monitor")


def test_an_unknown_fault_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"'slwo' is none of the 5 faults .* FAULT=slow"):
        monitor_live("slwo")


def test_every_fault_has_an_alert_and_a_way_to_inject_it():
    assert set(FAULT_ALERTS.values()) <= {alert.name for alert in alerts()}
    assert set(FAULT_ALERTS) - {"feed", "exporter"} <= set(OF_SERVERS)


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt-get install prometheus"),
        ("dnf", "sudo dnf install /usr/bin/prometheus"),
        ("brew", "brew install prometheus"),
    ],
)
def test_without_prometheus_it_says_how_this_machine_installs_it(
    manager, command, tmp_path, monkeypatch
):
    (tmp_path / manager).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentUnfit, match=rf"no prometheus here.*: `{command}`, end the"):
        monitor_live()


def test_the_watchers_get_copies_that_their_own_tools_take(tmp_path):
    names = ["prometheus", "alertmanager", "exporter", "sink"]
    ports = dict(zip(names, free_ports(4), strict=True))
    list(setting.monitoring_commands({name: name for name in names}, tmp_path, ports))
    for command in (
        [needs("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        [needs("amtool"), "check-config", str(tmp_path / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    prometheus = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert prometheus["global"]["evaluation_interval"] == "1s"
    groups = yaml.safe_load((tmp_path / "alerts.yml").read_text())["groups"]
    assert {"interval" in group for group in groups} == {False}
    names = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert names == [alert.name for alert in alerts()]
    routes = (tmp_path / "alertmanager.yml").read_text()
    assert f"http://127.0.0.1:{ports['sink']}/page" in routes


def test_an_alert_that_is_pending_for_one_and_firing_for_another_is_firing(monkeypatch):
    def told(*states):
        found = [{"labels": {"alertname": "A"}, "state": state} for state in states]
        answer = json.dumps({"data": {"alerts": found}})
        monkeypatch.setattr(scene.loopback, "get", lambda *_: answer)
        return scene.active(1)

    assert told("firing", "pending") == told("pending", "firing") == {"A": "firing"}
    assert told("pending") == {"A": "pending"}
    assert told() == {}


class _Kept:
    """A store that notes what it is given."""

    def __init__(self):
        self.said = []

    def write(self, view, rows):
        self.said.append((view, rows))

    def complete(self, views, until):
        self.said.append(until)


def test_a_stopped_feed_lets_rows_wait_says_nothing_and_catches_up_in_order():
    store = _Kept()
    feed = StoppableFeed(store)
    feed.write("weather", [1])
    feed.complete(["weather"], "ten")
    feed.stopped = True
    feed.write("weather", [2])
    feed.complete(["weather"], "eleven")
    feed.write("hour", [3])
    assert store.said == [("weather", [1]), "ten"]
    feed.catch_up()
    feed.complete(["weather"], "twelve")
    assert store.said[2:] == [("weather", [2]), ("hour", [3]), "twelve"]


def test_the_sink_tells_each_thing_once_and_knows_who_was_told():
    (port,) = free_ports(1)
    with Sink("127.0.0.1", port) as sink:
        for status in ("firing", "firing", "resolved"):
            alert = {"labels": {"alertname": "SlowAnswers"}, "status": status}
            body = json.dumps({"alerts": [alert]}).encode()
            assert loopback.request(port, "/page", body, timeout=PATIENCE)[0].status == 200
        assert sink.new_notifications() == [
            "page is notified: SlowAnswers firing",
            "page is notified: SlowAnswers resolved",
        ]
        assert sink.new_notifications() == []
        assert sink.is_notified("SlowAnswers", "resolved")
        assert not sink.is_notified("TargetDown", "firing")
        assert (sink.receiver("SlowAnswers"), sink.receiver("TargetDown")) == ("page", "nobody")


def test_a_program_is_found_under_the_name_that_debian_gives_it(tmp_path, monkeypatch):
    tool = tmp_path / "prometheus-alertmanager"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program("alertmanager") == str(tool)


def test_a_rule_of_the_scene_has_seconds_for_minutes_and_the_same_limits():
    """A window has room for two scrapes."""
    served = RULES.read_text(encoding="utf-8")
    watched = setting.in_seconds(served)
    for window in (r"\[(\w+)\]", r"\bfor: (\w+)"):
        lasting = re.findall(window, watched)
        assert lasting == [time.replace("m", "s") for time in re.findall(window, served)]
        assert all(re.fullmatch(r"\d+s", time) and int(time[:-1]) >= 2 for time in lasting)
        served, watched = re.sub(window, "", served), re.sub(window, "", watched)
    assert watched == served
