"""The checks of a reading of four Mondays: what the policy itself decides."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))


def _action(name: str) -> str:
    return str(EVIDENCE.decision(name).action)


@check(2)
def test_drift_alone_is_no_reason(subject):
    """Monday A: the predictions moved, and the outcome is quiet."""
    expect(subject.answer("a"), _action("A"), [("retrain", "nobody has lost by the drift")])


@check(3)
def test_broken_data_come_before_a_fallen_outcome(subject):
    """Monday B: a model would learn the fault."""
    turns = [("retrain", "impossible winds: the next model would learn the fault")]
    expect(subject.answer("b"), _action("B"), turns)


@check(2)
def test_a_fallen_outcome_on_sound_data_trains(subject):
    """Monday C: nothing forbids it."""
    expect(subject.answer("c"), _action("C"))


@check(3)
def test_the_wait_after_a_refusal_is_kept(subject):
    """Monday D: five days after the gate refused the last one, by configs/retrain.yaml."""
    turns = [
        ("retrain", "five days since an attempt that was refused: look at retry_days"),
        ("escalate", "one refusal is no reason for a person: look at retry_days"),
    ]
    expect(subject.answer("d"), _action("D"), turns)


@check(1)
def test_the_trigger_of_monday_c_is_named(subject):
    """Outcome, diagnosis, schedule or volume."""
    expect(subject.answer("c_trigger"), EVIDENCE.decision("C").triggers[0])
