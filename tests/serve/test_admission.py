"""The gate: by how many are inside, and by how long their work takes."""

import pytest

from pipeline.serve.admission import _MIN_INSIDE, AdmissionLimit

pytestmark = pytest.mark.answer("model-server", "scaling")


def inside(gate, many):
    for _ in range(many):
        gate.enter()
    return gate


def test_so_many_may_be_inside_and_no_more():
    gate = inside(AdmissionLimit(20, 1.0), 19)
    assert not gate.full
    gate.enter()
    assert gate.full
    gate.leave()
    assert not gate.full


@pytest.mark.parametrize(("seconds", "admitted"), [(0.001, 64), (0.005, 50), (0.01, 25)])
def test_only_so_many_as_are_answered_in_time(seconds, admitted):
    gate = AdmissionLimit(64, 0.25)
    gate.record_work(seconds)
    while not gate.full:
        gate.enter()
    assert gate.inside == admitted + (admitted < 64)  # the last one makes the wait too long


def test_a_few_are_let_in_however_long_it_takes():
    gate = AdmissionLimit(64, 0.25)
    gate.record_work(60.0)
    assert not inside(gate, _MIN_INSIDE - 1).full
    assert inside(gate, 1).full


def test_the_mean_follows_the_work_and_one_slow_request_does_not_close_the_gate():
    gate = inside(AdmissionLimit(64, 0.25), 40)
    for _ in range(100):
        gate.record_work(0.002)
    gate.record_work(0.05)
    assert not gate.full
    for _ in range(100):
        gate.record_work(0.05)
    assert gate.full


def test_a_server_that_has_answered_nothing_yet_lets_in_as_many_as_may_be():
    assert not inside(AdmissionLimit(64, 0.001), 63).full


@pytest.mark.parametrize(
    ("method", "refused"), [(b"POST", True), (b"GET", False), (b"HEAD", False)]
)
def test_only_what_asks_for_a_prediction_is_refused(method, refused):
    gate = inside(AdmissionLimit(1, 1.0), 1)
    assert gate.refuses(method) is refused
    gate.leave()
    assert not gate.refuses(method)
