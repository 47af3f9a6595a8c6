"""What is said of real canaries and of other processors is what was counted, and enough was."""

import json

import pytest
from scipy.stats import binomtest

from benchmarks import real_canaries, stalls
from pipeline.rollout.analysis.decision import plan_hash
from tests.rollout.edge import PLAN
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/real_canaries.json"))
PROCESSORS = json.loads(tree.read("benchmarks/processors.json"))
pytestmark = pytest.mark.answer("canary-decides")
of_the_incident = pytest.mark.answer("post-mortem")


def test_the_canaries_were_decided_by_the_plan_of_today():
    assert FOUND["plan"] == plan_hash(PLAN)


@of_the_incident
def test_enough_equal_servers_were_compared_and_few_were_rolled_back():
    assert FOUND["canaries"] >= real_canaries.WANTED == 100
    for loops in real_canaries.LOADS:
        assert abs(FOUND["by_load"][str(loops)]["canaries"] - FOUND["canaries"] / 4) < 1
    assert FOUND["false_rollbacks"] <= PLAN.canary.total_alpha * FOUND["canaries"]


@of_the_incident
def test_the_summary_is_that_of_its_canaries():
    each = FOUND["each"]
    assert len({run["salt"] for run in each}) == len(each)
    rolled_back = sum(run["ended"] == "rollback" for run in each)
    ends = binomtest(rolled_back, len(each)).proportion_ci()
    assert (FOUND["false_rollbacks"], FOUND["canaries"]) == (rolled_back, len(each))
    assert FOUND["rate"]["low"] == pytest.approx(ends.low, abs=1e-4)
    assert FOUND["rate"]["high"] == pytest.approx(ends.high, abs=1e-4)
    by_load = FOUND["by_load"].values()
    assert sum(of["false_rollbacks"] for of in by_load) == rolled_back


@of_the_incident
def test_requests_share_a_stall_and_events_hardly_share_a_sign(record_property):
    found, stopped = FOUND["stalls"], FOUND["stalls"]["stopped"]["a replay's length"]
    same = found["next_has_the_same_sign"]
    assert same["each request"]["share"] > 0.6
    assert abs(same["1 s"]["share"] - 0.5) < 0.1
    assert stopped["each request"] > 5 * found["alpha"]
    assert stopped["1 s"] <= 3 * found["alpha"]
    longer = found["stopped"]["ten times as long"]
    assert longer["1 s"] < longer["in flight together"] < longer["each request"]
    record_property("of equal servers stopped, each slow request counted", stopped["each request"])
    record_property("of equal servers stopped, a stall is one event", stopped["1 s"])


@of_the_incident
def test_drawn_stalls_are_the_recorded_ones_with_arms_by_a_coin():
    rows = json.loads("[[0, 10, 30, 1], [0, 6000, 40, 1], [1, 20, 50, 0]]")
    recorded = stalls.pd.DataFrame(
        rows, columns=["canary", "began_ms", "waited_ms", "is_challenger"], dtype="int32"
    )
    blocks, many = stalls.cut(recorded)
    assert ([len(block) for block in blocks], many) == ([1, 1, 1], 2)
    chance = stalls.np.random.default_rng(0)
    drawn = [stalls.drawn(blocks, 4, chance) for _ in range(200)]
    assert {round(float(w), 3) for _, waited, _ in drawn for w in waited} == {0.03, 0.04, 0.05}
    ours = stalls.np.concatenate([of for *_, of in drawn])
    assert 0.4 < ours.mean() < 0.6
    assert all((stalls.np.diff(began) > 0).all() for began, *_ in drawn)


@pytest.mark.answer("three-artefacts")
def test_every_output_was_the_same_on_at_least_four_instruction_sets():
    assert PROCESSORS["sets"] == len(PROCESSORS["differ"]) >= 5
    assert not any(PROCESSORS["differ"].values())
    locked = tree.load("dvc.lock")["stages"]
    outs = {
        out["path"]: out["md5"] for name in ("train", "evaluate") for out in locked[name]["outs"]
    }
    assert PROCESSORS["outputs"] == outs
