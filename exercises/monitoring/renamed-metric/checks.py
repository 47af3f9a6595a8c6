"""The checks of the metrics that alerts are on."""

import re

from exercises.workbench.checking import ROOT, check, expect
from pipeline.shared.yaml_files import parse


def _exported():
    """Beside the solution: the flight_* names that the code of servers and job exports."""
    import re
    from pathlib import Path

    from pipeline.monitor.operations.job_signals import ABOUT, PREFIX
    from pipeline.serve.metrics import Metrics

    metrics = Metrics()
    metrics.request("/predict", 200, 0.01)
    text = metrics.text().decode() + "".join(
        one.read_text(encoding="utf-8") for one in sorted(Path("pipeline/serve").glob("*.py"))
    )
    names = set(re.findall(r"\bflight_[a-z_]+", text))
    job = Path("pipeline/monitor/operations/job_signals.py").read_text(encoding="utf-8")
    others = {f"{PREFIX}{name}" for name in re.findall(r"\{PREFIX\}([a-z_]+)", job)}
    return sorted(names | others | {f"{PREFIX}{name}" for name in ABOUT})


def _rules(subject) -> list[dict[str, object]]:
    groups = parse(subject.read("configs/monitor/alerts.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _alerts(subject) -> dict[str, str]:
    return {str(r["alert"]): str(r["expr"]) for r in _rules(subject) if "alert" in r}


@check(4)
def test_every_metric_of_the_rules_is_exported(subject):
    """A name that nobody exports makes an alert that cannot fire."""
    text = " ".join(str(rule["expr"]) for rule in _rules(subject))
    used = set(re.findall(r"\bflight_[a-z_]+", text))
    unknown = sorted(used - set(subject.do(_exported)))
    expect(unknown, [], why="no server and no job exports these: look for the new names")


@check(2)
def test_no_alert_is_gone(subject):
    """All of them, by their names: the runbook and the pager know them."""
    known = _alerts(subject)
    main = parse((ROOT / "configs/monitor/alerts.yml").read_text(encoding="utf-8"))
    rules = [rule for group in main["groups"] for rule in group["rules"]]
    expect(sorted(known), sorted(rule["alert"] for rule in rules if "alert" in rule))


@check(2)
def test_the_alert_is_on_what_its_words_say(subject):
    """Lost answers, at the first one, within a quarter of an hour."""
    seen = _alerts(subject).get("LogLosesAnswers")
    expect(seen, "sum(increase(serve_log_dropped[15m])) > 0")


@check(1, hidden=True)
def test_the_page_for_no_probability_is_on_its_counter(subject):
    """A counter of the client library ends in _total."""
    seen = _alerts(subject).get("InvalidPredictions")
    expect(seen, "sum(increase(serve_invalid_predictions_total[10m])) > 0")
