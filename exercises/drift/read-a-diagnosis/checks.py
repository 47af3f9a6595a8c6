"""The checks of a reading of three months: what the triage itself says."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))


@check(2)
def test_the_cause_of_june_is_named(subject):
    """Which parts are significant, and do the inputs separate the windows?"""
    turns = [
        ("concept shift", "the inputs moved as well: a classifier tells the windows apart"),
        ("covariate shift", "the relation moved as well: its interval is above 0"),
    ]
    expect(subject.answer("june_cause"), EVIDENCE.found("2013-06")[0], turns)


@check(2)
def test_what_to_do_in_june(subject):
    """A refit that is significantly better, by the margin or more, is worth it."""
    expect(subject.answer("june_act"), EVIDENCE.found("2013-06")[1])


@check(3)
def test_a_drift_with_a_falling_loss_is_left_alone(subject):
    """September: the largest separation of the year, and the loss fell."""
    turns = [
        (["covariate shift", "retrain"], "the inputs moved, and nobody lost by it"),
        (["concept shift", "hold"], "the interval of the concept part holds 0"),
    ]
    seen = [subject.answer("september_cause"), subject.answer("september_act")]
    expect(seen, list(EVIDENCE.found("2013-09")), turns)


@check(3)
def test_what_no_refit_repairs_goes_to_a_person(subject):
    """December: the relation moved, and the refit's gain holds 0."""
    turns = [("retrain", "a refit changes next to nothing"), ("hold", "the loss rose, and stays")]
    expect(subject.answer("december_act"), EVIDENCE.found("2013-12")[1], turns)
