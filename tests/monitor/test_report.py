"""A month in three layers: who is called for what."""

from dataclasses import replace

import pytest

from pipeline.monitor.performance.label_checks import Agreement
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.report import told_of
from pipeline.shared.contracts import Kind, at_most
from tests.monitor import months

pytestmark = [pytest.mark.answer("what-to-monitor"), pytest.mark.slow]


@pytest.fixture
def quiet(registered):
    """March as it was found, looked at once: nothing happened in it."""
    return months.seen()


def told(month):
    return [(alert.layer, alert.name, alert.severity) for alert in month.alerts]


# Who is called.


def test_nobody_is_called_for_a_quiet_month(quiet):
    assert told(quiet) == []


def test_drift_however_far_is_a_ticket_and_never_a_page(quiet):
    moved = [
        column.model_copy(update={"status": "alert", "psi": 99.0})
        if column.column in ("risk", "distance")
        else column
        for column in quiet.drift.columns
    ]
    found = replace(quiet, drift=quiet.drift.model_copy(update={"columns": moved}))
    assert sorted(told(found)) == [
        ("inputs", "drift of distance", "ticket"),
        ("predictions", "drift of risk", "ticket"),
    ]
    assert "says nothing of the outcome" in found.alerts[0].reason


def test_broken_data_and_skew_call_somebody_with_the_numbers(quiet):
    broken = at_most(Kind.DATA, "missing weather", 0.9, 0.15, "95.0% of rows without")
    found = replace(quiet, checks=[*quiet.checks, broken], skew={"humid": 1_200})
    assert told(found) == [("inputs", "broken data", "page"), ("inputs", "skew", "page")]
    assert [a.reason for a in found.alerts] == [
        "missing weather: 0.9, limit 0.15 (95.0% of rows without)",
        "not what was known: humid in 1,200 rows",
    ]


@pytest.mark.parametrize(
    ("point", "high", "called"),
    [(-0.03, -0.01, True), (-0.03, 0.001, False), (-0.005, -0.001, False)],
)
def test_a_refit_calls_somebody_only_if_it_wins(quiet, point, high, called):
    gain = RefitGain(point=point, low=-0.04, high=high, first="a", last="b", days=14, rows=1)
    found = told(replace(quiet, gain=gain))
    assert found == [("outcomes", "a refit wins", "page")] * called


def of_outcome(month, **changes):
    return replace(month, outcome=month.outcome.model_copy(update=changes))


@pytest.mark.parametrize(
    ("status", "name"), [("alert", "outcome"), ("not known", "outcome not known")]
)
def test_a_level_that_is_off_or_not_known_is_a_ticket(quiet, status, name):
    alert = quiet.outcome.alert.model_copy(update={"status": status, "reasons": ["so"]})
    assert told(of_outcome(quiet, alert=alert)) == [("outcomes", name, "ticket")]


@pytest.mark.parametrize(
    ("age", "reason"), [(240.0, "the newest are 240 h old"), (None, "none has come")]
)
def test_labels_that_are_late_are_a_ticket_that_says_how_late(quiet, age, reason):
    feed = quiet.outcome.feed.model_copy(update={"stale": True, "labels_age_hours": age})
    found = of_outcome(quiet, feed=feed)
    assert told(found) == [("outcomes", "labels late", "ticket")]
    assert found.alerts[0].reason == reason


def test_labels_at_odds_with_the_flags_call_somebody_by_carrier_and_week(quiet):
    week = Agreement(
        carrier="UA",
        week="2013-03-04",
        flights=400,
        agreement=0.17,
        balanced=0.2,
        trusted=False,
    )
    found = of_outcome(quiet, agreement=[week])
    assert told(found) == [("outcomes", "labels disagree with flags", "page")]
    assert found.alerts[0].reason == "UA 2013-03-04 (0.17)"


def test_prometheus_is_told_what_the_month_found(quiet):
    found = told_of(replace(quiet, skew={"humid": 3, "distance": 4}))
    assert (found.version, found.skew_mismatches, found.quality_failures) == ("1", 7, 0)
    assert found.at == months.COMPLETE
    assert found.model_age_days == pytest.approx(31 + 10 / 24)
    assert found.refit_gain == quiet.gain.point
    assert found.excess_loss == quiet.outcome.alert.figures.excess
    (risk,) = [c for c in quiet.drift.columns if c.column == "risk"]
    assert found.prediction_psi == risk.looks[-1]
    assert "distance" in found.input_psi
    assert "humid" not in found.input_psi
    assert told_of(replace(quiet, gain=None)).refit_gain is None
