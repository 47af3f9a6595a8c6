"""The checks of the gate's limits."""

from exercises.workbench.checking import check, expect
from pipeline.shared.contracts import Check, Kind

NAN = float("nan")


def _passes(subject, function: str, found: float, limit: float) -> bool:
    call = getattr(subject, function)
    return bool(call(Kind.DATA, "errors", found, limit, "of 100").passed)


def _check(passed: bool, blocking: bool = True) -> Check:
    values = {"kind": Kind.DATA, "name": "x", "found": 1.0, "limit": 1.0, "detail": ""}
    return Check.model_validate(values | {"passed": passed, "blocking": blocking})


@check(2)
def test_a_value_at_its_limit_passes(subject):
    """At most and at least: the limit itself is allowed."""
    seen = [_passes(subject, name, 0.0, 0.0) for name in ("at_most", "at_least")]
    turns = [([False, True], "`<` refuses the limit itself"), ([True, False], "`>` does")]
    expect(seen, [True, True], turns)


@check(3)
def test_nan_never_passes(subject):
    """What could not be measured is no evidence."""
    seen = [_passes(subject, name, NAN, 0.1) for name in ("at_most", "at_least")]
    turns = [
        ([True, True], "no comparison with NaN holds, so `not (found > limit)` does"),
        ([True, False], "no comparison with NaN holds, so `not (found > limit)` does"),
    ]
    expect(seen, [False, False], turns)


@check(1)
def test_each_side_refuses_what_is_beyond(subject):
    """Above for one, below for the other."""
    seen = [_passes(subject, "at_most", 0.2, 0.1), _passes(subject, "at_least", 0.05, 0.1)]
    expect(seen, [False, False])


@check(2)
def test_no_evidence_is_no_pass(subject):
    """A job that ran no check has not passed."""
    expect(subject.decide([]), False, [(True, "all() of nothing is True")])


@check(1)
def test_one_failure_refuses(subject):
    """All blocking checks have to pass."""
    expect(subject.decide([_check(True), _check(False)]), False)
    expect(subject.decide([_check(True), _check(True)]), True)


@check(2, hidden=True)
def test_a_reported_check_stops_nothing(subject):
    """And it is no evidence either."""
    expect(subject.decide([_check(True), _check(False, blocking=False)]), True)
    expect(
        subject.decide([_check(True, blocking=False)]), False, why="nothing blocking was checked"
    )
