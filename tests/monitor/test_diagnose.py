"""The first suspect wins, and what to do follows from what a refit would have gained."""

import json
from collections.abc import Callable

import pandas as pd
import pytest

from pipeline.features.definitions import ROLLING
from pipeline.monitor import diagnose as monitor
from pipeline.monitor import report
from pipeline.monitor.diagnose import SLOW, MonthDiagnosis, triage
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.shift_decomposition import Decomposition, Part
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.contracts import MONITOR, Kind, at_most, read_record
from pipeline.shared.errors import WrongMonth
from tests.monitor import months

pytestmark = pytest.mark.answer("which-drift")

LIMITS = load(MonitorConfig).diagnosis
DETAIL = "95.0% of rows without, 5.0% in training"
BROKEN = [at_most(Kind.DATA, "missing weather", 0.9, 0.15, DETAIL)]
SKEW = {"humid": 12, "distance": 1_400}


def part(point, width=0.005):
    return Part(point=point, low=point - width, high=point + width)


def taken(concept=0.0, covariate=0.0, separation=0.5, identifiable=True, width=0.005):
    return Decomposition(
        inputs="all inputs",
        change=part(concept + covariate),
        covariate=part(covariate),
        concept=part(concept, width),
        separation=separation,
        effective_reference=0.8 if identifiable else 0.12,
        effective_window=0.7,
        identifiable=identifiable,
    )


def gain(point, width=0.005):
    ends = {"point": point, "low": point - width, "high": point + width}
    return RefitGain(**ends, first="2013-04-17", last="2013-04-30", days=14, rows=13_000)


HELPS, HURTS = gain(-0.03), gain(0.01)


def asked(broken=(), skew=None, parts=None, gained=None):
    return triage(list(broken), skew or {}, parts, gained, LIMITS)


@pytest.mark.answer("silent-degradation")
def test_broken_data_comes_before_everything_else():
    cause, act, reasons = asked(BROKEN, SKEW, taken(concept=0.1), HELPS)
    assert (cause, act) == ("broken data", "fix the feed")
    assert reasons == ["missing weather: 0.9, limit 0.15 (95.0% of rows without, 5.0% in training)"]


@pytest.mark.answer("silent-degradation")
def test_skew_comes_before_any_shift_and_names_the_worst_first():
    cause, act, reasons = asked((), SKEW, taken(concept=0.1, separation=0.9), HELPS)
    assert (cause, act) == ("skew", "fix the feed")
    assert reasons == [
        "distance differs from what was known in 1,400 rows",
        "humid differs from what was known in 12 rows",
    ]


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        (taken(), "no shift"),
        (taken(covariate=0.05), "no shift"),  # the inputs themselves are alike
        (taken(separation=0.9), "covariate shift"),
        (taken(concept=0.05), "concept shift"),
        (taken(concept=-0.05), "concept shift"),
        (taken(concept=0.05, separation=0.9), "both shifts"),
        (taken(concept=0.05, width=0.06), "no shift"),
        (taken(concept=0.009), "no shift"),
        (taken(concept=0.5, separation=0.99, identifiable=False), "not identifiable"),
    ],
)
def test_the_cause_is_what_surely_moved(parts, cause):
    assert asked(parts=parts, gained=HURTS)[0] == cause


def test_inputs_have_moved_from_the_configured_separation_on():
    least = LIMITS.min_separation
    assert asked(parts=taken(separation=least))[0] == "covariate shift"
    assert asked(parts=taken(separation=least - 1e-4))[0] == "no shift"


@pytest.mark.parametrize("parts", [taken(), taken(concept=0.05), taken(identifiable=False)])
def test_a_refit_that_surely_helps_is_what_to_do_whatever_the_cause(parts):
    _, act, reasons = asked(parts=parts, gained=HELPS)
    assert act == "retrain"
    assert "-0.0300 [-0.0350, -0.0250] over 14 days: it helps" in reasons[1]


@pytest.mark.parametrize(
    ("parts", "act"),
    [
        (taken(concept=0.05), "escalate"),
        (taken(concept=0.05, separation=0.9), "escalate"),
        (taken(concept=-0.05), "hold"),  # easier than expected
        (taken(covariate=0.3, separation=0.9), "hold"),
        (taken(concept=0.05, identifiable=False), "hold"),
        (taken(), "hold"),
    ],
)
@pytest.mark.parametrize("gained", [HURTS, gain(-0.03, width=0.04), gain(-0.008)])
@pytest.mark.answer("silent-degradation")
def test_a_relation_that_moved_and_no_refit_mends_is_for_a_person(parts, act, gained):
    assert asked(parts=parts, gained=gained)[1] == act


def test_without_enough_labels_nothing_is_done():
    _, act, reasons = asked(parts=taken(concept=0.05), gained=None)
    assert act == "hold"
    assert "too few days have labels" in reasons[1]


def test_windows_that_share_too_little_are_told_so_with_the_numbers():
    reason = asked(parts=taken(identifiable=False, separation=0.992))[2][0]
    assert "0.12 of the rows count" in reason
    assert "ROC AUC 0.992" in reason


def test_the_slow_inputs_are_those_over_a_week_and_more():
    assert "route_late_28d" in SLOW
    assert "origin_late_7d" in SLOW
    days = [rolling.hours / 24 for rolling in ROLLING if rolling.name in SLOW]
    assert min(days) == 7
    assert not [name for name in SLOW if name.endswith("h")]


# On a project.


def the_finding(month="2013-03"):
    return read_record(MonthDiagnosis, MONITOR / f"diagnosis-{month}.json", "monitor")


@pytest.mark.long
@pytest.mark.slow
def test_a_quiet_month_is_held_with_the_evidence_of_each_step(registered):
    months.arrive()
    line = monitor.diagnose("2013-03")
    found = the_finding()
    assert line.startswith("2013-03: no shift -> hold: no relation surely moved")
    assert (found.cause, found.act, found.rows, found.logged) == ("no shift", "hold", 1_860, 0)
    assert [p.inputs for p in found.decompositions] == ["all inputs", "without the slow inputs"]
    assert (found.gain.first, found.gain.last) == ("2013-03-18", "2013-03-31")
    assert all(check.passed for check in found.quality)
    page = (MONITOR / "diagnosis-2013-03.html").read_text()
    assert "<title>2013-03: no shift, hold</title>" in page
    assert str(found.decompositions[1].concept) in page
    assert monitor.diagnose("2013-03") == line
    assert the_finding() == found


@pytest.mark.long
@pytest.mark.slow
def test_without_a_month_it_is_the_one_that_was_monitored_last(registered):
    months.arrive()
    assert report.last_month() is None
    report.run("2013-03")
    line = monitor.diagnose()
    assert line.startswith("2013-03: ")
    assert line.endswith(" (2013-03 was monitored last)")
    assert monitor.diagnose("2013-03") == line.removesuffix(" (2013-03 was monitored last)")
    report.FOUND["month"].write_text("{")
    assert report.last_month() is None


@pytest.mark.long
@pytest.mark.slow
def test_labels_of_another_relation_are_a_concept_shift_that_a_refit_mends(
    registered, record_property: Callable[[str, object], None]
):
    rows = months.arrive()
    march = rows["month"] == 3
    months.told(rows.assign(late=rows["late"].where(~march, 1 - rows["late"])))
    monitor.diagnose("2013-03")
    found = the_finding()
    assert (found.cause, found.act) == ("concept shift", "retrain")
    assert found.decompositions[0].concept.low > 0.2
    concept = found.decompositions[0].concept
    record_property(
        "log loss by a concept shift that was planted, found by the diagnosis", concept.point
    )
    record_property("the lower end of its interval", concept.low)


@pytest.mark.slow
@pytest.mark.answer("silent-degradation")
def test_a_log_that_differs_is_skew_and_no_shift_is_looked_for(
    registered, record_property: Callable[[str, object], None]
):
    months.arrive()
    rows = months.march()
    months.log(rows.assign(humid=rows["humid"].to_numpy()[::-1]), risk=[0.01] * len(rows))
    assert "skew -> fix the feed" in monitor.diagnose("2013-03")
    found = the_finding()
    assert set(found.skew) == {"humid"}
    assert (found.decompositions, found.gain, found.logged) == ([], None, 1_860)
    assert "Not asked" in (MONITOR / "diagnosis-2013-03.html").read_text()
    told = f"of {found.logged:,} answers whose humidity differs from what was known: skew"
    record_property(told, found.skew["humid"])


@pytest.mark.slow
@pytest.mark.answer("silent-degradation")
def test_a_log_that_cannot_be_is_broken_data(
    registered, record_property: Callable[[str, object], None]
):
    months.arrive()
    rows = months.march()
    months.log(rows.assign(system_dep_late_3h=rows["system_dep_late_3h"] * 100))
    assert "broken data -> fix the feed: impossible values" in monitor.diagnose("2013-03")
    assert json.loads((MONITOR / "diagnosis-2013-03.json").read_text())["gain"] is None
    checks = the_finding().quality
    (broken,) = [check.found for check in checks if check.name == "impossible values"]
    assert broken > 0
    record_property("impossible values in a log that was broken: broken data", broken)


@pytest.mark.slow
def test_a_month_of_training_is_refused_and_nothing_is_written(registered):
    with pytest.raises(WrongMonth, match="make monitor MONTH=2013-03"):
        monitor.diagnose("2013-02")
    assert not MONITOR.exists()


def test_the_months_of_a_finding_are_told_as_months():
    assert pd.Period(months.MARCH.last[:7]).days_in_month == 31
