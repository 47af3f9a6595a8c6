"""The dashboard for Grafana, made from the same expressions as the alerts: three rows of panels.

Operations first, since a server that does not answer makes every other picture wrong; then what
goes in and what comes out, which is seen at once; then outcomes, which are late and decide.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.monitor.operations.alerts import (
    ANSWERS,
    FAILED,
    SECONDS,
    USERS,
    failed_share,
    lacking_share,
    slow_share,
)
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig, Objectives
from pipeline.shared.config.serve import ServeConfig

DASHBOARD = Path("configs/monitor/dashboard.json")
_ACROSS, _WIDTH, _HEIGHT = 24, 6, 7
_SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """A picture: what it shows as PromQL by its legend, in which unit, and the alert's limit."""

    title: str
    targets: dict[str, str]
    unit: str = "short"
    limit: float | None = None


def rows(config: MonitorConfig, serve: ServeConfig) -> dict[str, list[Panel]]:
    """Every panel by its row."""
    slo = config.slo
    return {
        "Operations": [*_users(slo), *_servers(slo, serve)],
        "Inputs and predictions": [*_served(slo), *_compared(config)],
        "Outcomes": _outcomes(config),
    }


def _users(slo: Objectives) -> list[Panel]:
    budget = 1 - slo.availability
    days = f"{slo.budget_days}d"
    spent = f"sum(increase({FAILED}[{days}])) / sum(increase({ANSWERS}[{days}])) / {budget:.6g}"
    quantile = f"histogram_quantile({{}}, sum by (le) (rate({SECONDS}_bucket{{{{{USERS}}}}}[5m])))"
    return [
        Panel("Requests", {"a second": f"sum(rate({ANSWERS}[5m]))"}, "reqps"),
        Panel(
            "Burn rate",
            {
                "5 min": f"({failed_share('5m')}) / {budget:.6g}",
                "1 h": f"({failed_share('60m')}) / {budget:.6g}",
            },
            "x",
            slo.fast.rate,
        ),
        Panel("Error budget left", {days: f"1 - {spent}"}, "percentunit"),
        Panel(
            "Latency",
            {"p50": quantile.format(0.5), "p99": quantile.format(0.99)},
            "ms",
            slo.latency_ms,
        ),
        Panel(
            f"Slower than {slo.latency_ms} ms",
            {"share": slow_share(slo.latency_ms, "10m")},
            "percentunit",
            1 - slo.latency_share,
        ),
    ]


def _servers(slo: Objectives, serve: ServeConfig) -> list[Panel]:
    most = slo.max_waiting_share
    lost = {
        "lost": "increase(flight_log_dropped[15m])",
        "failed": "increase(flight_log_failed[15m])",
    }
    return [
        Panel("Up", {"{{job}} {{instance}}": "up"}),
        Panel(
            "Waiting for the store",
            {"{{instance}}": "flight_waiting"},
            "short",
            most * serve.max_waiting,
        ),
        Panel(
            "Waiting for the log",
            {"{{instance}}": "flight_log_waiting"},
            "short",
            most * serve.log_queue,
        ),
        Panel("Lost by the log", lost, "short", 0),
        Panel("Who answers", {"version {{version}} {{release}}": "flight_model_info"}),
    ]


def _served(slo: Objectives) -> list[Panel]:
    age = "sum by (view, le) (rate(flight_features_age_minutes_bucket[15m]))"
    return [
        Panel(
            "Missing",
            {"{{view}}": lacking_share("missing", "15m")},
            "percentunit",
            slo.max_missing_share,
        ),
        Panel(
            "Withheld as stale",
            {"{{view}}": lacking_share("stale", "15m")},
            "percentunit",
            slo.max_stale_share,
        ),
        Panel("Age of features, p95", {"{{view}}": f"histogram_quantile(0.95, {age})"}, "m"),
        Panel(
            "Mean risk",
            {"15 min": "sum(rate(flight_risk_sum[15m])) / sum(rate(flight_risk_count[15m]))"},
            "percentunit",
        ),
        Panel(
            "No probability",
            {"requests": "increase(flight_invalid_predictions_total[10m])"},
            "short",
            0,
        ),
    ]


def _compared(config: MonitorConfig) -> list[Panel]:
    return [
        Panel(
            "Predictions, PSI",
            {"risk": "flight_monitor_prediction_psi"},
            "short",
            config.prediction_alert,
        ),
        Panel(
            "Tripwires, PSI",
            {"{{column}}": "flight_monitor_input_psi"},
            "short",
            config.tripwire_alert,
        ),
        Panel("Values unlike training's", {"values": "flight_monitor_skew_mismatches"}, "short", 0),
        Panel(
            "Failed checks of the data", {"checks": "flight_monitor_quality_failures"}, "short", 0
        ),
        Panel(
            "Weeks of labels that disagree",
            {"weeks": "flight_monitor_labels_disagreeing"},
            "short",
            0,
        ),
    ]


def _outcomes(config: MonitorConfig) -> list[Panel]:
    slo, rule = config.slo, config.outcome
    ran = "(time() - flight_monitor_heartbeat_seconds) / 3600"
    return [
        Panel(
            "A refit less the champion, log loss",
            {"nats": "flight_monitor_refit_gain", "at most": "flight_monitor_refit_gain_high"},
            "short",
            -config.diagnosis.margin,
        ),
        Panel(
            "Excess loss, 14 days",
            {"nats": "flight_monitor_excess_loss"},
            "short",
            rule.max_excess_loss,
        ),
        Panel(
            "Outcome less risk, 14 days",
            {"gap": "flight_monitor_outcome_gap"},
            "percentunit",
            rule.max_gap,
        ),
        Panel(
            "Labels that have come",
            {"share": "flight_monitor_coverage"},
            "percentunit",
            rule.min_coverage,
        ),
        Panel(
            "Age of the newest labels",
            {"hours": "flight_monitor_labels_age_hours"},
            "h",
            rule.max_labels_age_hours,
        ),
        Panel(
            "Age of the model",
            {"days": "flight_monitor_model_age_days"},
            "d",
            slo.max_model_age_days,
        ),
        Panel("Since the monitoring job ran", {"hours": ran}, "h", slo.max_job_age_hours),
    ]


def dashboard(found: dict[str, list[Panel]]) -> dict[str, Any]:
    """The dashboard as Grafana imports it; whoever imports it names the Prometheus to ask."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in found.items():
        at = {"h": 1, "w": _ACROSS, "x": 0, "y": y}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": at, "panels": []}
        )
        for place, panel in enumerate(row):
            line, column = divmod(place, _ACROSS // _WIDTH)
            at = {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": y + 1 + line * _HEIGHT}
            panels.append({"id": len(panels) + 1, **_drawn(panel), "gridPos": at})
        y = panels[-1]["gridPos"]["y"] + _HEIGHT
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": "Flight delay",
        "uid": "flight-delay",
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _drawn(panel: Panel) -> dict[str, Any]:
    """A line over time, and the alert's limit as a red one."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": round(panel.limit, 6)})
    targets = [
        {
            "refId": chr(ord("A") + place),
            "expr": expr,
            "legendFormat": legend,
            "datasource": _SOURCE,
        }
        for place, (legend, expr) in enumerate(panel.targets.items())
    ]
    style = {"thresholdsStyle": {"mode": "line" if panel.limit is not None else "off"}}
    defaults = {
        "unit": panel.unit,
        "custom": style,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def generated() -> dict[Path, str]:
    """configs/monitor/dashboard.json, as it should read."""
    made = dashboard(rows(load(MonitorConfig), load(ServeConfig)))
    return {DASHBOARD: json.dumps(made, indent=1, sort_keys=True) + "\n"}
