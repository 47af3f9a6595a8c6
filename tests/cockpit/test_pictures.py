"""Geometry of the pictures: what is worse lies where worse is, and nothing leaves its frame."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest

from cockpit.facts import project
from cockpit.facts.month import Tenth
from cockpit.facts.rollout_words import next_act, sentence, why
from cockpit.facts.steps import steps
from cockpit.facts.verdict import Verdict
from cockpit.pictures import figures, interval_rows
from cockpit.pictures.scale import Scale, TimeScale, area, line, nice_ticks
from cockpit.pictures.time_strip import LEFT, RIGHT, WIDTH, time_strip
from pipeline.flights import WORDS
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.shadow import decide_shadow
from pipeline.shared.contracts import Kind, at_most
from tests.builders import compared
from tests.rollout.edge import NOW, PLAN, START, bad, requests

pytestmark = pytest.mark.answer("canary-decides")


@pytest.fixture
def seen(story):
    return project.read(story, "a story")


def rollout_of(seen, name):
    return next(one for one in seen.rollouts if one.name == name)


def analysis_of(decision):
    from cockpit.facts.rollouts import Analysis, Guardrail, limit_of

    found = [Guardrail(metric, limit_of(metric, PLAN)) for metric in decision.metrics]
    return Analysis(START_AT, 5.0, decision, found)


def rows_of(decision):
    return {row.name: row for row in interval_rows.rows(analysis_of(decision))}


START_AT = datetime(2013, 6, 1, tzinfo=UTC)


def test_an_alarm_lies_wholly_on_the_side_of_worse():
    decision = decide_canary(
        PLAN, START, bad(requests(), "challenger", 30, code=503, logged=False), NOW
    )
    row = rows_of(decision)["errors"]
    assert (row.state, row.verdict) == ("alarm", "ALARM")
    assert row.limit < row.low <= row.estimate <= row.high
    assert row.counts.startswith("30 of ")
    said = why(decision.reasons)
    assert said.startswith("requests without a prediction: challenger 30 of ")
    assert re.search(r"control|alpha|events", said) is None


def test_a_better_challenger_lies_on_the_other_side_and_is_no_alarm():
    decision = decide_canary(
        PLAN, START, bad(requests(), "control", 30, code=503, logged=False), NOW
    )
    row = rows_of(decision)["errors"]
    assert (row.state, row.verdict) == ("fine", "no alarm")
    assert row.low <= row.estimate <= row.high < row.limit


def test_where_nothing_bad_happened_no_interval_is_drawn():
    row = rows_of(decide_canary(PLAN, START, requests(), NOW))["errors"]
    assert (row.state, row.verdict, row.estimate) == ("silent", "none in either arm", None)


def test_alarms_come_first_and_what_never_happened_comes_last():
    decision = decide_canary(PLAN, START, bad(requests(), "challenger", 30, stale=True), NOW)
    found = list(rows_of(decision).values())
    assert [row.name for row in found if row.state == "alarm"] == ["stale"]
    assert found[0].name == "stale"
    assert found[-1].state == "silent"


def test_a_few_events_are_no_all_clear_however_many_requests_there_are():
    """One event beside two among thousands of requests: the interval holds nearly every share."""
    seen = bad(bad(requests(), "control", 2, seconds=0.5), "challenger", 1, seconds=0.5)
    row = rows_of(decide_canary(PLAN, START, seen, NOW))["slow"]
    assert (row.state, row.verdict) == ("early", "no alarm: too few to tell")
    assert row.low < row.limit < row.high


def test_sizes_and_means_stand_apart_from_bad_events():
    analysis = analysis_of(decide_canary(PLAN, START, requests(), NOW))
    assert not {"score", "sample_ratio"} & {row.name for row in interval_rows.rows(analysis)}
    sizes, risks = interval_rows.others(analysis)
    assert (sizes.words, sizes.verdict) == ("requests of each arm", "no alarm: an even split")
    assert risks.verdict == "no guardrail: a new model may predict other risks"


def test_a_breaker_that_stopped_it_comes_first_and_few_requests_are_no_all_clear(seen):
    last = rollout_of(seen, "0004-canary").last
    first, *_ = interval_rows.rows(last)
    assert (first.name, first.state, first.verdict) == ("slow", "tripped", "CIRCUIT BREAKER")
    stopped, *others = interval_rows.others(last)
    assert stopped.verdict == "STOPPED IT"
    assert "slow responses in a row, allowed 8" in stopped.words
    assert others[0].verdict == "no alarm: too few to tell"


def test_every_row_stays_within_its_frame(seen):
    for rollout in seen.rollouts:
        for row in interval_rows.rows(rollout.last):
            for at in filter(None, [row.low, row.high, row.estimate, row.limit]):
                assert interval_rows.LEFT <= at <= interval_rows.WIDTH - interval_rows.RIGHT


@pytest.mark.answer("safe-rollout")
def test_the_sentence_says_how_it_goes(seen):
    well = sentence(rollout_of(seen, "0003-canary"))
    assert well.startswith("It went well. No alarm: of ")
    slow = sentence(rollout_of(seen, "0004-canary"))
    assert slow.startswith("It went badly and was taken back: ")
    assert " slow responses in a row, allowed 8. " in slow
    assert sentence(rollout_of(seen, "0002-shadow")).startswith("It went well. It answered 900 of")


def test_a_running_canary_says_what_its_step_has_and_what_its_controller_does_next(seen):
    """The recorded canary as it stood at its first analysis, before its step had its days."""
    whole = rollout_of(seen, "0003-canary")
    early = decide_canary(
        PLAN, START, requests(1000), NOW.model_copy(update={"days": 0.5, "days_at_step": 0.5})
    )
    running = replace(whole, entries=whole.entries[:1], analyses=[analysis_of(early)])
    words = sentence(running)
    assert words.startswith("So far it goes well: no alarm in ")
    assert re.search(r"The 5% step has \d+ of 30 requests an arm, 0\.5 days of 1\.$", words)
    few = replace(running, analyses=[analysis_of(decide_canary(PLAN, START, requests(20), NOW))])
    assert re.search(r"The 5% step has \d of 30 requests an arm, 1\.0 days of 1\.$", sentence(few))
    assert next_act(running, live=True).startswith(
        "The controller looks again within 50 requests of both arms, and acts by itself"
    )
    assert next_act(running, live=False).startswith("Its controller does not run now")
    assert next_act(whole, live=True) == ""


def test_the_steps_say_what_each_had_and_wanted(seen):
    found = steps(rollout_of(seen, "0003-canary"))
    assert [(one.weight, one.state) for one in found] == [(5, "over"), (25, "over"), (50, "over")]
    assert all(min(one.requests) == one.smaller >= one.wanted for one in found)
    stopped = rollout_of(seen, "0004-canary")
    assert [one.state for one in steps(stopped)] == ["stopped", "not reached", "not reached"]
    running = replace(stopped, entries=stopped.entries[:1])
    assert [one.state for one in steps(running)] == ["alarm", "to come", "to come"]


def test_an_interval_narrows_as_requests_come(seen):
    (slow,) = interval_rows.courses(rollout_of(seen, "0003-canary"))
    assert slow.words == "slow responses"
    assert slow.band.count("L") == 5  # three analyses, forth and back
    assert not slow.alarmed


@pytest.mark.answer("who-served")
def test_the_strip_shows_each_share_at_its_time(seen):
    strip = time_strip(seen)
    assert [bar.label for bar in strip.serves if bar.label] == ["version 1"]
    assert [one.label for one in strip.shares][:1] == ["canary: 5, 25, 50%"]
    assert {bar.kind for bar in strip.serves} == {"v1", "v2", "v2 fault"}
    assert [bar.kind for bar in strip.rollouts] == ["bad", "good", "good"]
    assert [mark.kind for mark in strip.marks if mark.kind == "retrain"] == ["retrain"] * 2
    for bar in [*strip.serves, *strip.rollouts]:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= WIDTH - RIGHT + 6


def test_labels_of_checks_lie_beside_each_other_and_not_over_each_other(seen):
    def labels(found):
        return [mark.label for mark in time_strip(found).marks if mark.kind == "retrain"]

    assert labels(seen) == ["retrain", "retrain"]
    last = seen.loop.checks[-1]
    weekly = [
        last.model_copy(update={"at": last.at + timedelta(weeks=n), "action": "retrain"})
        for n in range(30)
    ]
    year = replace(seen, now=weekly[-1].at, loop=replace(seen.loop, checks=weekly))
    assert labels(year) == [""] * 30


def test_the_loss_rises_over_its_limit_where_it_alerts(seen):
    loss = time_strip(seen).loss
    above = [point for point in loss.points if point.y < loss.limit.at]
    assert {point.kind for point in above} == {"alert"}
    assert len(above) == 10
    assert loss.band != ""


def test_a_first_champion_alone_has_a_strip_without_a_loss(story, empty):
    from pipeline.records import rollout_ledger
    from pipeline.records.rollout_ledger import LEDGER
    from tests.shared.moves import registered

    rollout_ledger.append(registered(), empty / LEDGER)
    strip = time_strip(project.read(empty, "new"))
    assert (strip.loss, len(strip.serves), len(strip.rollouts)) == (None, 1, 0)
    assert strip.ticks


def test_where_nothing_was_released_there_is_no_strip(empty):
    assert time_strip(project.read(empty, "new")) is None


def test_scales_cut_off_at_their_ends_and_a_point_is_no_division_by_zero():
    assert [Scale(0, 10, 100, 200)(value) for value in (-5, 5, 50)] == [100, 150, 200]
    assert Scale(3, 3, 0, 10)(3) == 0


@pytest.mark.parametrize("days", [2, 20, 60, 365])
def test_ticks_have_room_and_stand_at_midnights(days):
    scale = TimeScale(START_AT, START_AT + timedelta(days=days), 0, 980)
    at = [tick.at for tick in scale.ticks()]
    assert at == sorted(at)
    assert all(b - a >= 50 for a, b in pairwise(at))
    assert len(at) >= 1


def test_nice_ticks_are_round_and_within():
    assert nice_ticks(-0.07, 0.04, 3) == [-0.05, 0.0]
    assert nice_ticks(1, 1) == [1]


def test_paths_go_forth_and_back():
    assert line([(0, 1), (2, 3)]) == "M0 1 L2 3"
    assert area([(0, 1), (2, 1)], [(0, 5), (2, 5)]) == "M0 1 L2 1 L2 5 L0 5 Z"
    assert area([], []) == ""


def test_a_shadows_tests_on_labels_stand_apart_and_passing_is_no_alarm():
    days = pd.DataFrame({"worse_by": [-0.02, -0.03] * 14, "rows": [1000] * 28})
    analysis = analysis_of(decide_shadow(PLAN, days, refresh=True))
    assert interval_rows.rows(analysis) == []
    found = {one.words.rpartition(": ")[2]: one for one in interval_rows.others(analysis)}
    assert found["within the margin"].state == "fine"
    assert found["worse by more than the margin"].verdict == "not shown"
    assert re.fullmatch(r"-0\.0\d+ nats, -0\.0\d+ to \+0\.0\d+", found["better"].challenger)


def test_the_gates_rows_are_the_nearest_to_their_limits():
    checks = [
        compared(Kind.CHAMPION, "not worse", (-0.01, -0.02, -0.001), 0.0),
        compared(Kind.CHAMPION_SLICE, "far", (-0.05, -0.09, -0.04), 0.005),
        compared(Kind.CHAMPION_SLICE, "near", (0.004, -0.001, 0.009), 0.005),
        at_most(Kind.EVIDENCE, "days", 14, 20, "days with flights"),
    ]
    told = {"challenger": "a" * 64, "champion": "b" * 64, "kind": "change", "window": "x..y"}
    fields = {"rows": 9, "days": 14, "passed": True, "checks": [c.model_dump() for c in checks]}
    verdict = Verdict.model_validate(told | fields)
    rows = figures.gate_rows(verdict)
    assert [row.words for row in rows] == ["not worse", "near", "far"]
    assert rows[0].point < rows[0].zero <= rows[0].limit
    assert verdict.headline.name == "not worse"


def test_calibration_lies_on_the_diagonal_where_risks_are_right():
    tenths = [Tenth(mean_risk=r, mean_outcome=r, rows=9) for r in (0.1, 0.3, 0.6)]
    picture = figures.calibration(tenths, WORDS)
    assert [round(x + y) for x, y, _ in picture.points] == [figures.SQUARE] * 3
    assert figures.calibration([], WORDS) is None
