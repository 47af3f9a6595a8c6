"""The checks of admission control."""

from exercises.workbench.checking import check, expect


def _gate(most, queue_seconds, work, inside):
    """Beside the solution: whether a gate is full with so many inside, after some work."""
    from pipeline.serve.admission import AdmissionLimit

    gate = AdmissionLimit(most, queue_seconds)
    for seconds in work:
        gate.record_work(seconds)
    full = []
    for many in inside:
        while gate.inside < many:
            gate.enter()
        while gate.inside > many:
            gate.leave()
        full.append(gate.full)
    return full


def _full(subject, most, queue_seconds, work, inside) -> list[bool]:
    return [bool(one) for one in subject.do(_gate, most, queue_seconds, work, inside)]


@check(1)
def test_a_quiet_server_refuses_nothing(subject):
    """Before any work is known, and up to the most."""
    expect(_full(subject, 64, 0.5, [], [0, 1, 40, 63]), [False] * 4)


@check(2)
def test_never_more_than_the_most(subject):
    """However fast the work is."""
    expect(_full(subject, 64, 0.5, [1e-6], [63, 64, 65]), [False, True, True])


@check(3)
def test_slow_work_is_refused_early(subject):
    """20 inside at 0.05 s each are a second of waiting."""
    seen = _full(subject, 64, 0.5, [0.05], [17, 20, 30])
    turns = [([False, False, False], "the number alone: nobody waits for 64 slow requests")]
    expect(seen, [True, True, True], turns)


@check(2)
def test_a_few_are_always_admitted(subject):
    """Or one slow request would close the server for good."""
    expect(_full(subject, 64, 0.5, [10.0], [0, 15, 16]), [False, False, True])


@check(2)
def test_the_first_request_is_taken_whole(subject):
    """An average that begins at nought lets far too much in."""
    expect(_full(subject, 64, 0.5, [0.04], [20]), [True])


@check(2)
def test_one_slow_request_hardly_moves_the_mean(subject):
    """A twentieth of it."""
    expect(_full(subject, 64, 0.5, [0.001] * 50 + [0.2], [20, 40]), [False, False])


@check(1, hidden=True)
def test_a_small_server_admits_less_than_a_few(subject):
    """Four at most is four at most."""
    expect(_full(subject, 4, 0.5, [10.0], [3, 4]), [False, True])


@check(1, hidden=True)
def test_a_wait_of_just_the_limit_is_allowed(subject):
    """20 at 0.025 s are just half a second."""
    expect(_full(subject, 64, 0.5, [0.025], [20, 21]), [False, True])
