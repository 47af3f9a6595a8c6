"""The alerts: by promtool, by the configs, by what is really exported, and by the runbook."""

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from pipeline.features.definitions import ALWAYS_THERE
from pipeline.monitor.operations import job_signals
from pipeline.monitor.operations.alerts import RULES, alerts
from pipeline.records.request_log_writer import open_log
from pipeline.rollout.traffic import envoy
from pipeline.serve.app import create_app
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.prometheus import Sample, registry_of, samples
from tests.monitor.operations import promql, scenes
from tests.monitor.operations.promql import Selector
from tests.monitor.operations.scenes import SCENES, needs, promtool
from tests.monitor.operations.test_job_signals import FULL
from tests.patience import until
from tests.rollout.arms import proxied
from tests.rules import tree
from tests.serve.fakes import FLIGHT, Store, loaded

pytestmark = pytest.mark.answer("what-to-monitor")

ALERTS = alerts()
NAMES = [alert.name for alert in ALERTS]
TEXT = tree.read(str(RULES))
RULES_BY_NAME = {
    rule.get("alert") or rule["record"]: rule
    for group in tree.load(str(RULES))["groups"]
    for rule in group["rules"]
}
RECORDED = [rule for rule in RULES_BY_NAME.values() if "record" in rule]
RUNBOOK = "docs/runbook.md"
PARTS = ["What it means.", "First five minutes.", "Repair.", "Over when."]


# What fires, and what does not.


def test_promtool_takes_the_rules():
    done = subprocess.run(
        [needs("promtool"), "check", "rules", str(tree.ROOT / RULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS) + len(RECORDED)} rules found" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("scene", [*SCENES, scenes.ALONE], ids=str)
def test_exactly_these_alerts_fire_when(scene, tmp_path):
    passed, said = promtool(tmp_path, TEXT, scene.test())
    assert passed, said


def test_nothing_fires_in_a_sound_service_at_any_hour(tmp_path):
    scene = scenes.Scene("sound", {}, set(), 700)
    passed, said = promtool(tmp_path, TEXT, scene.test())
    assert passed, said


def test_every_alert_has_a_scene_in_which_it_fires_and_one_in_which_it_does_not(
    record_property: Callable[[str, object], None],
):
    fires = {scene.name for scene in SCENES if scene.name in scene.fires}
    silent = {scene.name for scene in SCENES if scene.name not in scene.fires}
    assert fires == silent == set(NAMES)
    record_property(
        "alerts, each with a scene in which it fires and one in which it does not", len(fires)
    )


def test_what_is_read_in_an_alert_holds_the_number(tmp_path):
    scene = next(scene for scene in SCENES if scene.name == "MissingFeatures")
    scene_alert = next(alert for alert in ALERTS if alert.name == scene.name)
    asked = {
        "eval_time": "30m",
        "alertname": "MissingFeatures",
        "exp_alerts": [
            {
                "exp_labels": {"severity": "page", "area": "inputs", "view": "weather"},
                "exp_annotations": {
                    "summary": "The view weather has no values, and it always has",
                    "description": "10% of rows lacked weather within 15m; 0.02 is the limit",
                    "runbook_url": "docs/runbook.md#missingfeatures",
                    "runbook": scene_alert.runbook,
                },
            }
        ],
    }
    test = scene.test() | {"alert_rule_test": [asked], "promql_expr_test": []}
    passed, said = promtool(tmp_path, TEXT, test)
    assert passed, said


def test_drift_alone_pages_nobody():
    for alert in ALERTS:
        if any(name.endswith("_psi") for name in promql.metrics(alert.expr)):
            assert alert.severity == "ticket", alert.name
    severities = {alert.name: alert.severity for alert in ALERTS}
    assert {severities[name] for name in scenes.ALONE.fires} == {"ticket"}


# What they read is there.


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> list[Sample]:
    """What a server shows after a few requests, some of them for what is missing or stale."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served')}/log.db"
    metrics = Metrics()
    views = sorted(ALWAYS_THERE)
    store = Store(**dict.fromkeys(views[:-1], "missing"), **{views[-1]: "stale"})
    with open_log(url, 1_000) as log:
        app = create_app(Predictor(loaded(), store), log, load(ServeConfig), metrics, lambda: "")
        with TestClient(app) as client:
            assert client.post("/predict", json={"flights": [FLIGHT]}).status_code == 200
            return samples(client.get("/metrics").text)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> list[Sample]:
    """What a real Envoy shows once a user was answered."""
    with proxied(tmp_path_factory.mktemp("envoy")) as found:
        found.ask(["2013-05-01/UA/1/EWR"])
        name = "envoy_http_downstream_rq_time_bucket"
        shows = partial(envoy.admin, found.ports, "/stats/prometheus")
        return samples(until(lambda: text if name in (text := shows() or "") else ""))


@pytest.fixture(scope="module")
def known(served, proxy) -> list[Sample]:
    """All that Prometheus is shown, and what it says itself of each job."""
    told = samples(
        generate_latest(registry_of(lambda: job_signals.gauge_values(FULL, 1.0))).decode()
    )
    jobs = tree.load("configs/monitor/prometheus.yml")["scrape_configs"]
    exported = [*served, *proxy, *told, *(Sample("up", {"job": j["job_name"]}, 1) for j in jobs)]
    assert [rule for rule in RECORDED if promql.unread(rule["expr"], exported)] == []
    return exported + [Sample(rule["record"], {}, 1) for rule in RECORDED]


@pytest.mark.slow
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_metric_and_label_that_an_alert_reads_is_shown_by_somebody(alert, known):
    assert promql.unread(alert.expr, known) == set()


@pytest.mark.slow
def test_every_metric_and_label_on_the_dashboard_is_shown_by_somebody(
    known, record_property: Callable[[str, object], None]
):
    panels = json.loads(tree.read("configs/monitor/dashboard.json"))["panels"]
    exprs = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert {expr: lost for expr in exprs if (lost := promql.unread(expr, known))} == {}
    record_property(
        "expressions of the dashboard whose every metric is shown by somebody", len(exprs)
    )


@pytest.mark.slow
def test_the_bound_of_slow_answers_is_one_of_the_proxys_histogram(proxy):
    bounds = {s.labels["le"] for s in proxy if s.name == "envoy_http_downstream_rq_time_bucket"}
    assert set(map(str, (10, 25, 50, 100, 250, 500, 1000, 2500))) <= bounds


@pytest.mark.parametrize(
    ("expr", "lost"),
    [
        ("rate(flight_nothing_total[5m]) > 1", {Selector("flight_nothing_total")}),
        ('flight_up{state="5"}', {Selector("flight_up", (("state", "=", "5"),))}),
        ('flight_up{view="b"}', {Selector("flight_up", (("view", "=", "b"),))}),
        ('sum by (view) (flight_up{view=~"a|b"}) / on () group_left () flight_up > 5e-05', set()),
        ('absent(flight_up{view!="b"}) and on () hour() < 3', set()),
        ("flight_uq", {Selector("flight_uq")}),
    ],
)
def test_a_rule_that_can_never_fire_is_found(expr, lost):
    assert promql.unread(expr, [Sample("flight_up", {"view": "a"}, 1)]) == lost


# What to do.


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", tree.read(RUNBOOK), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert():
    assert list(_sections()) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    anchors = {name: RULES_BY_NAME[name]["annotations"]["runbook_url"] for name in NAMES}
    assert anchors == {name: f"{RUNBOOK}#{name.lower()}" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_what_it_means_what_to_do_at_once_how_to_repair_and_when_it_is_over(name):
    section = _sections()[name]
    assert re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE) == PARTS
    assert all(text.strip() for text in re.split(r"\*\*.+?\*\*", section)[1:])
    others = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", section)) - set(NAMES)
    assert others <= {"Alertmanager"}


@pytest.mark.parametrize("name", NAMES)
def test_the_first_five_minutes_have_something_to_run_or_to_read(name):
    first = _sections()[name].split("**First five minutes.**")[1].split("**")[0]
    assert "`" in first or "panel" in first or "log" in first or "disk" in first


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_section_is_a_target(name):
    assert set(re.findall(r"`make ([a-z-]+)", _sections()[name])) <= set(tree.targets())


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("QualityFailures", ["make monitor", "make skew", "make rollback", "make materialize"]),
        ("LabelsDisagree", ["make monitor", "make guards"]),
        ("SkewFound", ["make skew"]),
        ("InputDrift", ["make skew", "make monitor"]),
    ],
)
def test_what_is_wrong_with_served_rows_is_asked_of_what_was_served(name, commands):
    section = _sections()[name]
    assert [command for command in commands if f"`{command}`" not in section] == []
    first = section.split("**First five minutes.**")[1].split("**Repair.**")[0]
    assert "`make validate`" not in first  # it reads what arrived, not what was served


# Who is told.


AMTOOL = ["--config.file", str(tree.ROOT / "configs/monitor/alertmanager.yml")]


def test_amtool_takes_the_routes():
    path = AMTOOL[1]
    done = subprocess.run(
        [needs("amtool"), "check-config", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_page_wakes_and_a_ticket_waits(alert):
    labels = [f"alertname={alert.name}", f"severity={alert.severity}", f"area={alert.area}"]
    done = subprocess.run(
        [needs("amtool"), "config", "routes", "test", *AMTOOL, *labels],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == alert.severity


def test_no_address_and_no_secret_of_a_receiver_is_in_the_routes():
    receivers = tree.load("configs/monitor/alertmanager.yml")["receivers"]
    assert [list(receiver) for receiver in receivers] == [["name"], ["name"]]


def test_what_silences_and_what_is_silenced_are_alerts():
    routes = tree.load("configs/monitor/alertmanager.yml")
    text = json.dumps(routes["inhibit_rules"])
    assert set(re.findall(r"alertname!?=\\\"(\w+)\\\"", text)) <= set(NAMES)
    assert "TargetDown" in text
