"""A process that grows is seen by what it takes, beside a control that has as many requests."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import orjson
import psutil
import pytest

from pipeline.rollout.analysis.canary import decide_bake, decide_canary
from pipeline.rollout.traffic import resources
from pipeline.rollout.traffic.resources import (
    PROCESSOR,
    RESOURCE_COLUMNS,
    Readings,
    join,
    parse_readings,
)
from pipeline.serve.predictor import Predictor
from simulation.faults import FAULTS
from tests.patience import PATIENCE
from tests.rollout.edge import LAST, NOW, PLAN, START, requests, whole
from tests.serve.fakes import Session, Store, loaded

pytestmark = pytest.mark.answer("safe-rollout")

RULE = PLAN.canary.breakers.resources
LEVEL = {"memory": 200.0, "files": 40.0, "threads": 20.0, "log": 3.0}


def read(frame, **challengers):
    """Requests with what both servers take, 5 ms of processor each; a challenger may take more."""
    number = frame.groupby("arm").cumcount().to_numpy()
    mine = (frame["arm"] == "challenger").to_numpy()
    values = {name: np.full(len(frame), level) for name, level in LEVEL.items()}
    values[PROCESSOR] = 8.0 + 0.005 * number
    for name, each in challengers.items():
        values[name] = values[name] + np.where(mine, each * number, 0.0)
    return frame.assign(**values)


def reasons(frame, at=NOW):
    decision = decide_canary(PLAN, START, frame, at)
    return decision.outcome, "; ".join(decision.reasons)


def test_equal_servers_are_promoted_with_a_breaker_for_each_resource():
    decision = decide_canary(PLAN, START, read(whole()), LAST)
    assert decision.outcome == "promote"
    names = [b.name for b in decision.breakers if b.name.endswith("beyond the control's")]
    assert names == [f"{words} beyond the control's" for words in resources.LABELS.values()]
    assert [b.found for b in decision.breakers if b.name in names] == [0] * len(RESOURCE_COLUMNS)


@pytest.mark.parametrize(
    ("name", "each", "limit"),
    [
        ("memory", 0.45, RULE.memory),  # what went unseen: 852 MB over 1,900 requests
        ("files", 1, RULE.files),
        ("threads", 1, RULE.threads),
        (PROCESSOR, 0.1, RULE.processor),
        ("log", 10, RULE.log),
    ],
)
def test_what_grows_with_each_request_is_taken_out_and_named(
    name, each, limit, record_property: Callable[[str, object], None]
):
    frame = read(requests(), **{name: each})
    outcome, words = reasons(frame)
    assert outcome == "rollback"
    assert f"{resources.LABELS[name]} beyond the control's: " in words
    assert f"allowed {limit}" in words
    mine = np.flatnonzero(frame["arm"] == "challenger")
    first = next(n for n in range(1, len(mine)) if reasons(frame[: mine[n] + 1])[0] == "rollback")
    assert first <= max(limit / each * 1.1 + 5, RULE.min_requests + 2)
    record_property(
        f"requests until a leak of {each:g} {resources.LABELS[name]} each is seen", first
    )


@pytest.mark.parametrize("name", LEVEL)
def test_what_both_take_more_of_is_nobodys_fault(name):
    frame = read(requests())
    number = frame.groupby("arm").cumcount().to_numpy()
    frame[name] += 10.0 * number
    assert reasons(frame)[0] != "rollback"


@pytest.mark.parametrize("name", LEVEL)
def test_a_single_reading_that_is_high_is_no_level(name):
    if name in resources.LEVELS:
        frame = read(requests())
        mine = np.flatnonzero(frame["arm"] == "challenger")
        frame.loc[mine[-2:], name] += 1e6
        assert reasons(frame)[0] != "rollback"


def test_a_server_that_holds_more_from_the_beginning_is_taken_out_too():
    frame = read(requests(100))
    frame.loc[frame["arm"] == "challenger", "memory"] += 600
    assert "MB of memory beyond the control's: 600, allowed" in reasons(frame)[1]


def test_a_control_that_was_started_again_took_nothing_and_not_less():
    frame = read(requests(), **{PROCESSOR: 0.01})
    theirs = np.flatnonzero(frame["arm"] == "control")[200:]
    frame.loc[theirs, PROCESSOR] -= 8.0
    assert reasons(frame)[0] != "rollback"


@pytest.mark.parametrize("arm", ["challenger", "control"])
def test_what_a_server_takes_beside_its_requests_is_held_against_no_arm_that_has_fewer(arm):
    """Health checks and the log's thread cost the same, however many requests there are."""
    frame = read(requests(1_000))
    frame = frame.drop(np.flatnonzero(frame["arm"] == arm)[::4])
    frame[PROCESSOR] += 0.1 * (frame["at"] - frame["at"].min())
    assert not any("processor" in b.name for b in tripped(frame))


def tripped(frame):
    return [one for one in decide_canary(PLAN, START, frame, NOW).breakers if one.tripped]


def test_processor_time_counts_while_the_promotion_bakes_too():
    """No stranger is answered by a new champion, so all that its process takes is the model's."""
    frame = read(requests(), **{PROCESSOR: 0.1})
    assert len(tripped(frame)) == 1
    assert "ms of processor" in decide_bake(PLAN, START, frame, LAST).reasons[0]


def test_processor_time_of_a_few_requests_says_nothing():
    frame = read(requests(60), **{PROCESSOR: 5})
    assert reasons(frame)[0] == "hold"


def test_a_leak_that_shows_only_while_the_promotion_bakes_takes_it_back():
    frame = read(requests())
    after = requests(400, step=2, seed=1, arm="challenger", release="v2").assign(
        **{name: np.full(400, level) for name, level in LEVEL.items()}, **{PROCESSOR: 20.0}
    )
    after["memory"] += np.arange(400)
    both = frame._append(after, ignore_index=True)
    assert "MB of memory beyond" in decide_bake(PLAN, START, both, LAST).reasons[0]
    assert decide_bake(PLAN, START, frame, LAST).outcome == "hold"


@pytest.mark.parametrize("arm", ["challenger", "control"])
@pytest.mark.parametrize("from_row", [0, 200])
def test_an_arm_whose_process_is_not_read_by_now_is_not_let_on(arm, from_row):
    frame = read(whole())
    frame.loc[np.flatnonzero(frame["arm"] == arm)[from_row:], RESOURCE_COLUMNS] = np.nan
    outcome, words = reasons(frame, LAST)
    assert outcome == "hold"
    assert f"0 readings of what the {arm}'s process takes by now, needed 1" in words


def test_evidence_from_before_there_were_readings_is_decided_as_it_was():
    decision = decide_canary(PLAN, START, whole(), LAST)
    assert decision.outcome == "promote"
    assert not any("beyond the control's" in b.name for b in decision.breakers)


# The readings themselves.


def test_a_living_process_is_read_and_one_that_has_died_is_left_out(tmp_path):
    readings = Readings(tmp_path / "resources.jsonl")
    (tmp_path / "control.log").write_text("x" * 5000)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    readings.take({"control": os.getpid(), "challenger": dead.pid, "champion": 0})
    (row,) = parse_readings((tmp_path / "resources.jsonl").read_bytes()).to_dict("records")
    assert row["arm"] == "control"
    assert 10 < row["memory"] < 100_000
    assert row["threads"] >= 1
    assert row["files"] >= 3
    assert row[PROCESSOR] > 0
    assert row["log"] == 5


def test_readings_are_taken_some_time_apart_and_half_a_line_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "_SECONDS", float(PATIENCE))
    readings, path = Readings(tmp_path / "resources.jsonl"), tmp_path / "resources.jsonl"
    for _ in range(5):
        readings.take({"control": os.getpid()})
    assert len(path.read_bytes().splitlines()) == 1
    path.write_bytes(path.read_bytes() + b'{"at": 1, "ar')
    assert len(parse_readings(path.read_bytes())) == 1
    assert list(parse_readings(b"").columns) == ["at", "arm", *RESOURCE_COLUMNS]


def test_a_request_gets_its_own_servers_last_reading_by_its_end():
    told = [("control", 10, 1), ("challenger", 11, 2), ("challenger", 13, 3), ("control", 14, 4)]
    lines = [orjson.dumps({"at": at, "arm": arm, "memory": mb}) for arm, at, mb in told]
    frame = requests(4).assign(
        arm=["control", "challenger", "challenger", "champion"],
        at=[10.5, 10.0, 12.0, 20.0],
        seconds=[0.1, 0.5, 1.5, np.nan],
    )
    found = join(frame, parse_readings(b"\n".join(lines)))
    assert found["memory"] == pytest.approx([1, np.nan, 3, np.nan], nan_ok=True)
    assert np.isnan(found["files"]).all()


def test_a_reading_from_before_the_keeper_stopped_says_nothing_of_a_request_after():
    line = orjson.dumps({"at": 10, "arm": "control", "memory": 1})
    frame = requests(2).assign(arm="control", at=[14.0, 16.0], seconds=0.5)
    found = join(frame, parse_readings(line))
    assert found["memory"] == pytest.approx([1, np.nan], nan_ok=True)


# The faults.


def grown(fault, many=30):
    """How much more this process takes after so many answers of a faulty predictor."""
    process, faulty = psutil.Process(), FAULTS[fault](Predictor(loaded(Session(0.4)), Store()))
    before = process.memory_info().rss, process.num_fds(), process.num_threads()
    for _ in range(many):
        faulty._before()
    after = process.memory_info().rss, process.num_fds(), process.num_threads()
    return [new - old for old, new in zip(before, after, strict=True)]


_GROWS = """
import sys
from tests.rollout.traffic.test_resources import grown
print(*grown(sys.argv[1]))
"""


def in_a_child(fault):
    """The same in a process that ends with what it leaked; and what it wrote to its log."""
    command = [sys.executable, "-c", _GROWS, fault]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(one) for one in done.stdout.split()], len(done.stderr)


@pytest.mark.long
def test_each_fault_takes_what_it_is_called_after():
    (memory, _, _), _ = in_a_child("leak")
    (_, files, _), _ = in_a_child("files")
    (_, _, threads), _ = in_a_child("threads")
    (_, _, busy), _ = in_a_child("busy")
    _, said = in_a_child("chatty")
    assert memory > 30 * 1_900_000
    assert files == threads == 30
    assert busy == 1
    assert said == 30 * 400 * len("a line that nobody reads\n")
    assert {"leak", "files", "threads", "busy", "chatty"} <= set(FAULTS)


_COMPUTES = """
import time
from tests.rollout.traffic.test_resources import grown
grown("busy", 1)
begun = time.process_time()
while time.process_time() < begun + 0.2:
    time.sleep(0.01)
"""


def test_a_busy_thread_uses_a_processor_and_lets_others_run():
    """In a process of its own, since nothing ends that thread."""
    command = [sys.executable, "-c", _COMPUTES]
    subprocess.run(command, check=True, timeout=PATIENCE)
