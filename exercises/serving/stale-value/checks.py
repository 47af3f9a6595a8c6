"""The checks of the expiry of served values."""

from exercises.workbench.checking import check, expect

NAN = float("nan")
NEVER = -(2**63)


def _expired(known, winds, at, hours):
    """Beside the solution: the winds and their instants after the expiry."""
    import numpy as np

    from pipeline.features.on_demand import _expire
    from pipeline.features.windows import NEVER

    joined = {
        "weather_known_at": np.array(known, "int64"),
        "wind_speed": np.array(winds, "float64"),
    }
    _expire(joined, "weather_known_at", ["wind_speed"], np.array(at, "int64"), hours)
    gone = (joined["weather_known_at"] == NEVER).tolist()
    return [joined["wind_speed"], gone]


@check(3)
def test_a_value_older_than_its_hours_is_missing(subject):
    """Seven hours old, at most six are allowed."""
    seen, _ = subject.do(_expired, [10_000 - 7 * 60], [9.0], [10_000], 6)
    turns = [
        ([9.0], "instants are in minutes, and the hours became another unit"),
        ([0.0], "a default: 0 knots is a calm, and no unknown wind"),
    ]
    expect(seen, [NAN], turns)


@check(2)
def test_the_instant_of_an_old_value_is_gone_too(subject):
    """What monitoring reads must say that there is nothing."""
    _, gone = subject.do(_expired, [10_000 - 7 * 60], [9.0], [10_000], 6)
    expect(gone, [True])


@check(2)
def test_a_fresh_value_is_served(subject):
    """An hour old, of six."""
    expect(subject.do(_expired, [9_940], [9.0], [10_000], 6), [[9.0], [False]])


@check(2)
def test_a_value_of_just_its_hours_is_fresh(subject):
    """At the limit it is still good, and a minute later it is not."""
    seen = subject.do(_expired, [10_000 - 360, 10_000 - 361], [9.0, 9.0], [10_000, 10_000], 6)
    expect(seen, [[9.0, NAN], [False, True]])


@check(2, hidden=True)
def test_each_request_is_judged_for_itself(subject):
    """A batch of flights from three airports, one of whose feeds stopped."""
    seen = subject.do(_expired, [9_990, 5_000, 9_900], [3.0, 9.0, 7.0], [10_000] * 3, 6)
    expect(seen, [[3.0, NAN, 7.0], [False, True, False]])


@check(1, hidden=True)
def test_what_was_never_known_stays_so(subject):
    """An origin without any observation."""
    expect(subject.do(_expired, [NEVER], [NAN], [10_000], 6), [[NAN], [True]])
