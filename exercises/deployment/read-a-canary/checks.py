"""The checks of a canary's reading: what the analysis itself says of the same requests."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

DECISION = load(Path(__file__).with_name("evidence.py")).decision()
ALARMED = next(metric for metric in DECISION.metrics if metric.alarmed)


@check(4)
def test_the_outcome_is_what_the_analysis_decides(subject):
    """An alarm comes before every other consideration."""
    turns = [
        ("hold", "the step lacks half a day, but an alarm does not wait for it"),
        ("advance", "nothing failed, but a metric is below its alpha"),
        ("pause", "the arms are comparable: the answer for a bad challenger is another one"),
        ("promote", "that is for the last step"),
    ]
    expect(subject.answer("outcome"), DECISION.outcome, turns)


@check(2)
def test_the_metric_is_the_one_that_alarmed(subject):
    """The one whose p is below its own alpha."""
    turns = [
        ("score", "a retrained model moves the mean risk: reported, it never decides here"),
        ("sample_ratio", "517 and 583 are what an even coin gives"),
        ("errors", "none of either arm failed"),
    ]
    expect(subject.answer("metric"), ALARMED.name, turns)


@check(1)
def test_the_breakers_are_counted(subject):
    """A breaker trips above what is allowed, not at it."""
    tripped = sum(breaker.tripped for breaker in DECISION.breakers)
    expect(subject.answer("breakers"), tripped, why="found is at most allowed everywhere")


@check(1)
def test_the_numbers_are_the_challengers(subject):
    """Bad requests and all requests of the challenger, from the metric that decides."""
    theirs = ([ALARMED.control.bad, ALARMED.control.of], "these are the control's")
    seen = [subject.answer("bad"), subject.answer("of")]
    expect(seen, [ALARMED.challenger.bad, ALARMED.challenger.of], [theirs])


@check(2)
def test_an_alarm_does_not_wait_for_the_end_of_the_step(subject):
    """The p is valid at any time; every hour more exposes users."""
    expect(subject.answer("wait"), False, why="the p is valid at any number of looks")
