"""A month in three layers: who is called for what."""

from dataclasses import replace

import pytest

from pipeline.monitor.operations.alerts import alerts
from pipeline.monitor.performance.label_checks import Agreement
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.report import signals_of
from pipeline.shared.contracts import Kind, at_most
from tests.monitor import months

pytestmark = [pytest.mark.answer("what-to-monitor"), pytest.mark.slow]


@pytest.fixture
def quiet(registered):
    """March as it was found, looked at once: nothing happened in it."""
    return months.seen()


def told(month):
    return [(alert.area, alert.name, alert.severity) for alert in month.alerts]


# Who is called.


def test_nobody_is_called_for_a_quiet_month(quiet):
    assert told(quiet) == []


def test_drift_however_far_is_a_ticket_and_never_a_page(quiet):
    moved = [
        column.model_copy(update={"lasting": 99.0})
        if column.column in ("risk", "distance")
        else column
        for column in quiet.drift.columns
    ]
    found = replace(quiet, drift=quiet.drift.model_copy(update={"columns": moved}))
    assert told(found) == [
        ("inputs", "PredictionDrift", "ticket"),
        ("inputs", "InputDrift", "ticket"),
    ]
    assert [a.reason for a in found.alerts] == [
        "prediction_psi 99 >= 0.2",
        "input_psi of distance 99 >= 0.2",
    ]
    assert "nobody has lost yet" in found.alerts[0].summary


def test_drift_that_has_not_lasted_is_no_alert(quiet):
    moved = [
        column.model_copy(update={"status": "warn", "looks": [0.0, 99.0], "lasting": 0.0})
        for column in quiet.drift.columns
    ]
    assert told(replace(quiet, drift=quiet.drift.model_copy(update={"columns": moved}))) == []


def test_broken_data_and_skew_call_somebody_with_the_numbers(quiet):
    broken = at_most(Kind.DATA, "missing weather", 0.9, 0.15, "95.0% of rows without")
    found = replace(quiet, checks=[*quiet.checks, broken], skew={"humid": 1_200})
    assert told(found) == [
        ("inputs", "SkewFound", "page"),
        ("inputs", "QualityFailures", "page"),
    ]
    assert [a.reason for a in found.alerts] == [
        "not what was known: humid in 1,200 rows",
        "missing weather: 0.9, limit 0.15 (95.0% of rows without)",
    ]


def test_of_many_failed_checks_three_are_named(quiet):
    broken = [at_most(Kind.DATA, f"missing {n}", 0.9, 0.15, "") for n in range(5)]
    (alert,) = replace(quiet, checks=broken).alerts
    assert alert.reason.count("limit 0.15") == 3
    assert alert.reason.endswith("; and 2 more checks")


def test_details_are_of_alerts_that_there_are(quiet):
    assert set(quiet.details()) <= {alert.name for alert in alerts()}


@pytest.mark.parametrize(
    ("point", "high", "called"),
    [(-0.03, -0.01, True), (-0.03, 0.001, False), (-0.005, -0.001, False)],
)
def test_a_refit_calls_somebody_only_if_it_wins(quiet, point, high, called):
    gain = RefitGain(point=point, low=-0.04, high=high, first="a", last="b", days=14, rows=1)
    found = told(replace(quiet, gain=gain))
    assert found == [("outcomes", "RefitWins", "page")] * called


def of_outcome(month, **changes):
    return replace(month, outcome=month.outcome.model_copy(update=changes))


@pytest.mark.parametrize(
    ("figures", "days", "names"),
    [
        ({"excess": 0.025}, 14, ["ExcessLoss"]),
        ({"gap": -0.04}, 14, ["OutcomeGap"]),
        ({"excess": 0.025, "gap": 0.04}, 14, ["ExcessLoss", "OutcomeGap"]),
        ({"excess": 0.025, "coverage": 0.9}, 14, ["LabelsIncomplete"]),
        ({"excess": 0.025}, 9, ["LabelsIncomplete"]),
    ],
)
def test_a_level_that_is_off_or_not_known_is_a_ticket(quiet, figures, days, names):
    alert = quiet.outcome.alert
    changed = {"figures": alert.figures.model_copy(update=figures), "days": days}
    found = told(of_outcome(quiet, alert=alert.model_copy(update=changed)))
    assert [(name, severity) for _, name, severity in found] == [(n, "ticket") for n in names]


def test_labels_that_are_late_are_a_ticket_that_says_how_late(quiet):
    feed = quiet.outcome.feed.model_copy(update={"labels_age_hours": 240.0})
    found = of_outcome(quiet, feed=feed)
    assert told(found) == [("monitoring", "LabelsLate", "ticket")]
    assert found.alerts[0].reason == "labels_age_hours 240 > 36"


def test_labels_that_never_came_are_late_as_well(quiet):
    alert = quiet.outcome.alert
    figures = alert.figures.model_copy(update={"coverage": 0.0, "excess": None, "gap": None})
    feed = quiet.outcome.feed.model_copy(update={"labels_age_hours": None})
    found = of_outcome(quiet, feed=feed, alert=alert.model_copy(update={"figures": figures}))
    assert [a.name for a in found.alerts] == ["LabelsLate", "LabelsIncomplete"]
    assert {a.severity for a in found.alerts} == {"ticket"}


def test_labels_at_odds_with_the_flags_call_somebody_by_carrier_and_week(quiet):
    week = Agreement(
        group="UA",
        week="2013-03-04",
        rows=400,
        agreement=0.17,
        balanced=0.2,
        trusted=False,
    )
    found = of_outcome(quiet, agreement=[week])
    assert told(found) == [("outcomes", "LabelsDisagree", "page")]
    assert found.alerts[0].reason == "UA 2013-03-04 (0.17)"


def test_prometheus_is_told_what_the_month_found(quiet):
    found = signals_of(replace(quiet, skew={"humid": 3, "distance": 4}))
    assert (found.version, found.skew_mismatches, found.quality_failures) == ("1", 7, 0)
    assert found.at == months.COMPLETE
    assert found.model_age_days == pytest.approx(31 + 10 / 24)
    assert found.refit_gain == quiet.gain.point
    assert found.excess_loss == quiet.outcome.alert.figures.excess
    (risk,) = [c for c in quiet.drift.columns if c.column == "risk"]
    assert found.prediction_psi == risk.lasting
    assert found.due_days == 14
    assert "distance" in found.input_psi
    assert "humid" not in found.input_psi
    assert signals_of(replace(quiet, gain=None)).refit_gain is None
