"""The checks of a reading of a skew report: what the comparison itself names."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))


@check(3)
def test_the_mistake_in_the_shares_is_named(subject):
    """A hundred times what training reads."""
    turns = [("stale by 15 min", "an old value is another one, not a hundred times as large")]
    expect(subject.answer("shares"), EVIDENCE.named("origin_late_7d").mistake, turns)


@check(3)
def test_the_mistake_in_the_weather_is_named(subject):
    """Served is a number, and training has none."""
    turns = [
        ("withheld as stale", "that is the other way round: missing where training has a value"),
        ("percent for fraction", "0 is a hundred times nothing: look at what training has"),
    ]
    expect(subject.answer("weather"), EVIDENCE.named("wind_speed").mistake, turns)


@check(1)
def test_the_flights_without_weather_are_counted(subject):
    """As many as differ in the wind."""
    expect(subject.answer("without_weather"), EVIDENCE.named("wind_speed").differ)


@check(2)
def test_the_feed_is_mended_and_nothing_is_trained(subject):
    """A model that learns from what was served learns the mistake."""
    turns = [("retrain", "the model is right: what it was given is wrong")]
    expect(subject.answer("act"), "fix the feed", turns)


@check(1)
def test_a_higher_score_would_prove_nothing(subject):
    """Trees hide most errors of a unit: features are compared, not scores."""
    expect(subject.answer("score_is_enough"), False)
