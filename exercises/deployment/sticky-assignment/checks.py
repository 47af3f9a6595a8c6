"""The checks of the assignment of flights to arms."""

import xxhash

from exercises.workbench.checking import check, expect, holds, raised

FLIGHTS = [
    f"2013-05-{day:02}/{carrier}/{number}/{origin}"
    for day in range(1, 11)
    for carrier in ("UA", "B6")
    for number in range(1, 51)
    for origin in ("EWR", "JFK")
]
FIRST = {"challenger": 500, "champion": 9000, "control": 500}
SECOND = {"challenger": 2500, "champion": 5000, "control": 2500}


def _assign(flights, shares, salt):
    """Beside the solution: the arm of each flight."""
    from pipeline.rollout.traffic.routes import Route, arm_of

    return [arm_of(flight, Route(shares, salt)) for flight in flights]


def _arms(subject, shares, salt="0123456789ab", flights=FLIGHTS) -> list[str]:
    return subject.do(_assign, flights, shares, salt)


def _bucket(flight: str, salt: str = "0123456789ab") -> int:
    return xxhash.xxh64_intdigest(f"{salt}/{flight}".encode()) % 10_000


@check(3)
def test_the_arm_is_the_one_that_the_proxy_gives(subject):
    """The same hash in both: the challenger from the bottom, the control from the top."""
    expected = [
        "challenger" if b < 500 else "control" if b >= 9500 else "champion"
        for b in map(_bucket, FLIGHTS[:200])
    ]
    expect(_arms(subject, FIRST, flights=FLIGHTS[:200]), expected)


@check(2)
def test_the_shares_are_met(subject):
    """Five in a hundred of two thousand flights, give or take."""
    seen = _arms(subject, FIRST).count("challenger")
    holds(60 < seen < 145, "about 100 of 2,000 flights", f"{seen}")


@check(3)
def test_a_growing_share_moves_nobody_who_is_in_an_arm(subject):
    """Only the champion's flights are given away."""
    before, after = _arms(subject, FIRST), _arms(subject, SECOND)
    moved = sum(
        one != other and one != "champion" for one, other in zip(before, after, strict=True)
    )
    expect(moved, 0, why="a flight changed from one arm to another when the shares grew")


@check(2)
def test_another_salt_mixes_the_flights_anew(subject):
    """The next rollout meets other flights."""
    ours, theirs = (_arms(subject, SECOND, salt) for salt in ("0123456789ab", "ba9876543210"))
    both = sum(a == b == "challenger" for a, b in zip(ours, theirs, strict=True))
    why = "the same flights met the challenger of both rollouts: the salt is not in the hash"
    holds(both < 200, "about 125 of 500 flights in both", f"{both}", why)


@check(1, hidden=True)
def test_shares_that_are_not_whole_are_refused(subject):
    """A sum of 99 % is a mistake, not the champion's."""
    shares = {"challenger": 100, "champion": 100, "control": 100}
    raised(lambda: _arms(subject, shares), "ValueError")


@check(1, hidden=True)
def test_an_arm_that_has_everything_gets_everything(subject):
    """After a promotion, and without a canary."""
    expect(sorted(set(_arms(subject, {"champion": 10_000}))), ["champion"])
    expect(sorted(set(_arms(subject, {"challenger": 10_000}))), ["challenger"])
