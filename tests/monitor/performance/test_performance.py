"""The outcome: each request once, each flight once, final or provisional, known or not known."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.monitor.performance.delayed_labels import fold
from pipeline.monitor.performance.label_join import join_labels
from pipeline.monitor.performance.performance import (
    Performance,
    PerformanceRules,
    measure_performance,
    performance_status,
)
from pipeline.monitor.performance.quality import Figures, p_nonzero_mean
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.errors import LabelsRefused
from tests.monitor.performance.feed import at, flags_of, labels_of, served

pytestmark = pytest.mark.answer("delayed-labels")
RULES = PerformanceRules.of_configs()
END = at("04-21 10:00")
"""When the labels of the twenty days of `served` are due."""


@pytest.fixture(scope="module")
def month():
    """Twenty days of requests, their outcomes, and the label feed."""
    requests, outcomes = served()
    return requests, outcomes, labels_of(requests, outcomes)


def _with(feed, flights, **changes):
    """The feed with one more event for each of these flights."""
    more = feed[feed["flight"].isin(flights)].assign(**changes)
    return pd.concat([feed, more], ignore_index=True)


# The join.


def test_the_figures_are_those_of_the_labels_and_risks(month):
    requests, outcomes, feed = month
    found = measure_performance(requests, feed, END, RULES)
    late, risk = outcomes["late"], requests["risk"]
    assert found.overall.log_loss == pytest.approx(log_loss(late, risk), abs=1e-6)
    assert found.overall.roc_auc == pytest.approx(roc_auc_score(late, risk), abs=1e-6)
    assert (found.requests, found.rows, found.retries) == (1_200, 1_200, 0)
    assert found.overall.coverage == 1


def test_the_feed_may_be_shuffled_doubled_and_as_long_as_it_likes(month):
    requests, _, feed = month
    doubled = pd.concat([feed, feed]).sample(frac=1, random_state=0)
    clean, found = (measure_performance(requests, f, END, RULES) for f in (feed, doubled))
    assert found.feed.duplicates == 1_200
    less = {"feed"}
    assert found.model_dump(exclude=less) == clean.model_dump(exclude=less)


def test_every_request_stays_one_row_however_many_share_a_flight(month):
    requests, outcomes, feed = month
    retried = pd.concat([requests, requests[:50], requests[:20]], ignore_index=True)
    found = join_labels(retried, fold(feed).table)
    assert len(found) == 1_270
    late = dict(zip(outcomes["flight"], outcomes["late"], strict=True))
    assert [late[flight] for flight in found["flight"]] == found["late"].tolist()


@pytest.mark.long
def test_a_flight_counts_once_by_its_first_answer_however_often_it_is_asked_for(month):
    requests, _, feed = month
    again = requests[:300].assign(risk=0.01, request_id=[f"again{n}" for n in range(300)])
    found = measure_performance(pd.concat([requests, again]), feed, END, RULES)
    clean = measure_performance(requests, feed, END, RULES)
    assert (found.requests, found.rows, found.retries) == (1_500, 1_200, 300)
    assert found.overall == clean.overall
    last = measure_performance(pd.concat([again, requests]), feed, END, RULES)
    assert last.overall.log_loss > clean.overall.log_loss


def test_a_request_that_comes_twice_is_refused_by_its_id(month):
    requests, _, feed = month
    with pytest.raises(LabelsRefused, match=r"request_id of 1 of 1,201 served requests .*'r7'"):
        measure_performance(pd.concat([requests, requests[7:8]]), feed, END, RULES)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("risk", 1.2, "no probability"),
        ("risk", np.nan, "no prob"),
        ("flight", "UA1", "no flight"),
    ],
)
def test_a_request_that_cannot_be_is_refused(month, column, value, words):
    requests, _, feed = month
    wrong = requests.copy()
    wrong.loc[3, column] = value
    with pytest.raises(LabelsRefused, match=rf"{column} of 1 of 1,200 .*{words}"):
        measure_performance(wrong, feed, END, RULES)


def test_a_table_without_a_risk_is_refused(month):
    with pytest.raises(LabelsRefused, match="lack risk"):
        measure_performance(month[0].drop(columns="risk"), month[2], END, RULES)


def test_who_asks_as_of_an_instant_sees_no_later_request_and_no_later_label(month):
    requests, _, feed = month
    now = at("04-11 10:00")
    found = measure_performance(requests, feed, now, RULES)
    by_then = requests[requests["predict_at"] <= now]
    told = feed[feed["arrived_at"] <= now]
    assert found == measure_performance(by_then, told, now, RULES)
    assert found.days[-1].date == "2013-04-11" or found.days[-1].date == "2013-04-10"


def test_every_version_has_its_figures(month):
    requests, _, feed = month
    two = requests.assign(version=np.where(np.arange(1_200) % 3, "1", "2"))
    found = measure_performance(two, feed, END, RULES)
    assert {name: figure.rows for name, figure in found.versions.items()} == {"1": 800, "2": 400}


# Provisional, incomplete, final, revised.


def test_a_day_is_provisional_until_its_labels_are_due_and_final_from_then_on(month):
    requests, _, feed = month
    before, then = (
        measure_performance(requests, feed, at(f"04-11 {t}"), RULES) for t in ("09:59", "10:00")
    )
    assert {d.date: d.state for d in before.days}["2013-04-10"] == "provisional"
    assert {d.date: d.state for d in then.days}["2013-04-10"] == "final"
    assert {d.state for d in then.days if d.date < "2013-04-10"} == {"final"}
    assert then.overall.days == before.overall.days + 1


def test_a_final_day_does_not_change_as_time_passes(month):
    requests, _, feed = month
    then, later = (
        measure_performance(requests, feed, now, RULES) for now in (at("04-11 10:00"), END)
    )
    days = {day.date: day for day in later.days}
    assert [days[d.date] for d in then.days if d.state == "final"] == [
        d for d in then.days if d.state == "final"
    ]


def test_a_correction_after_the_day_was_final_is_told_as_a_revision(month):
    requests, outcomes, feed = month
    some = outcomes["flight"][outcomes["flight"].str.startswith("2013-04-05")][:10]
    was = outcomes.set_index("flight").loc[some, "late"].to_numpy()
    fixed = _with(feed, some, revision=1, arrived_at=at("04-15 10:00"))
    fixed.loc[len(feed) :, "late"] = 1 - was
    before = measure_performance(requests, fixed, at("04-15 09:00"), RULES)
    after = measure_performance(requests, fixed, END, RULES)
    assert [d for d in before.days if d.revised] == []
    (day,) = [d for d in after.days if d.revised]
    assert (day.date, day.revised.labels_changed) == ("2013-04-05", 10)
    unchanged = {d.date: d for d in measure_performance(requests, feed, END, RULES).days}
    assert day.revised.first == unchanged["2013-04-05"].figures
    assert day.revised.now == day.figures != day.revised.first
    assert after.feed.corrected == 10


def test_a_correction_that_comes_with_the_labels_is_no_revision(month):
    requests, outcomes, feed = month
    some = outcomes["flight"][:10]
    fixed = _with(feed, some, revision=1)
    fixed.loc[len(feed) :, "late"] = 1 - fixed.loc[len(feed) :, "late"]
    found = measure_performance(requests, fixed, END, RULES)
    assert found.feed.corrected == 10
    assert [d for d in found.days if d.revised] == []


def test_a_day_that_is_late_to_become_final_has_its_first_figure_from_then(month):
    requests, _, feed = month
    slow = feed.copy()
    of = slow["flight"].str.startswith("2013-04-05")
    slow.loc[of, "arrived_at"] = at("04-09 10:00")
    waiting, done = (
        measure_performance(requests, slow, now, RULES) for now in (at("04-08 10:00"), END)
    )
    assert {d.date: d.state for d in waiting.days}["2013-04-05"] == "incomplete"
    assert {d.date: d.state for d in done.days}["2013-04-05"] == "final"
    assert [d for d in done.days if d.revised] == []
    assert (waiting.overall.days, done.overall.days) == (6, 20)


def test_only_final_days_are_in_the_whole(month):
    requests, _, feed = month
    streamed = feed.assign(arrived_at=feed["known_at"])
    found = measure_performance(requests, streamed, at("04-10 20:00"), RULES)
    final = [d.figures for d in found.days if d.state == "final"]
    assert any(d.figures.labelled for d in found.days if d.state == "provisional")
    assert found.overall.rows == sum(f.rows for f in final) == 9 * 60


def test_labels_that_come_after_a_day_was_final_are_a_revision_too(month):
    requests, _, feed = month
    slow = feed.copy()
    two = slow.index[slow["flight"].str.startswith("2013-04-05")][:2]
    slow.loc[two, "arrived_at"] = at("04-12 10:00")
    before, after = (
        measure_performance(requests, slow, now, RULES) for now in (at("04-11 10:00"), END)
    )
    states = {d.date: (d.state, d.figures.labelled) for d in before.days}
    assert states["2013-04-05"] == ("final", 58)
    (day,) = [d for d in after.days if d.revised]
    assert (day.date, day.revised.labels_changed) == ("2013-04-05", 2)
    assert (day.revised.first.labelled, day.revised.now.labelled) == (58, 60)


def test_a_provisional_day_counts_only_flights_whose_deadline_has_passed(month):
    requests, outcomes, feed = month
    streamed = feed.assign(arrived_at=feed["known_at"])
    now = at("04-10 16:00")
    (day,) = [
        d
        for d in measure_performance(requests, streamed, now, RULES).days
        if d.state == "provisional"
    ]
    of = requests["flight"].str.startswith("2013-04-10") & (requests["predict_at"] <= now)
    over = of & (requests["sched_dep_utc"] + pd.Timedelta(minutes=135) <= now)
    assert day.figures.labelled == day.figures.rows == over.sum() < of.sum()
    assert day.figures.mean_outcome == pytest.approx(outcomes.loc[over, "late"].mean(), abs=1e-6)
    known = of & (feed["known_at"] <= now)
    assert outcomes.loc[known, "late"].mean() < day.figures.mean_outcome


# The alert.


@pytest.mark.parametrize(
    ("excess", "gap", "said"),
    [
        (0.02, 0.03, "quiet"),
        (0.0201, 0.0, "alert"),
        (-0.5, 0.0, "quiet"),
        (0.0, 0.0301, "alert"),
        (0.0, -0.0301, "alert"),
    ],
)
def test_the_alert_is_excess_loss_above_its_limit_or_a_gap_either_way(excess, gap, said):
    figure = Figures(
        rows=900, labelled=900, days=14, late=300, coverage=1.0, excess=excess, gap=gap
    )
    found, reasons = performance_status(figure, 14, RULES.outcome)
    assert found == said
    assert bool(reasons) == (said == "alert")


@pytest.mark.parametrize(("coverage", "days"), [(0.9499, 14), (1.0, 9)])
def test_too_few_labels_or_days_are_not_known_and_never_fine(coverage, days):
    figure = Figures(rows=900, labelled=900, days=14, late=300, coverage=coverage, excess=0, gap=0)
    found, reasons = performance_status(figure, days, RULES.outcome)
    assert found == "not known"
    assert reasons


def test_risks_that_are_right_are_quiet_and_risks_that_are_not_alert():
    requests, outcomes = served(a_day=240)
    feed = labels_of(requests, outcomes)
    assert measure_performance(requests, feed, END, RULES).alert.status == "quiet"
    wrong = requests.assign(risk=requests["risk"] * 0.8)
    found = measure_performance(wrong, feed, END, RULES).alert
    assert found.status == "alert"
    assert found.reasons[0].startswith("log loss is +") or "late share" in found.reasons[0]
    assert (found.first, found.last) == ("2013-04-07", "2013-04-20")


def test_a_feed_that_stops_is_not_known_and_its_labels_age(month):
    requests, _, feed = month
    stopped = feed[feed["arrived_at"] <= at("04-18 10:00")]
    found = measure_performance(requests, stopped, END, RULES)
    assert found.alert.status == "not known"
    assert "78.6% of flights have labels, below 95%" in found.alert.reasons
    assert (found.feed.labels_age_hours, found.feed.stale) == (72, True)
    assert [d.date for d in found.days if d.state == "incomplete"] == [
        "2013-04-18",
        "2013-04-19",
        "2013-04-20",
    ]
    assert not measure_performance(requests, feed, END, RULES).feed.stale


def test_without_any_label_nothing_is_known(month):
    requests, _, feed = month
    found = measure_performance(requests, feed[:0], END, RULES)
    assert found.alert.status == "not known"
    assert (found.feed.labels_age_hours, found.feed.stale) == (None, True)
    assert found.overall.log_loss is None
    assert found.intervals == {}


def test_without_any_request_nothing_is_known(month):
    requests, _, feed = month
    found = measure_performance(requests[:0], feed, END, RULES)
    assert (found.alert.status, found.days, found.slices) == ("not known", [], {})
    assert found.feed.unasked == 1_200


# What is set aside.


def test_labels_at_odds_are_set_aside_by_name_and_lower_the_coverage(month):
    requests, outcomes, feed = month
    odd = outcomes["flight"][:3]
    split = _with(feed, odd)
    split.loc[len(feed) :, "late"] = 1 - split.loc[len(feed) :, "late"]
    found = measure_performance(requests, split, END, RULES)
    assert (found.feed.conflicts, found.feed.conflicting) == (3, sorted(odd))
    assert found.overall.labelled == 1_197


@pytest.mark.long
def test_poisoned_labels_of_a_carrier_are_named_and_nothing_is_judged_by_them():
    many, told = served(days=20, a_day=240)
    feed, flags = labels_of(many, told), flags_of(many, told)
    of = feed["flight"].str.contains("/UA/") & feed["flight"].between("2013-04-08", "2013-04-15")
    poisoned = feed.assign(late=np.where(of, 1 - feed["late"], feed["late"]))
    clean, found = (measure_performance(many, f, END, RULES, flags) for f in (feed, poisoned))
    assert (clean.agreement, clean.distrusted_labels) == ([], 0)
    ((carrier, week),) = [(w.group, w.week) for w in found.agreement]
    assert (carrier, week) == ("UA", "2013-04-08")
    assert found.distrusted_labels == of.sum()
    assert found.alert.status == "not known"
    assert measure_performance(many, poisoned, END, RULES).agreement is None


def test_flags_that_have_not_arrived_check_nothing():
    requests, outcomes = served(a_day=240)
    feed, flags = labels_of(requests, outcomes), flags_of(requests, outcomes)
    late = flags.assign(arrived_at=END + pd.Timedelta(minutes=1))
    assert measure_performance(requests, feed, END, RULES, flags).agreement_checked == 12
    assert measure_performance(requests, feed, END, RULES, late).agreement_checked == 0


# Slices.


def test_a_slice_with_few_late_flights_is_reported_and_not_judged(month):
    requests, _, feed = month
    found = measure_performance(requests, feed, END, RULES).slices
    assert {name: s.judged for name, s in found.items()} == {
        name: s.figures.late >= 200 for name, s in found.items()
    }
    assert {s.judged for s in found.values()} == {True, False}
    assert all(s.p_gap is None and not s.noticed for s in found.values() if not s.judged)


def test_a_slice_that_is_surely_and_much_off_is_noticed_and_does_not_alert():
    requests, outcomes = served(days=20, a_day=240)
    feed = labels_of(requests, outcomes)
    clean = measure_performance(requests, feed, END, RULES)
    assert not [name for name, s in clean.slices.items() if s.noticed]
    dl = requests["flight"].str.contains("/DL/")
    wrong = requests.assign(risk=np.where(dl, requests["risk"] * 0.9, requests["risk"]))
    found = measure_performance(wrong, feed, END, RULES)
    assert [name for name, s in found.slices.items() if s.noticed] == ["carrier DL"]
    assert found.alert.status == "quiet"


@pytest.mark.long
def test_a_slice_whose_gap_is_sure_but_small_is_not_noticed():
    requests, outcomes = served(days=20, a_day=2_000)
    shifted = requests.assign(risk=(requests["risk"] - 0.02).clip(0.03, 0.97))
    found = measure_performance(shifted, labels_of(requests, outcomes), END, RULES).slices
    sure = [s for s in found.values() if s.judged and s.p_gap < 0.05]
    assert len(sure) > 5
    assert not [s for s in found.values() if s.noticed and abs(s.figures.gap) <= 0.03]


@pytest.mark.long
@pytest.mark.slow
def test_among_many_slices_of_right_risks_hardly_ever_one_is_noticed():
    wrong = 0
    for seed in range(12):
        requests, outcomes = served(days=20, a_day=120, seed=seed)
        found = measure_performance(requests, labels_of(requests, outcomes), END, RULES).slices
        wrong += any(s.noticed for s in found.values())
    assert wrong <= 2


def test_the_p_values_of_slices_are_holms_over_all_that_are_judged(month):
    requests, outcomes, feed = month
    found = {
        n: s for n, s in measure_performance(requests, feed, END, RULES).slices.items() if s.judged
    }
    origin = requests["flight"].str[-3:]
    raw = {}
    for name in ("origin EWR", "origin JFK"):
        of = (origin == name[-3:]).to_numpy()
        gap = (outcomes["late"] - requests["risk"])[of].to_numpy()
        raw[name] = p_nonzero_mean(gap, requests["flight"].str[:10][of])
        assert raw[name] <= found[name].p_gap <= min(1, 2 * len(found) * raw[name]) + 1e-6
    assert max(found[name].p_gap / raw[name] for name in raw) > 1.5 or set(raw) == {1.0}


def test_the_rule_refuses_a_window_that_cannot_hold_its_days():
    values = RULES.outcome.model_dump()
    with pytest.raises(ValueError, match="min_days 15 is above window_days 14"):
        OutcomeRule.model_validate(values | {"min_days": 15})


def test_the_outcome_is_json_and_comes_back_equal(month):
    requests, outcomes, feed = month
    found = measure_performance(requests, feed, END, RULES, flags_of(requests, outcomes))
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert Performance.model_validate_json(text) == found
