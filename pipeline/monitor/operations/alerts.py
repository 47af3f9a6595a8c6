"""Who is told of what, and when: the alert rules, made from the objectives of configs/monitor.yaml.

What the daily job found calls whom the month's report calls (`pipeline.monitor.severity`). What
users get is measured at the proxy; what a server says of itself explains it.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.features.definitions import ALWAYS_THERE
from pipeline.monitor.severity import SEVERITY, Severity
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import Burn, MonitorConfig, Objectives
from pipeline.shared.config.serve import ServeConfig

RUNBOOK = "docs/runbook.md"
USERS = 'envoy_http_conn_manager_prefix="users"'
"""The proxy's door for users; it has another for its own administration."""
ANSWERS = f"envoy_http_downstream_rq_xx{{{USERS}}}"
FAILED = f'envoy_http_downstream_rq_xx{{{USERS},envoy_response_code_class="5"}}'
SERVED = f'envoy_http_downstream_rq_xx{{{USERS},envoy_response_code_class="2"}}'
SECONDS = "envoy_http_downstream_rq_time"
"""In milliseconds, whatever its suffix; what a caller did wrong (4xx) is no failure of ours."""

Area = Literal["serving", "inputs", "outcomes", "monitoring"]


@dataclass(frozen=True)
class Alert:
    """A rule: what has to be true for how long, who is told, and what they read."""

    name: str
    area: Area
    severity: Severity
    expr: str
    lasting: str
    summary: str
    description: str

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"{RUNBOOK}#{self.name.lower()}"

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity, "area": self.area},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": self.runbook,
            },
        }


def alerts(config: MonitorConfig, serve: ServeConfig) -> list[Alert]:
    """Every alert, with the numbers of the configs."""
    slo = config.slo
    serving = [*_users(slo), *_processes(), *_queues(slo, serve)]
    found = [*_outcomes(config), *_compared(config), *_ages(config), *_watchers(slo)]
    return [*serving, *_inputs(slo), *found]


def failed_share(window: str) -> str:
    """The share of requests that got no prediction through our fault, over a window."""
    return f"sum(rate({FAILED}[{window}])) / sum(rate({ANSWERS}[{window}]))"


def slow_share(milliseconds: int, window: str) -> str:
    """The share of answers that took longer: p99 is above a bound exactly if this is over 1 %."""
    fast = f'{SECONDS}_bucket{{{USERS},le="{milliseconds}"}}'
    every = f"{SECONDS}_count{{{USERS}}}"
    return f"1 - sum(rate({fast}[{window}])) / sum(rate({every}[{window}]))"


def lacking_share(flag: str, window: str) -> str:
    """By view, the share of rows whose values were missing, or withheld as stale."""
    views = f',view=~"{"|".join(sorted(ALWAYS_THERE))}"' if flag == "missing" else ""
    lacking = f'sum by (view) (rate(flight_features_total{{flag="{flag}"{views}}}[{window}]))'
    return f"{lacking} / on () group_left () sum(rate(flight_risk_count[{window}]))"


def _burning(name: str, slo: Objectives, burn: Burn) -> Alert:
    """Over the long window it matters, over the short one it still goes on."""
    limit = f"{burn.rate * (1 - slo.availability):.6g}"
    long, short = f"{burn.long_minutes}m", f"{burn.short_minutes}m"
    days = slo.budget_days / burn.rate
    return Alert(
        name,
        "serving",
        "page",
        f"{failed_share(long)} > {limit}\n"
        f"and {failed_share(short)} > {limit}\n"
        f"and sum(increase({FAILED}[{long}])) >= {slo.min_failures}",
        "2m",
        f"The error budget of {slo.budget_days} days is gone within {days:.1f} at this pace",
        f"{{{{ $value | humanizePercentage }}}} of requests failed within {long}, and it goes on; "
        f"{burn.rate:g} times the {1 - slo.availability:.2%} that are allowed",
    )


def _users(slo: Objectives) -> list[Alert]:
    begin, end = slo.busy_hours
    silent, slow = f"{slo.silent_minutes}m", slow_share(slo.latency_ms, "10m")
    return [
        _burning("ErrorBudgetBurnsFast", slo, slo.fast),
        _burning("ErrorBudgetBurnsSlowly", slo, slo.slow),
        Alert(
            "SlowAnswers",
            "serving",
            "page",
            f"{slow} > {1 - slo.latency_share:.6g}",
            "5m",
            f"Answers are slower than {slo.latency_ms} ms too often",
            f"{{{{ $value | humanizePercentage }}}} of answers took longer than "
            f"{slo.latency_ms} ms, {1 - slo.latency_share:.6g} is the share that may",
        ),
        Alert(
            "NoPredictions",
            "serving",
            "page",
            f"sum(rate({SERVED}[{silent}])) == 0\nand on () (hour() >= {begin} and hour() < {end})",
            "5m",
            "Nobody got a prediction, at an hour at which flights are always asked for",
            f"{{{{ $value }}}} predictions a second in {silent}; from {begin} to {end} h UTC no "
            "half hour of the year is without",
        ),
    ]


def _processes() -> list[Alert]:
    """What may not happen at all."""
    return [
        Alert(
            "TargetDown",
            "serving",
            "page",
            'up{job=~"proxy|server"} == 0\nor absent(up{job="proxy"})\nor absent(up{job="server"})',
            "5m",
            "{{ $labels.job }} does not say how it is: what is silent may be dead",
            "{{ $labels.job }} {{ $labels.instance }} was not read for 5m; what rests on it is "
            "silenced until it is back",
        ),
        Alert(
            "InvalidPredictions",
            "serving",
            "page",
            "sum(increase(flight_invalid_predictions_total[10m])) > 0",
            "0m",
            "The model gave what is no probability",
            "{{ $value | humanize }} requests within 10m, 0 are allowed",
        ),
        Alert(
            "LogLosesAnswers",
            "serving",
            "page",
            "sum(increase(flight_log_dropped[15m])) > 0",
            "0m",
            "Answers were given that the log does not hold, and never will",
            "{{ $value | humanize }} answers lost within 15m, 0 are allowed",
        ),
    ]


def _queues(slo: Objectives, serve: ServeConfig) -> list[Alert]:
    """What fills up before it hurts."""
    waiting = f"{slo.max_waiting_share * serve.max_waiting:g}"
    queued = f"{slo.max_waiting_share * serve.log_queue:.12g}"
    return [
        Alert(
            "LogFallsBehind",
            "serving",
            "ticket",
            f"flight_log_waiting > {queued}",
            "2m",
            "Answers come faster than the log takes them",
            f"{{{{ $value }}}} answers wait to be logged, {queued} are half of the room",
        ),
        Alert(
            "Saturated",
            "serving",
            "ticket",
            f"flight_waiting > {waiting}",
            "5m",
            "Requests queue for the online store",
            f"{{{{ $value }}}} requests wait, {waiting} of {serve.max_waiting} may for long",
        ),
    ]


def _inputs(slo: Objectives) -> list[Alert]:
    missing, stale = f"{slo.max_missing_share:g}", f"{slo.max_stale_share:g}"
    percent = "{{ $value | humanizePercentage }}"
    return [
        Alert(
            "MissingFeatures",
            "inputs",
            "page",
            f"{lacking_share('missing', '15m')} > {missing}",
            "5m",
            "The view {{ $labels.view }} has no values, and it always has",
            f"{percent} of rows lacked {{{{ $labels.view }}}} within 15m, {missing} is allowed",
        ),
        Alert(
            "StaleFeatures",
            "inputs",
            "page",
            f"{lacking_share('stale', '15m')} > {stale}",
            "5m",
            "The feed of {{ $labels.view }} is behind, and its values are withheld",
            f"{percent} of rows went without {{{{ $labels.view }}}}, {stale} is allowed",
        ),
    ]


def _outcomes(config: MonitorConfig) -> list[Alert]:
    """What follows from labels, where enough of them have come.

    A refit that is surely better pages: somebody loses and need not. That the level is off does
    not: half of the year it was, and mostly no training on what was known would have helped.
    """
    rule, margin = config.outcome, config.diagnosis.margin
    known = f"and on (instance) flight_monitor_coverage >= {rule.min_coverage:g}"
    return [
        _told(
            "RefitWins",
            "outcomes",
            SEVERITY["a refit wins"],
            f"flight_monitor_refit_gain < -{margin:g}\n"
            f"and on (instance) flight_monitor_refit_gain_high < 0\n{known}",
            "Users get worse predictions than the newest labels allow",
            f"a refit changes the log loss by {{{{ $value | humanize }}}} nats over "
            f"{config.diagnosis.gain_days} days, surely below 0; -{margin:g} is worth a page",
        ),
        _told(
            "ExcessLoss",
            "outcomes",
            SEVERITY["outcome"],
            f"flight_monitor_excess_loss > {rule.max_excess_loss:g}\n{known}",
            "The model loses more than it expects of itself",
            f"{{{{ $value | humanize }}}} nats over {rule.window_days} days, "
            f"{rule.max_excess_loss:g} allowed",
        ),
        _told(
            "OutcomeGap",
            "outcomes",
            SEVERITY["outcome"],
            f"abs(flight_monitor_outcome_gap) > {rule.max_gap:g}\n{known}",
            "Risks are too high or too low on the whole",
            f"mean outcome and mean risk are {{{{ $value | humanize }}}} apart over "
            f"{rule.window_days} days, {rule.max_gap:g} allowed",
        ),
        _told(
            "LabelsDisagree",
            "outcomes",
            SEVERITY["labels disagree with flags"],
            "flight_monitor_labels_disagreeing > 0",
            "Labels contradict the flags of late departures: the label feed, before the model",
            "in {{ $value }} weeks of a carrier, 0 are allowed",
        ),
    ]


def _compared(config: MonitorConfig) -> list[Alert]:
    """What the daily job found without labels, against training and against the data's rules."""
    return [
        _told(
            "SkewFound",
            "inputs",
            SEVERITY["skew"],
            "flight_monitor_skew_mismatches > 0",
            "What was served is not what training would have read",
            "{{ $value }} values differ, 0 are allowed",
        ),
        _told(
            "PredictionDrift",
            "inputs",
            SEVERITY["drift"],
            f"flight_monitor_prediction_psi > {config.prediction_alert:g}",
            "Predictions are spread otherwise than in training; look, nobody has lost yet",
            f"PSI {{{{ $value | humanize }}}}, a look is due above {config.prediction_alert:g}",
        ),
        _told(
            "InputDrift",
            "inputs",
            SEVERITY["drift"],
            f"flight_monitor_input_psi > {config.tripwire_alert:g}",
            "{{ $labels.column }} jumped, which hardly moves within a month: a broken feed first",
            f"PSI {{{{ $value | humanize }}}}, a look is due above {config.tripwire_alert:g}",
        ),
        _told(
            "QualityFailures",
            "inputs",
            SEVERITY["broken data"],
            "flight_monitor_quality_failures > 0",
            "Rows that were served break rules of the data",
            "{{ $value }} checks failed on this month's served rows, 0 should",
        ),
    ]


def _ages(config: MonitorConfig) -> list[Alert]:
    """What grows old, or comes late."""
    slo, rule = config.slo, config.outcome
    return [
        _told(
            "ModelTooOld",
            "monitoring",
            "ticket",
            f"flight_monitor_model_age_days > {slo.max_model_age_days:g}",
            "The champion has not seen the newest months",
            f"its training ended {{{{ $value | humanize }}}} days ago, "
            f"{slo.max_model_age_days:g} are usual at the most",
        ),
        _told(
            "LabelsLate",
            "monitoring",
            SEVERITY["labels late"],
            f"flight_monitor_labels_age_hours > {rule.max_labels_age_hours:g}",
            "No new outcomes have come: of them nothing can be said",
            f"the newest are {{{{ $value | humanize }}}} h old, {rule.max_labels_age_hours:g} "
            "at the most",
        ),
        _told(
            "LabelsIncomplete",
            "monitoring",
            SEVERITY["outcome not known"],
            f"flight_monitor_coverage < {rule.min_coverage:g}",
            "Too few predictions have their outcome: what is late is not a random part",
            f"{{{{ $value | humanizePercentage }}}} have, {rule.min_coverage:g} are needed",
        ),
    ]


def _watchers(slo: Objectives) -> list[Alert]:
    """Who has to live for the others to be able to speak."""
    job = f"{slo.max_job_age_hours * 3600:g}"
    return [
        _told(
            "MonitoringJobDead",
            "monitoring",
            "ticket",
            f"time() - flight_monitor_heartbeat_seconds > {job}",
            "The monitoring job has not run: drift and outcomes are of an older day",
            f"{{{{ $value | humanizeDuration }}}} ago, {slo.max_job_age_hours:g} h allowed",
        ),
        Alert(
            "SignalsMissing",
            "monitoring",
            "ticket",
            "absent(flight_monitor_heartbeat_seconds)",
            "5m",
            "Nobody says what the monitoring job found: no other alert of the model can fire",
            "the exporter is down, or the job never wrote its signals; nothing is known",
        ),
    ]


def _told(
    name: str, area: Area, severity: Severity, expr: str, summary: str, description: str
) -> Alert:
    """An alert on what the daily job has said: it was thought about for a day already."""
    return Alert(name, area, severity, expr, "0m", summary, description)


def configured() -> list[Alert]:
    """Every alert, as the configs are."""
    return alerts(load(MonitorConfig), load(ServeConfig))
