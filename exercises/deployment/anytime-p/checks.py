"""The checks of the e-process of the sample ratio."""

import math

import numpy as np

from exercises.workbench.checking import check, expect, holds


def _beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@check(1)
def test_without_a_request_there_is_no_evidence(subject):
    """e is 1, so log e is 0 and p is 1."""
    expect(subject.log_e_ratio(np.array([0]), np.array([0]), 100.0), [0.0])
    expect([subject.p_anytime(np.array([])), subject.p_anytime(np.array([-3.0]))], [1.0, 1.0])


@check(3)
def test_the_ratio_is_that_of_two_likelihoods(subject):
    """A beta prior worth 100 requests around one half, over one half itself."""
    ours, theirs = np.array([5, 60, 300]), np.array([5, 40, 200])
    expected = [
        _beta(50 + a, 50 + b) - _beta(50, 50) - (a + b) * math.log(0.5)
        for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)
    ]
    expect(subject.log_e_ratio(ours, theirs, 100.0), expected, tolerance=1e-6)


@check(1, hidden=True)
def test_another_share_is_tested_around_itself(subject):
    """A challenger that should have a tenth."""
    expected = _beta(10 + 30, 90 + 170) - _beta(10, 90) - 30 * math.log(0.1) - 170 * math.log(0.9)
    seen = subject.log_e_ratio(np.array([30]), np.array([170]), 100.0, 0.1)
    expect(seen, [expected], tolerance=1e-6)


@check(2)
def test_p_never_rises_again(subject):
    """1 over the largest e so far."""
    log_e = np.array([0.0, 1.0, 4.0, 2.0, 0.5])
    turns = [(math.exp(-0.5), "the e of now: what was reached is forgotten")]
    expect(subject.p_anytime(log_e), math.exp(-4.0), turns)


@check(2)
def test_the_first_alarm_is_the_first_to_reach_the_limit(subject):
    """At 1/alpha exactly, and never again looked for."""
    log_e = np.array([0.0, -math.log(0.05), 2.0, 9.0])
    expect(subject.first_alarm(log_e, 0.05), 1)
    expect(subject.first_alarm(log_e[:1], 0.05), None, why="no alarm is None, not 0")


def _many(canaries, requests, alpha):
    """Beside the solution: how many of many canaries of equal arms ever alarm."""
    import numpy as np

    from pipeline.rollout.analysis.sequential_tests import first_alarm, log_e_ratio

    rng, alarms = np.random.default_rng(2013), 0
    for _ in range(canaries):
        ours = np.cumsum(rng.random(requests) < 0.5)
        log_e = log_e_ratio(ours, np.arange(1, requests + 1) - ours, 100.0)
        alarms += first_alarm(log_e, alpha) is not None
    return alarms


@check(4)
def test_equal_arms_alarm_as_seldom_as_promised(subject):
    """A thousand canaries, looked at after every request."""
    seen = subject.do(_many, 1000, 1500, 0.05)
    why = "more than 5 in 100 with a look at each request: that p is for one look"
    holds(seen <= 70, "at most about 50 of 1,000", f"{seen}", why)


def _crooked(requests, share):
    """Beside the solution: after how many requests a crooked split is found."""
    import numpy as np

    from pipeline.rollout.analysis.sequential_tests import first_alarm, log_e_ratio

    ours = np.cumsum(np.random.default_rng(5).random(requests) < share)
    return first_alarm(log_e_ratio(ours, np.arange(1, requests + 1) - ours, 100.0), 0.005)


@check(1, hidden=True)
def test_a_crooked_split_is_found(subject):
    """60 of 100 requests for the challenger."""
    seen = subject.do(_crooked, 3000, 0.6)
    holds(seen is not None and seen < 2500, "an alarm within 2,500 requests", f"{seen}")
