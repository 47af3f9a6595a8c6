"""The checks of the windows that follow the calendar."""

from typing import Any

from exercises.workbench.checking import ROOT, check, expect, raised
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.yaml_files import parse

CONFIG = RetrainConfig.model_validate(
    parse((ROOT / "configs/retrain.yaml").read_text(encoding="utf-8"))
    | {"first_training_day": "2013-01-08", "window_days": None, "holdout_days": 14}
)


def _windows(subject, as_of: str, learned: str | None = None, **changes: object) -> Any:
    return subject.moved_windows(CONFIG.model_copy(update=changes), as_of, learned)


def _ends(moves, stage: str) -> list[str]:
    return [moves[stage]["window.first"], moves[stage]["window.last"]]


@check(2)
def test_the_newest_days_are_held_out(subject):
    """Fourteen of them, the newest included."""
    moves = _windows(subject, "2013-05")
    expect(_ends(moves, "evaluate"), ["2013-05-18", "2013-05-31"])


@check(2)
def test_no_day_is_learned_and_judged(subject):
    """Training ends the day before, and begins where it always does."""
    moves = _windows(subject, "2013-05")
    expect(_ends(moves, "train"), ["2013-01-08", "2013-05-17"])


@check(1)
def test_the_refit_knows_every_day(subject):
    """Once judged, nothing is held back from what serves."""
    expect(_windows(subject, "2013-05")["train"]["refit_until"], "2013-05-31")


@check(1)
def test_ingest_and_monitor_follow(subject):
    """A day within a month is the month so far."""
    moves = _windows(subject, "2013-05-12")
    expect(moves["ingest"]["as_of"], "2013-05-12")
    expect(_ends(moves, "monitor"), ["2013-05-01", "2013-05-12"])


@check(3)
def test_the_champion_has_seen_no_judged_day(subject):
    """It learned up to the 24th, so judging begins on the 25th."""
    moves = _windows(subject, "2013-05", "2013-05-24")
    expect(_ends(moves, "evaluate"), ["2013-05-25", "2013-05-31"])
    expect(_ends(moves, "train")[1], "2013-05-24")


@check(1)
def test_a_champion_of_long_ago_moves_nothing(subject):
    """The held-out days are the newest ones."""
    expect(_ends(_windows(subject, "2013-05", "2013-04-01"), "evaluate")[0], "2013-05-18")


@check(1, hidden=True)
def test_a_champion_that_knows_every_day_changes_nothing(subject):
    """No day is new to it, so the usual ones are held out."""
    expect(_ends(_windows(subject, "2013-05", "2013-05-31"), "evaluate")[0], "2013-05-18")


@check(1, hidden=True)
def test_without_a_training_day_it_is_refused(subject):
    """At once, with the first and the last day."""
    words = raised(lambda: _windows(subject, "2013-01-20"), "ConfigError")
    expect("2013-01-08" in words, True, why=f"the message is: {words}")


@check(1, hidden=True)
def test_a_sliding_window_has_so_many_days(subject):
    """And never one of those that only warm the features up."""
    moves = _windows(subject, "2013-05", window_days=60)
    expect(_ends(moves, "train")[0], "2013-04-02")
