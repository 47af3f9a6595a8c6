"""A month in three layers: who is called for what, what is written, and what an instant knows."""

import json
import re
from dataclasses import replace

import pytest

from pipeline import monitor
from pipeline.monitor.month import FOUND, PAGE, _inputs, _standing, told_of
from pipeline.monitor.operations import signals
from pipeline.monitor.outcomes.agreement import Agreement
from pipeline.monitor.outcomes.gain import Gain
from pipeline.shared.config import MonitorConfig, load
from pipeline.shared.contracts import MONITOR, at_most
from pipeline.shared.errors import DayUnknown, LabelsRefused, RegistryRefused, WrongMonth
from tests.monitor import months
from tests.shared import project

pytestmark = [pytest.mark.answer("what-to-monitor"), pytest.mark.slow]

JSON = [*(path for name, path in FOUND.items() if name != "month"), signals.SIGNALS]


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
    broken = at_most("missing weather", 0.9, 0.15, "95.0% of rows without")
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
    gain = Gain(point=point, low=-0.04, high=high, first="a", last="b", days=14, rows=1)
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


# What is written.


def contents():
    return {path.name: path.read_text() for path in JSON}


def test_a_month_is_written_for_machines_and_for_people_and_twice_is_the_same(registered):
    months.arrive()
    project.configure("monitor", html="full")
    line = monitor.run("2013-03")
    assert "page: none; ticket: none" in line
    before, page = contents(), PAGE.read_text()
    assert json.loads(before["alerts.json"]) == []
    assert json.loads(before["gain.json"])["days"] == 14
    led = links(page)
    assert {"drift.html", "docs/index.html"} <= led
    project.configure("monitor", html="none")
    assert monitor.run("2013-03") == line
    assert contents() == before
    assert not (MONITOR / "drift.html").exists()  # it might be of another month
    assert not (MONITOR / "docs").exists()
    assert links(PAGE.read_text()) == led - {"drift.html", "docs/index.html"}


def test_a_report_stands_until_something_changes_that_it_rests_on(registered):
    months.arrive()
    line = monitor.run("2013-03")
    before = {path: path.stat().st_mtime_ns for path in [*JSON, PAGE]}
    again = monitor.run("2013-03")
    assert again.endswith("stands: nothing that it rests on has changed")
    assert line.startswith(again.partition("; stands")[0])
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if after[path] != before[path]} == {signals.SIGNALS}
    project.configure("monitor", window={"first": "2013-03-02", "last": "2013-03-31"})
    assert _standing(_inputs(load(MonitorConfig).window, months.COMPLETE)) is None


def links(page):
    """Where a page leads to; every place is there."""
    found = set(re.findall(r'(?:href|src)="([^"]+)"', page))
    assert {to for to in found if not (MONITOR / to).is_file()} == set()
    assert {"month.png", *(path.name for path in JSON)} <= found | {"signals.json"}
    return found


@pytest.mark.nightly
def test_an_instant_within_a_month_knows_no_label_that_came_later(registered):
    rows = months.arrive()
    at = "2013-04-24T12:00Z"
    line = monitor.run("2013-04", at)
    before = contents()
    states = {day["date"]: day["state"] for day in json.loads(before["outcome.json"])["days"]}
    assert states["2013-04-23"] == "final"
    assert states["2013-04-24"] == "provisional"
    assert max(states) == "2013-04-24"
    assert json.loads(before["gain.json"])["last"] == "2013-04-23"
    assert "page: none" in line  # though the day is not over
    asked = (rows["month"] == 4) & (rows["predict_at"] <= at)
    assert f": {int(asked.sum()):,} flights;" in line
    late = (rows["month"] == 4) & (rows["day"] >= 24)
    assert late.sum() == 7 * 60
    told = rows.assign(
        late=rows["late"].where(~late, 1 - rows["late"]),
        dep_late=rows["dep_late"].where(rows["dep_late_known_at"] <= at, 1 - rows["dep_late"]),
    )
    months.told(told)
    assert monitor.run("2013-04", at) == line
    assert contents() == before


@pytest.mark.nightly
def test_a_log_that_is_broken_and_skewed_calls_somebody_by_name(registered):
    months.arrive()
    rows = months.march()
    months.log(rows.assign(system_dep_late_3h=rows["system_dep_late_3h"] * 100))
    line = monitor.run("2013-03")
    told = {(a["name"], a["severity"]) for a in json.loads(FOUND["alerts"].read_text())}
    pages = {name for name, severity in told if severity == "page"}
    assert {"broken data", "skew"} <= pages
    assert "broken data: impossible values: " in line
    assert "skew: not what was known: system_dep_late_3h in " in line
    assert json.loads(signals.SIGNALS.read_text())["quality_failures"] == 2
    assert "1,860 of them asked for online" in PAGE.read_text()


# Refusals.


def test_nothing_is_written_where_there_is_nobody_to_watch(started):
    with pytest.raises(RegistryRefused, match=r"`make run`"):
        monitor.run()
    assert not MONITOR.exists()


def test_a_month_of_training_is_refused_and_what_was_found_before_stays(registered):
    MONITOR.mkdir(parents=True)
    PAGE.write_text("before")
    with pytest.raises(WrongMonth, match="watch a later month"):
        monitor.run("2013-02")
    assert [path.name for path in MONITOR.iterdir()] == ["month.html"]
    assert PAGE.read_text() == "before"


@pytest.mark.parametrize("month", ["2013-03", "2013-04"])
def test_an_instant_before_the_months_first_flight_is_refused(registered, month):
    """In April though flights of the weeks before had been asked for."""
    months.arrive()
    with pytest.raises(DayUnknown, match=rf"asked for by 2013-.*the first is at {month}-01"):
        monitor.run(month, f"{month}-01T07:00Z")
    assert not MONITOR.exists()


def test_a_refusal_leaves_the_pages_for_people_as_they_were(registered):
    months.arrive()
    project.configure("monitor", html="full")
    rows = months.march()[:2]
    months.log(rows, request_id="twice", arm=["champion", "control"])
    with pytest.raises(LabelsRefused, match="was there before"):
        monitor.run("2013-03")
    assert not MONITOR.exists()
