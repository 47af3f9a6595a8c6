"""Each number of a rule is that of the configs, and an alert says no other."""

import math
import re

import pytest

from pipeline.features.definitions import ALWAYS_THERE
from pipeline.monitor.operations.alerts import RULES, alerts
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from tests.monitor.operations import promql
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor")

ALERTS = alerts()
WRITTEN = {
    rule.get("alert") or rule["record"]: rule
    for group in tree.load(str(RULES))["groups"]
    for rule in group["rules"]
}
MONITOR, SERVE = load(MonitorConfig), load(ServeConfig)
SLO, OUTCOME, BUDGET = MONITOR.slo, MONITOR.outcome, 1 - MONITOR.slo.availability
KNOWN = [OUTCOME.min_coverage, OUTCOME.min_days]
THRESHOLDS = {
    "ErrorBudgetBurnsFast": [SLO.fast.rate * BUDGET, SLO.fast.rate * BUDGET, SLO.min_failures],
    "ErrorBudgetBurnsSlowly": [SLO.slow.rate * BUDGET, SLO.slow.rate * BUDGET, SLO.min_failures],
    "SlowAnswers": [1 - SLO.latency_share],
    "NoPredictions": [0, *SLO.busy_hours],
    "TargetDown": [0],
    "InvalidPredictions": [0],
    "LogLosesAnswers": [0],
    "LogFallsBehind": [SLO.max_waiting_share * SERVE.log_queue],
    "Saturated": [SLO.max_waiting_share * SERVE.max_waiting],
    "MissingFeatures": [SLO.max_missing_share],
    "StaleFeatures": [SLO.max_stale_share],
    "SkewFound": [0],
    "PredictionDrift": [MONITOR.prediction_alert],
    "InputDrift": [MONITOR.tripwire_alert],
    "QualityFailures": [0],
    "RefitWins": [-MONITOR.diagnosis.margin, 0, OUTCOME.min_coverage],
    "ExcessLoss": [OUTCOME.max_excess_loss, *KNOWN],
    "OutcomeGap": [OUTCOME.max_gap, *KNOWN],
    "LabelsDisagree": [0],
    "ModelTooOld": [SLO.max_model_age_days],
    "LabelsLate": [OUTCOME.max_labels_age_hours, 0, 0],
    "LabelsIncomplete": KNOWN,
    "MonitoringJobDead": [SLO.max_job_age_hours * 3600],
    "SignalsMissing": [],
}
WINDOWS = {
    "ErrorBudgetBurnsFast": {SLO.fast.long_minutes, SLO.fast.short_minutes},
    "ErrorBudgetBurnsSlowly": {SLO.slow.long_minutes, SLO.slow.short_minutes},
    "NoPredictions": {SLO.silent_minutes},
}
SAID = {
    "ErrorBudgetBurnsFast": [SLO.budget_days, round(SLO.budget_days / SLO.fast.rate, 1)],
    "ErrorBudgetBurnsSlowly": [SLO.budget_days, SLO.budget_days / SLO.slow.rate],
    "SlowAnswers": [SLO.latency_ms],
    "RefitWins": [MONITOR.diagnosis.gain_days],
    "ExcessLoss": [OUTCOME.window_days],
    "OutcomeGap": [OUTCOME.window_days],
}
"""What an alert says beside the numbers of its own rule."""


def test_every_alert_with_a_limit_in_the_configs_is_there():
    assert set(THRESHOLDS) <= {alert.name for alert in ALERTS}


@pytest.mark.parametrize(
    "alert", [a for a in ALERTS if a.name in THRESHOLDS], ids=lambda alert: alert.name
)
def test_each_threshold_is_that_of_the_configs(alert):
    written = [math.prod(factors) for factors in promql.limits(alert.expr)]
    assert written == pytest.approx(THRESHOLDS[alert.name])
    windows = set(promql.minutes(alert.expr))
    assert WINDOWS.get(alert.name, windows) == windows


def test_the_labels_of_a_rule_are_those_of_the_configs():
    assert f'le="{SLO.latency_ms}"' in WRITTEN["SlowAnswers"]["expr"]
    (views,) = re.findall('view=~"(.+?)"', WRITTEN["MissingFeatures"]["expr"])
    assert set(views.split("|")) == ALWAYS_THERE


def test_a_recorded_share_is_of_the_window_that_its_name_says():
    for rule in (rule for rule in WRITTEN.values() if "record" in rule):
        assert len({*promql.minutes(rule["record"]), *promql.minutes(rule["expr"])}) == 1


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_no_number_that_is_not_in_its_rule(alert):
    rule = WRITTEN[alert.name]
    known = {factor for factors in promql.limits(alert.expr) for factor in factors}
    known |= {*promql.minutes(alert.expr), *SAID.get(alert.name, [])}
    known |= {int(n) for n in re.findall(r"\d+", rule.get("for", ""))}
    said = re.sub(r"\{\{.*?\}\}", "", f"{alert.summary} {rule['annotations']['description']}")
    assert {float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", said)} <= known
