"""The figures of a soak, from answers that are made up: each fault shows in its own figure."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import soak_figures
from benchmarks.open_loop import UNSENT, Answers
from pipeline.records.request_log_writer import open_log
from tests.records.test_request_log import answer

pytestmark = pytest.mark.answer("scaling")
BEGAN, SECONDS, RATE = 1000.0, 300.0, 20
NONE = np.empty((0, 2))


def rows(codes, seconds=0.01):
    """So many answers at the rate, each of version 1."""
    due = BEGAN + np.arange(len(codes)) / RATE
    took = np.broadcast_to(seconds, len(codes))
    return np.column_stack([due, took, codes, np.ones(len(codes)), codes == 503])


@pytest.fixture
def run():
    codes = np.full(int(SECONDS * RATE), 200.0)
    burst = Answers(rows(np.array([200.0, 503.0, 503.0])), NONE)
    samples = [
        {"at": at, "name": name, "memory": 100.0, "files": 20.0}
        for at in np.arange(0, SECONDS, 5)
        for name in ("envoy", "champion", "control")
    ]
    return SimpleNamespace(
        seconds=SECONDS,
        capacity=2.0 * RATE,
        answered_before=0,
        began=BEGAN,
        steady=Answers(rows(codes), NONE),
        bursts=[(100.0, 105.0, burst)],
        waiting=64.0,
        operator=SimpleNamespace(changes=[0.01, 0.03], kills=[50.0], back=[1.5]),
        samples=SimpleNamespace(rows=samples),
    )


@pytest.fixture
def record(run, tmp_path):
    url = f"sqlite:///{tmp_path}/log.db"
    with open_log(url, 100) as log:
        log.add([answer(number) for number in range(3)])
    return lambda: soak_figures.record(run, url)


def test_a_calm_run_has_no_fault(record, run):
    found = record()
    assert (found["errors"], found["refused_outside_bursts"]) == (0, 0)
    assert found["ratios"] == {"p99": 1.0, "memory": 1.0, "files": 1.0}
    assert found["changes"] == {
        "changes": 2, "slowest_ms": 30.0, "answers_by_version": {"1": len(run.steady.rows)}
    }  # fmt: skip
    assert found["kills"] == {"kills": 1, "seconds_until_ready": 1.5}
    assert found["bursts"]["refused"] == 2
    assert found["bursts"]["seconds_until_normal"] == 0
    assert found["log"] == {
        "answered": len(run.steady.rows) + 1, "lost": len(run.steady.rows) + 1 - 3
    }  # fmt: skip


def test_refusals_count_apart_in_bursts_after_them_and_outside(record, run):
    code = run.steady.rows[:, 2]
    code[int(102 * RATE)] = 503  # in the burst
    code[int(106.5 * RATE)] = 503  # in the seconds after it
    code[int(200 * RATE)] = 503
    code[int(201 * RATE)] = 0
    code[int(202 * RATE)] = UNSENT
    found = record()
    assert (found["errors"], found["refused_outside_bursts"]) == (1, 1)
    assert found["unsent_outside_bursts"] == 1
    assert found["requests"] == len(code) - 1
    assert found["bursts"]["seconds_until_normal"] == 0


@pytest.mark.parametrize(("slow_until", "normal"), [(107.0, 2.0), (290.0, -1.0)])
def test_recovery_counts_from_the_end_of_the_burst(record, run, slow_until, normal):
    due = run.steady.rows[:, 0] - BEGAN
    run.steady.rows[(due >= 104) & (due < slow_until), 1] = 0.5
    assert record()["bursts"]["seconds_until_normal"] == normal


def test_a_process_that_grows_and_answers_that_slow_down_show(record, run):
    due = run.steady.rows[:, 0] - BEGAN
    run.steady.rows[:, 1] = 0.01 + due / SECONDS * 0.01
    for sample in run.samples.rows:
        sample["memory"] += sample["at"] if sample["name"] == "champion" else 0.0
    found = record()
    assert found["ratios"]["p99"] > 1.3
    assert found["ratios"]["memory"] > 2
    assert found["ratios"]["files"] == 1
