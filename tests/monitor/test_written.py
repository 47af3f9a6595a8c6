"""What is written of a month, twice the same, and what an instant knows."""

import json
import re

import pytest

from pipeline.monitor import report as monitor
from pipeline.monitor.operations import job_signals
from pipeline.monitor.operations.alerts import RULES
from pipeline.monitor.report import FOUND, MONTH_PAGE, _inputs, _standing
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.contracts import MONITOR
from pipeline.shared.errors import DayUnknown, LabelsRefused, RegistryRefused, WrongMonth
from tests.monitor import months
from tests.shared import project

pytestmark = [pytest.mark.answer("silent-degradation"), pytest.mark.slow]

JSON = [*(path for name, path in FOUND.items() if name != "month"), job_signals.SIGNALS]


def contents():
    return {path.name: path.read_text() for path in JSON}


@pytest.mark.long
def test_a_month_is_written_for_machines_and_for_people_and_twice_is_the_same(registered):
    months.arrive()
    project.configure("monitor", html="full")
    line = monitor.run("2013-03")
    assert "page: none; ticket: none" in line
    before, page = contents(), MONTH_PAGE.read_text()
    assert json.loads(before["alerts.json"]) == []
    assert json.loads(before["gain.json"])["days"] == 14
    led = links(page)
    assert {"drift.html", "docs/index.html"} <= led
    project.configure("monitor", html="none")
    assert monitor.run("2013-03") == line
    assert contents() == before
    assert not (MONITOR / "drift.html").exists()  # it might be of another month
    assert not (MONITOR / "docs").exists()
    assert links(MONTH_PAGE.read_text()) == led - {"drift.html", "docs/index.html"}


@pytest.mark.long
def test_a_report_stands_until_something_changes_that_it_rests_on(registered):
    months.arrive()
    line = monitor.run("2013-03")
    before = {path: path.stat().st_mtime_ns for path in [*JSON, MONTH_PAGE]}
    again = monitor.run("2013-03")
    assert again.endswith("stands: nothing that it rests on has changed")
    assert line.startswith(again.partition("; stands")[0])
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if after[path] != before[path]} == {job_signals.SIGNALS}
    assert _standing(_inputs(months.MARCH, months.COMPLETE)) is not None
    rules = RULES.read_text()
    RULES.write_text(rules.replace("> 75", "> 74"))
    assert _standing(_inputs(months.MARCH, months.COMPLETE)) is None
    RULES.write_text(rules)
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
    assert {"QualityFailures", "SkewFound"} <= pages
    assert "QualityFailures: impossible values: " in line
    assert "SkewFound: not what was known: system_dep_late_3h in " in line
    assert json.loads(job_signals.SIGNALS.read_text())["quality_failures"] == 2
    assert "1,860 of them asked for online" in MONTH_PAGE.read_text()


# Refusals.


def test_nothing_is_written_where_there_is_nobody_to_watch(started):
    with pytest.raises(RegistryRefused, match=r"`make champion`"):
        monitor.run()
    assert not MONITOR.exists()


def test_a_month_of_training_is_refused_and_what_was_found_before_stays(registered):
    MONITOR.mkdir(parents=True)
    MONTH_PAGE.write_text("before")
    with pytest.raises(WrongMonth, match="monitor a later month"):
        monitor.run("2013-02")
    assert [path.name for path in MONITOR.iterdir()] == ["month.html"]
    assert MONTH_PAGE.read_text() == "before"


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
