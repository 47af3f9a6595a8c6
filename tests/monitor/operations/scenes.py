"""What Prometheus reads in a sound service, and scenes in which one thing is otherwise.

Each names every alert that fires in it, so that a rule which fires too often fails as well. Numbers
are written out: who moves a limit has to say here what follows.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.shared.programs import locate_program
from tests.needs import skip

USERS = 'envoy_http_conn_manager_prefix="users"'
MINUTES = 60


def codes(code: int) -> str:
    return f'envoy_http_downstream_rq_xx{{{USERS},envoy_response_code_class="{code}"}}'


def within(ms: str) -> str:
    return f'envoy_http_downstream_rq_time_bucket{{{USERS},le="{ms}"}}'


def lacking(view: str, flag: str) -> str:
    return f'serve_features_total{{view="{view}",flag="{flag}"}}'


def told(name: str) -> str:
    return f"monitor_{name}"


SLOW = f"envoy_http_downstream_rq_time_count{{{USERS}}}"
PROXY, SERVER, MONITOR = (f'up{{job="{job}"}}' for job in ("proxy", "server", "monitor"))
PSI = told('input_psi{column="distance"}')


def each(minute: float) -> str:
    """A counter that grows by so much a minute."""
    return f"0+{minute}x{{minutes}}"


def at(value: float) -> str:
    """A number that stays."""
    return f"{value}x{{minutes}}"


SOUND = {
    codes(2): each(10),
    codes(4): each(1),
    codes(5): at(0),
    within("100"): each(11),
    SLOW: each(11),
    PROXY: at(1),
    SERVER: at(1),
    MONITOR: at(1),
    "serve_invalid_predictions_total": at(0),
    "serve_log_dropped": at(0),
    "serve_log_waiting": at(20),
    "serve_waiting": at(1),
    "serve_risk_count": each(10),
    lacking("aircraft", "missing"): each(4.7),
    lacking("weather", "missing"): at(0),
    lacking("weather", "stale"): at(0),
    told("heartbeat_seconds"): at(0),
    told("coverage"): at(0.99),
    told("due_days"): at(14),
    told("excess_loss"): at(0.001),
    told("outcome_gap"): at(0.01),
    told("refit_gain"): at(-0.002),
    told("refit_gain_high"): at(0.001),
    told("prediction_psi"): at(0.04),
    PSI: at(0.01),
    told("labels_disagreeing"): at(0),
    told("skew_mismatches"): at(0),
    told("quality_failures"): at(0),
    told("model_age_days"): at(31),
    told("labels_age_hours"): at(10),
}


@dataclass(frozen=True)
class Scene:
    """What is otherwise (None: not there), and every alert that fires a while later."""

    about: str
    otherwise: dict[str, str | None]
    fires: set[str] = field(default_factory=set)
    minute: int = 30
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.about}"

    def test(self) -> dict[str, object]:
        """As promtool reads it: the firing alerts at that minute, and no other."""
        series = {**SOUND, **self.otherwise}
        given = [
            {"series": name, "values": values.format(minutes=self.minute + 1)}
            for name, values in series.items()
            if values is not None
        ]
        query = 'count by (alertname) (ALERTS{alertstate="firing"})'
        samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(self.fires)]
        asked = {"expr": query, "eval_time": f"{self.minute}m", "exp_samples": samples}
        return {"interval": "1m", "input_series": given, "promql_expr_test": [asked]}


FAST, SLOWLY = "ErrorBudgetBurnsFast", "ErrorBudgetBurnsSlowly"
_SCENES: dict[str, list[Scene]] = {
    FAST: [
        Scene("a tenth of requests fails", {codes(5): each(1.2)}, {FAST, SLOWLY}),
        Scene("one request in twenty fails", {codes(5): each(0.55)}, {SLOWLY}),
        Scene("three requests fail early, of few", {codes(5): "0x20 3x40", codes(2): each(0.2)}),
        Scene("they failed, and do no more", {codes(5): "0+2x20 40x60"}, minute=65),
    ],
    SLOWLY: [
        Scene("four in a hundred fail", {codes(5): each(0.46)}, {SLOWLY}, 90),
        Scene("two in a hundred fail", {codes(5): each(0.2)}, minute=90),
    ],
    "SlowAnswers": [
        Scene("one in twenty is slow", {within("100"): each(10.5)}, {"SlowAnswers"}),
        Scene("one in two hundred is slow", {within("100"): each(10.95)}),
    ],
    "NoPredictions": [
        Scene("none since ten in the morning", {codes(2): "0+10x600 6000x60"}, set(), 645),
        Scene("none since one at night", {codes(2): "0+10x60 600x200"}, minute=200),
    ],
    "TargetDown": [
        Scene("a server is not read", {SERVER: "1x20 0x20"}, {"TargetDown"}),
        Scene("the proxy is unknown", {PROXY: None}, {"TargetDown"}),
        Scene("a server starts again", {SERVER: "1x25 0x2 1x20"}),
    ],
    "InvalidPredictions": [
        Scene("one", {"serve_invalid_predictions_total": "0x25 1x20"}, {"InvalidPredictions"}),
        Scene("one, long ago", {"serve_invalid_predictions_total": "0x2 1x50"}),
    ],
    "LogLosesAnswers": [
        Scene("some are lost", {"serve_log_dropped": "0x25 40x20"}, {"LogLosesAnswers"}),
        Scene("some were lost long ago", {"serve_log_dropped": "0x2 40x50"}),
    ],
    "LogFallsBehind": [
        Scene("more than half of the room", {"serve_log_waiting": at(31_000)}, {"LogFallsBehind"}),
        Scene("less than half of it", {"serve_log_waiting": at(29_000)}),
    ],
    "Saturated": [
        Scene("more than half of the queue", {"serve_waiting": at(33)}, {"Saturated"}),
        Scene("half of it", {"serve_waiting": at(32)}),
        Scene("more, for three minutes", {"serve_waiting": "1x26 60x10"}),
    ],
    "MissingFeatures": [
        Scene(
            "weather is missing for a tenth",
            {lacking("weather", "missing"): each(1)},
            {"MissingFeatures"},
        ),
        Scene("weather is missing for a hundredth", {lacking("weather", "missing"): each(0.1)}),
        Scene("no aircraft is known", {lacking("aircraft", "missing"): each(10)}),
    ],
    "StaleFeatures": [
        Scene(
            "weather is withheld for half",
            {lacking("weather", "stale"): each(5)},
            {"StaleFeatures"},
        ),
        Scene("weather is withheld for a hundredth", {lacking("weather", "stale"): each(0.1)}),
    ],
    "RefitWins": [
        Scene(
            "surely, and by enough",
            {told("refit_gain"): at(-0.02), told("refit_gain_high"): at(-0.01)},
            {"RefitWins"},
        ),
        Scene("by enough, not surely", {told("refit_gain"): at(-0.02)}),
        Scene("surely, by little", {told("refit_gain_high"): at(-0.001)}),
        Scene(
            "too few labels",
            {
                told("refit_gain"): at(-0.02),
                told("refit_gain_high"): at(-0.01),
                told("coverage"): at(0.9),
            },
            {"LabelsIncomplete"},
        ),
    ],
    "ExcessLoss": [
        Scene("above the limit", {told("excess_loss"): at(0.025)}, {"ExcessLoss"}),
        Scene("below the limit", {told("excess_loss"): at(0.015)}),
        Scene("nobody knows", {told("excess_loss"): None}),
        Scene(
            "above it, with few labels",
            {told("excess_loss"): at(0.025), told("coverage"): at(0.9)},
            {"LabelsIncomplete"},
        ),
        Scene(
            "above it, on few days",
            {told("excess_loss"): at(0.025), told("due_days"): at(9)},
            {"LabelsIncomplete"},
        ),
    ],
    "OutcomeGap": [
        Scene("risks are too high", {told("outcome_gap"): at(-0.04)}, {"OutcomeGap"}),
        Scene("risks are too low", {told("outcome_gap"): at(0.04)}, {"OutcomeGap"}),
        Scene("a little too low", {told("outcome_gap"): at(0.02)}),
    ],
    "LabelsDisagree": [
        Scene("a week of a carrier", {told("labels_disagreeing"): at(1)}, {"LabelsDisagree"}),
        Scene("none does", {told("labels_disagreeing"): at(0)}),
    ],
    "SkewFound": [
        Scene("one value differs", {told("skew_mismatches"): at(1)}, {"SkewFound"}),
        Scene("none does", {told("skew_mismatches"): at(0)}),
    ],
    "PredictionDrift": [
        Scene("far", {told("prediction_psi"): at(0.25)}, {"PredictionDrift"}),
        Scene("a little", {told("prediction_psi"): at(0.15)}),
    ],
    "InputDrift": [
        Scene("a tripwire jumps", {PSI: at(0.5)}, {"InputDrift"}),
        Scene("a tripwire moves", {PSI: at(0.15)}),
    ],
    "QualityFailures": [
        Scene("two checks fail", {told("quality_failures"): at(2)}, {"QualityFailures"}),
        Scene("nobody knows", {told("quality_failures"): None}),
    ],
    "ModelTooOld": [
        Scene("80 days", {told("model_age_days"): at(80)}, {"ModelTooOld"}),
        Scene("70 days", {told("model_age_days"): at(70)}),
    ],
    "LabelsLate": [
        Scene("since yesterday morning", {told("labels_age_hours"): at(40)}, {"LabelsLate"}),
        Scene("a day", {told("labels_age_hours"): at(25)}),
        Scene(
            "none has ever come",
            {told("labels_age_hours"): None, told("coverage"): at(0)},
            {"LabelsLate", "LabelsIncomplete"},
        ),
        Scene(
            "none is due yet",
            {told("labels_age_hours"): None, told("coverage"): at(0), told("due_days"): at(0)},
            {"LabelsIncomplete"},
        ),
    ],
    "LabelsIncomplete": [
        Scene("nine in ten", {told("coverage"): at(0.9)}, {"LabelsIncomplete"}),
        Scene("96 in a hundred", {told("coverage"): at(0.96)}),
        Scene("nine days", {told("due_days"): at(9)}, {"LabelsIncomplete"}),
    ],
    "MonitoringJobDead": [
        Scene("27 hours ago", {told("heartbeat_seconds"): at(-96_000)}, {"MonitoringJobDead"}),
        Scene("25 hours ago", {told("heartbeat_seconds"): at(-88_000)}),
    ],
    "SignalsMissing": [
        Scene(
            "the exporter is dead",
            {name: None for name in SOUND if name.startswith("monitor_")} | {MONITOR: at(0)},
            {"SignalsMissing"},
        ),
        Scene("for three minutes", {told("heartbeat_seconds"): "0x24 _x2 0x20"}),
    ],
}
_SCENES["NoPredictions"][0].fires.add("NoPredictions")
SCENES = [
    Scene(s.about, s.otherwise, s.fires, s.minute, name)
    for name, some in _SCENES.items()
    for s in some
]
ALONE = Scene(
    "everything drifts as far as it can",
    {told("prediction_psi"): at(9), PSI: at(9)},
    {"PredictionDrift", "InputDrift"},
    name="drift",
)


def needs(program: str) -> str:
    """Where a program is; the test is skipped where it is not."""
    if (path := locate_program(program)) is None:
        skip(program)
    return path


def promtool(folder: Path, rules: str, *tests: dict[str, object]) -> tuple[bool, str]:
    """Whether rules pass tests, and what promtool says."""
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    told = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": list(tests)}
    (folder / "tests.yml").write_text(json.dumps(told), encoding="utf-8")
    done = subprocess.run(
        [needs("promtool"), "test", "rules", "tests.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr
