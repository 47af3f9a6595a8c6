"""What a person sees of a rollout."""

import io

import pytest

from pipeline.rollout.analysis.canary import decide
from pipeline.rollout.progress import Progress, _table, summary_line, weights, when
from tests.rollout.edge import NOW, PLAN, START, bad, requests

SHARES = {"challenger": 500, "champion": 9_000, "control": 500}
CLEAN = decide(PLAN, START, requests(), NOW)
ALARMED = decide(PLAN, START, bad(requests(), "challenger", 50, code=503, risk=float("nan")), NOW)


def test_weights_are_percent_and_who_has_none_is_left_out():
    assert weights(SHARES) == "challenger 5 champion 90 control 5"
    assert weights({"champion": 10_000}) == "champion 100"
    assert weights({"challenger": 1_250, "champion": 8_750}) == "challenger 12.5 champion 87.5"


def test_an_instant_is_told_in_utc():
    assert when(0) == "12-01 00:00Z"


def test_a_look_says_weights_requests_the_nearest_alarm_and_the_outcome():
    line = summary_line("05-02 10:00Z", SHARES, ALARMED)
    assert line.startswith("05-02 10:00Z  challenger 5 champion 90 control 5  1,")
    assert "nearest alarm errors p " in line
    assert line.endswith("(limit 0.015) -> rollback")


def test_a_look_at_which_nothing_came_yet_is_a_line_too():
    empty = decide(PLAN, START, requests()[:0], NOW)
    assert summary_line("now", SHARES, empty).endswith("-> hold")


def test_where_there_is_no_screen_lines_are_written_and_a_line_once(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    with Progress("0002-canary") as view:
        view.say("begins")
        for _ in range(3):
            view.show("now", SHARES, CLEAN)
    lines = written.getvalue().splitlines()
    assert lines[0] == "0002-canary: begins"
    assert len(lines) == 2


@pytest.mark.parametrize("decision", [CLEAN, ALARMED])
def test_the_table_has_a_row_for_each_metric_and_each_breaker(decision):
    from rich.console import Console

    table = _table("0002-canary", "now", SHARES, decision)
    assert table.row_count == len(decision.metrics) + len(decision.breakers)
    written = io.StringIO()
    Console(file=written, width=200).print(table)
    for metric in decision.metrics:
        assert metric.name in written.getvalue()
