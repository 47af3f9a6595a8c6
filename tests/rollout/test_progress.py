"""What a person sees of a rollout."""

import io
import re

import numpy as np
import pytest

from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.progress import Progress, _table, nearest_alarm, summary_line, weights, when
from tests.rollout.edge import NOW, PLAN, START, bad, requests

SHARES = {"challenger": 500, "champion": 9_000, "control": 500}
CLEAN = decide_canary(PLAN, START, requests(), NOW)
ALARMED = decide_canary(
    PLAN, START, bad(requests(), "challenger", 50, code=503, risk=float("nan")), NOW
)


def test_weights_are_percent_and_who_has_none_is_left_out():
    assert weights(SHARES) == "challenger 5 champion 90 control 5"
    assert weights({"champion": 10_000}) == "champion 100"
    assert weights({"challenger": 1_250, "champion": 8_750}) == "challenger 12.5 champion 87.5"


def test_an_instant_is_told_in_utc():
    assert when(0) == "12-01 00:00Z"


def test_an_analysis_says_weights_requests_the_outcome_and_the_nearest_alarm():
    line = summary_line("05-02 10:00Z", SHARES, ALARMED)
    assert line.startswith("05-02 10:00Z  challenger 5 champion 90 control 5: 1 analysis, 1,")
    assert " requests: rollback; nearest alarm errors p " in line
    assert line.endswith("(limit 0.015)")


def test_an_analysis_before_any_request_is_a_line_too():
    empty = decide_canary(PLAN, START, requests()[:0], NOW)
    line = summary_line("now", SHARES, empty)
    assert line.endswith(": 1 analysis, 0 requests: hold; no alarm is near")


def test_a_breaker_that_lacks_less_of_its_alarm_than_the_tests_is_the_nearest():
    rows = requests(20)
    ours = (rows["arm"] == "challenger").to_numpy()
    few = PLAN.canary.breakers.in_a_row.bad - 2
    slow = np.flatnonzero(ours)[:few]
    rows.loc[slow, "seconds"] = 5.0
    decision = decide_canary(PLAN, START, rows, NOW)
    assert decision.outcome == "hold"
    assert decision.metric("slow").p < 1  # the test has seen them, too, and is less far
    assert nearest_alarm(decision) == f"nearest alarm slow in a row: {few}, allowed {few + 1}"


@pytest.mark.parametrize(
    ("many", "words"),
    [(4, "slow in a row: 4, allowed 8"), (11, "slow in a row: 11, not for long enough yet")],
)
def test_a_run_of_bad_requests_is_seen_before_it_has_lasted(many, words):
    rows = requests(2 * many, at=0.0, seconds=5.0)  # in one instant: the breaker waits
    rows["arm"] = ["challenger", "control"] * many
    rows.loc[rows["arm"] == "control", "seconds"] = 0.01
    decision = decide_canary(PLAN, START, rows, NOW)
    assert [b.found for b in decision.breakers if b.name == "slow in a row"] == [0]
    assert nearest_alarm(decision) == f"nearest alarm {words}"


def test_a_test_that_has_alarmed_is_nearer_than_a_breaker_that_has_not():
    broken = CLEAN.breakers[0].model_copy(update={"found": 7, "allowed": 8})
    one = ALARMED.model_copy(update={"breakers": [broken]})
    assert nearest_alarm(one).startswith("nearest alarm errors p ")


def printed(monkeypatch, outcomes):
    """The lines of a canary whose analyses end so, where there is no terminal."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    with Progress("0002-canary") as progress:
        progress.say("begins")
        for outcome in outcomes:
            progress.show("now", SHARES, CLEAN.model_copy(update={"outcome": outcome}))
    return [line.removeprefix("0002-canary: ") for line in written.getvalue().splitlines()]


def test_where_there_is_no_screen_the_analyses_of_a_step_that_held_are_one_line(monkeypatch):
    lines = printed(monkeypatch, ["hold"] * 23 + ["advance"] + ["hold", "promote"])
    assert lines[0] == "begins"
    assert ["23 analyses" in lines[1], "1 analysis" in lines[3]] == [True, True]
    outcomes = [re.search(r" requests: (\w+);", line)[1] for line in lines[1:]]
    assert outcomes == ["hold", "advance", "hold", "promote"]


def test_the_analyses_before_an_interruption_are_said_at_the_end(monkeypatch):
    (_, line) = printed(monkeypatch, ["hold"] * 3)
    assert ": 3 analyses, " in line


@pytest.mark.parametrize("decision", [CLEAN, ALARMED])
def test_the_table_has_a_row_for_each_metric_and_each_breaker(decision):
    from rich.console import Console

    table = _table("0002-canary", "now", SHARES, decision)
    assert table.row_count == len(decision.metrics) + len(decision.breakers)
    written = io.StringIO()
    Console(file=written, width=200).print(table)
    for metric in decision.metrics:
        assert metric.name in written.getvalue()
