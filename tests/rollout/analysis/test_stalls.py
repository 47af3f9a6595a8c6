"""Events of bad requests, against an oracle that goes through them one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.stalls import Arms, bad_events, longest_run
from tests.rollout.edge import NOW, PLAN, START, requests

pytestmark = pytest.mark.answer("canary-decides", "post-mortem")


def grouped(bad, start, end, ours, seconds):
    """The majority of each event, and the request that outlived it, by definition."""
    found, row = [], 0
    while row < len(bad):
        if not bad[row]:
            row += 1
            continue
        over = max(start[row] + seconds, end[row])
        members = [i for i in range(row, len(bad)) if bad[i] and (start[i] < over or i == row)]
        after = [i for i in range(members[-1] + 1, len(bad)) if start[i] >= over]
        majority = sum(1 if ours[i] else -1 for i in members)
        if majority and after:
            found.append((majority > 0, after[0]))
        row = members[-1] + 1
    return found


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 30), st.booleans(), st.booleans()), max_size=40
    ),
    st.sampled_from([0.0, 3.0, 10.0]),
)
def test_events_are_those_of_the_definition(rows, seconds):
    gaps, waits, bad, ours = zip(*rows, strict=True) if rows else ((), (), (), ())
    start = np.cumsum(np.array(gaps, dtype="float64"))
    end = start + np.array(waits, dtype="float64")
    bad, ours = np.array(bad, dtype=bool), np.array(ours, dtype=bool)
    found = bad_events(bad, start, end, ours, seconds)
    expected = grouped(bad, start, end, ours, seconds)
    assert list(zip(found.is_challenger, found.over, strict=True)) == expected
    assert sum(found.counts()) == len(expected)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), min_size=1), st.data())
def test_what_comes_later_never_changes_an_event_that_was_counted(rows, data):
    gaps, bad, ours = (np.array(column) for column in zip(*rows, strict=True))
    start = np.cumsum(gaps.astype("float64"))
    seen = data.draw(st.integers(0, len(rows)))
    whole = bad_events(bad, start, start + 2, ours, 4.0)
    part = bad_events(bad[:seen], start[:seen], start[:seen] + 2, ours[:seen], 4.0)
    many = len(part.over)
    assert part.over.tolist() == whole.over[:many].tolist()
    assert part.is_challenger.tolist() == whole.is_challenger[:many].tolist()


def test_a_stall_of_many_requests_is_one_event_and_as_many_apart_are_as_many():
    start = np.arange(41.0)
    bad, ours = start < 40, np.ones(41, dtype=bool)
    assert bad_events(bad, start, start, ours, 100.0).counts() == (0, 0)  # it is not over
    assert bad_events(bad, np.append(start[:-1] / 100, 99), start * 0, ours, 1.0).counts() == (1, 0)
    assert bad_events(bad, start, start, ours, 1.0).counts() == (40, 0)


def test_where_more_is_allowed_the_first_bad_request_decides():
    start = np.array([0.0, 0.1, 0.2, 9.0])
    bad, ours = np.array([True, True, True, False]), np.array([True, False, False, False])
    assert bad_events(bad, start, start, ours, 1.0).counts() == (0, 1)
    assert bad_events(bad, start, start, ours, 1.0, max_ratio=2.0).counts() == (1, 0)


def stalled(seed, stalls=60):
    """Requests of which a server makes some slow together, again and again: either server's."""
    chance = np.random.default_rng(seed)
    seen = requests(6000, seed=seed).assign(at=lambda rows: np.arange(len(rows)) / 50)
    for first in chance.choice(5900, stalls, replace=False):
        arm = chance.choice(["challenger", "control"])
        rows = np.arange(first, first + 40)
        hit = rows[(seen["arm"].to_numpy()[rows] == arm)]
        seen.iloc[hit, seen.columns.get_loc("seconds")] = 0.3
    return seen


@pytest.mark.long
def test_equal_servers_that_stall_are_stopped_rarely_and_were_often_when_requests_were_counted():
    """200 canaries of equal servers; the limit of the guardrail is one in a hundred."""
    alarms = {"events": 0, "requests": 0}
    for seed in range(200):
        seen = stalled(seed)
        alone = seen.assign(at=np.arange(len(seen)) * 10.0)  # as if each waited alone
        alarms["events"] += decide_canary(PLAN, START, seen, NOW).metric("slow").alarmed
        alarms["requests"] += decide_canary(PLAN, START, alone, NOW).metric("slow").alarmed
    assert alarms["events"] <= 6
    assert alarms["requests"] >= 40


# A run that no stall explains.


def run(ours, theirs, seconds=1.0):
    """Requests of both arms in turn, so many seconds apart: bad ones are "x"."""
    both = [mark for pair in zip(ours, theirs, strict=True) for mark in pair]
    bad = np.array([mark == "x" for mark in both])
    start = np.arange(len(both)) * seconds / 2
    return Arms(bad, start, np.arange(len(both)) % 2 == 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("xxxxx", ".....", 5),
        ("xx.xxx", "......", 3),
        ("xxxxxx", "xxx...", 0),  # half of the control's are bad too
        ("xxxxxx", "x.....", 6),  # one in five is not too many
        ("......", "xxxxxx", 0),
        ("x.x.x.", "......", 0),  # each lasts no time
    ],
)
def test_a_run_is_bad_all_along_beside_a_control_that_is_not(ours, theirs, expected):
    assert longest_run(run(ours, theirs), 1.0, 0.2) == expected


def test_a_run_that_is_too_short_or_has_no_control_is_none():
    assert longest_run(run("xxxxx", ".....", seconds=0.1), 1.0, 0.2) == 0
    alone = Arms(np.ones(9, dtype=bool), np.arange(9.0), np.ones(9, dtype=bool))
    assert longest_run(alone, 1.0, 0.2) == 0
    nobody = Arms(np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0, dtype=bool))
    assert longest_run(nobody, 0.0, 0.2) == 0


def test_a_challenger_that_is_slow_throughout_is_stopped_at_its_ninth_request():
    seen = requests(40).assign(at=np.arange(40) / 5)
    ours = np.flatnonzero(seen["arm"] == "challenger")
    seen.iloc[ours, seen.columns.get_loc("seconds")] = 0.3
    eight, nine = seen[: ours[7] + 1], seen[: ours[8] + 1]
    assert decide_canary(PLAN, START, eight, NOW).outcome == "hold"
    decision = decide_canary(PLAN, START, nine, NOW)
    assert decision.outcome == "rollback"
    assert decision.reasons == ["slow in a row: 9, allowed 8"]
