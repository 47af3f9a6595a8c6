"""The year's alerts are graded by the words of ADR 11, and what was found is what they say."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.alerts import Span, grade, missed, spans
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor", "alert-fatigue")

KEPT = "benchmarks/alerts.json"
FOUND = json.loads(tree.read(KEPT)) if KEPT in tree.files() else None


def day(text):
    return pd.Timestamp(f"2013-{text}")


def span(text):
    """As "06-03..06-30"."""
    return Span(*map(day, text.split("..")))


def shown(found):
    return [f"{one.first:%m-%d}..{one.last:%m-%d}" for one in found]


LOSS = span("06-03..06-30")


@pytest.mark.parametrize(
    ("mondays", "losses"),
    [
        ([], []),
        (["06-03"], ["06-03..06-09"]),
        (["06-03", "06-10"], ["06-03..06-16"]),
        (["06-03", "06-17"], ["06-03..06-23"]),  # one week between them
        (["06-03", "06-24"], ["06-03..06-09", "06-24..06-30"]),  # two
        (["06-03", "06-10", "06-17", "07-08"], ["06-03..06-23", "07-08..07-14"]),
    ],
)
def test_lost_weeks_with_at_most_one_other_between_them_are_one_loss(mondays, losses):
    assert shown(spans([day(monday) for monday in mondays], 8, 7)) == losses


@pytest.mark.parametrize(
    ("checks", "alerts"),
    [
        ([], []),
        (["06-03"], ["06-03..06-03"]),
        (["06-03", "06-10"], ["06-03..06-10"]),
        (["06-03", "06-11"], ["06-03..06-03", "06-11..06-11"]),
        (["06-03", "06-04", "06-10", "06-17"], ["06-03..06-17"]),
    ],
)
def test_checks_that_fire_within_a_week_are_one_alert(checks, alerts):
    assert shown(spans([day(check) for check in checks], 7)) == alerts


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        ("06-03..06-03", "right"),
        ("06-24..06-24", "right"),  # 21 days after
        ("06-25..06-25", "late"),
        ("07-14..07-14", "late"),  # two weeks past the end
        ("07-15..07-15", "false"),
        ("05-20..06-03", "early"),  # 14 days before, and fires still
        ("05-20..06-02", "false"),  # over before the loss
        ("05-19..06-30", "false"),  # too early
        ("05-27..06-10", "early"),
        ("08-01..08-20", "false"),
    ],
)
def test_an_alert_is_graded_by_when_it_begins(alert, said):
    assert grade(span(alert), [LOSS]) == said


def test_an_alert_on_a_short_loss_is_right_until_two_weeks_past_its_end():
    short = span("06-03..06-09")
    assert grade(span("06-23..06-23"), [short]) == "right"
    assert grade(span("06-24..06-24"), [short]) == "false"


def test_an_alert_may_be_right_by_a_later_loss():
    assert grade(span("09-10..09-10"), [LOSS, span("09-02..09-15")]) == "right"


def test_where_nothing_was_lost_every_alert_is_false():
    assert grade(LOSS, []) == "false"


@pytest.mark.parametrize(
    ("alerts", "found"),
    [
        ([], ["2013-06-03..2013-06-30"]),
        (["06-10..06-10"], []),
        (["07-14..07-20"], []),
        (["07-15..07-20"], ["2013-06-03..2013-06-30"]),
        (["05-20..06-03"], []),
        (["05-20..06-02"], ["2013-06-03..2013-06-30"]),
    ],
)
def test_a_loss_is_missed_if_no_alert_meets_it_in_time(alerts, found):
    assert missed([span(alert) for alert in alerts], [LOSS]) == found


def test_the_frozen_grades_are_those_of_the_frozen_spans():
    """Where the study was kept."""
    for rule in (FOUND or {"rules": {}})["rules"].values():
        losses = [Span(*map(pd.Timestamp, loss.split(".."))) for loss in FOUND["losses"]]
        for text, said in rule["alerts"].items():
            assert grade(Span(*map(pd.Timestamp, text.split(".."))), losses) == said
        for kind in ("right", "early", "late", "false"):
            assert rule[kind] == list(rule["alerts"].values()).count(kind)


def test_the_rule_that_pages_begins_in_no_quiet_month():
    """Where the study was kept."""
    assert not FOUND or FOUND["rules"]["refit"]["begun_in_quiet_months"] == 0


def test_the_study_is_kept_or_is_not_there_at_all():
    assert (FOUND is not None) == (Path(tree.ROOT / KEPT).is_file() and KEPT in tree.files())
