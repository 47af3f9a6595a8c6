"""The checks of the judgement of a column's drift."""

from exercises.workbench.checking import ROOT, check, expect
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.yaml_files import parse

CONFIG = MonitorConfig.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))
)
"""A warning from 0.1 on, an alert from 0.2 on, if two looks in a row have it."""


def _status(subject, looks: list[float], column: str = "distance", factor: float = 1.0) -> str:
    return str(subject.judge_column(column, 0.0, looks, CONFIG, factor).status)


@check(3)
def test_one_look_beyond_the_limit_only_warns(subject):
    """A storm in one window, and none before."""
    turns = [("alert", "one stormy window: drift counts only when it lasts")]
    expect(_status(subject, [0.02, 0.03, 0.4]), "warn", turns)


@check(2)
def test_drift_that_lasts_alerts(subject):
    """Two looks in a row, the limit itself included."""
    expect([_status(subject, looks) for looks in ([0.02, 0.3, 0.4], [0.2, 0.2])], ["alert"] * 2)


@check(2)
def test_drift_that_is_over_is_over(subject):
    """Two looks of before, and a quiet one now."""
    expect(_status(subject, [0.4, 0.5, 0.02]), "quiet")


@check(2)
def test_too_few_looks_cannot_last(subject):
    """One look is there, two are asked for."""
    seen = subject.judge_column("distance", 0.0, [0.5], CONFIG)
    expect([seen.status, seen.lasting], ["warn", None])


@check(2)
def test_what_follows_the_season_is_only_reported(subject):
    """Weather and rolling means move in any year."""
    columns = ("wind_speed", "origin_late_24h")
    expect([_status(subject, [0.9, 0.9], column) for column in columns], ["report"] * 2)


@check(1, hidden=True)
def test_the_factor_of_the_family_raises_the_limits(subject):
    """Many columns at once."""
    expect([_status(subject, [0.3, 0.3], factor=f) for f in (1.0, 2.0)], ["alert", "warn"])


@check(1, hidden=True)
def test_without_a_trailing_look_the_whole_window_is_one(subject):
    """The first days of a month."""
    seen = subject.judge_column("risk", 0.25, [], CONFIG)
    expect([seen.status, seen.looks], ["alert", []])
