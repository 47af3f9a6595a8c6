"""What the page says of false and missed pages is what benchmarks/alarms.json measured."""

import json

import numpy as np
import pytest

from benchmarks import alarms
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor", "alert-fatigue")

FOUND = json.loads(tree.read("benchmarks/alarms.json"))
SLO = load(MonitorConfig).slo
OURS = alarms.rules(SLO)["ours"]
HOUR = np.full(60, 1)


def test_it_was_measured_with_the_objectives_that_are_configured():
    assert FOUND["slo"] == SLO.model_dump(mode="json"), "run `make measure M=alarms`"


def test_the_sum_over_a_window_begins_with_what_there_is():
    assert alarms.within(np.array([1, 2, 3, 4]), 2).tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("failed", "pages"),
    [
        (np.zeros(240, int), 0),
        (np.ones(240, int), 1),  # everything, all the time
        (np.r_[np.zeros(200, int), np.ones(4, int), np.zeros(36, int)], 0),  # fewer than five
        (np.r_[np.zeros(200, int), np.ones(7, int), np.zeros(33, int)], 1),
    ],
)
def test_the_rule_pages_once_for_what_goes_on_and_never_for_a_few(failed, pages):
    holds = OURS.holds(failed, np.ones(240, int)).astype(int)
    assert (np.diff(holds, prepend=0) == 1).sum() == pages


def test_a_page_takes_the_short_window_too():
    failed = np.r_[np.ones(60, int), np.zeros(60, int)]
    holds = OURS.holds(failed, np.ones(120, int))
    assert holds[59]
    assert not holds[95:].any()


def test_our_rule_is_quiet_where_a_larger_services_rule_rings_every_day(record_property):
    for numbers in FOUND["pages_a_month"].values():
        assert numbers["ours"] < 0.1 < numbers["without a least number"]
        assert numbers["without a least number"] < numbers["three nines, without it"]
    assert FOUND["pages_a_month"]["0.20% fail"]["three nines, without it"] > 30
    found = FOUND["pages_a_month"]["0.10% fail"]
    record_property(
        "pages a month for nothing, by a larger service's rule", found["three nines, without it"]
    )
    record_property("pages a month for nothing, by ours", found["ours"])


def test_a_dead_service_is_paged_within_minutes_and_a_small_leak_is_not():
    minutes = {name: found["median_minutes"] for name, found in FOUND["until_paged"].items()}
    assert minutes["100% fail"] < minutes["20% fail"] < minutes["10% fail"] < 60
    assert FOUND["until_paged"]["100% fail"]["found"] > 0.99
    assert FOUND["until_paged"]["2% fail"]["found"] < 0.2


def test_the_year_is_asked_for_as_the_published_flights_are():
    asked = alarms.requests()
    assert int(asked.sum()) == FOUND["requests"] == 336_776
    by_day = asked[asked.index.hour.isin(range(10, 24))].resample("30min").sum()
    busy = by_day[by_day.index.hour.isin(range(10, 24))]
    assert busy.iloc[1:].min() >= 3
