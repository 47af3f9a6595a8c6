"""A rollout begins, goes on after an interruption, or is refused: all by what the ledger says."""

import subprocess
import sys

import pandas as pd
import pytest

from pipeline.records import rollout_ledger
from pipeline.registry import champions, versions
from pipeline.registry import release_loader as served
from pipeline.rollout.analysis.decision import plan_hash
from pipeline.rollout.state import Rollout, begin, hold_rollout, hold_traffic, midnight_from, sides
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.errors import ConfigError, RegistryRefused, RolloutRefused
from simulation.faults import injection
from tests.rollout.edge import PLAN
from tests.rules.tree import ROOT
from tests.shared import project
from tests.shared.moves import NEW, OLD

MIDNIGHT = pd.Timestamp("2013-05-01 04:00Z")


def rollout(name="0002-canary", challenger=NEW):
    return Rollout(name, OLD, challenger, PLAN, MIDNIGHT, "0123456789ab")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2013-05-01 04:00Z", "2013-05-01 04:00Z"),  # it is one
        ("2013-05-01 04:01Z", "2013-05-02 04:00Z"),
        ("2013-05-01 03:59Z", "2013-05-01 04:00Z"),
        ("2013-03-09 12:00Z", "2013-03-10 05:00Z"),
        ("2013-03-10 06:00Z", "2013-03-11 04:00Z"),  # a day of 23 hours
        ("2013-11-03 05:00Z", "2013-11-04 05:00Z"),  # a day of 25 hours
        ("2013-11-02 12:00Z", "2013-11-03 04:00Z"),
        ("2013-12-31 23:00Z", "2014-01-01 05:00Z"),
    ],
)
def test_a_rollout_begins_at_a_midnight_of_new_york_whatever_the_clocks_do(at, expected):
    assert midnight_from(pd.Timestamp(at)) == pd.Timestamp(expected)


_HOLDS = """
import sys
from pipeline.rollout.state import hold_rollout, hold_traffic
with (hold_rollout() if sys.argv[1] == "alone" else hold_traffic()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Another process that holds what this one wants, until it is killed."""
    monkeypatch.chdir(tmp_path)
    processes = []

    def hold(name):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDS, name],
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_one_rollout_at_a_time_decides_and_a_killed_one_is_in_nobodys_way(held):
    other = held("alone")
    with pytest.raises(RolloutRefused, match="another rollout is going on"), hold_rollout():
        pass
    other.kill()
    other.wait()
    with hold_rollout():
        pass


def test_one_at_a_time_changes_the_traffic_and_a_killed_one_is_in_nobodys_way(held):
    other = held("changing")
    with hold_traffic(0.1) as mine:
        assert not mine
    other.kill()
    other.wait()
    with hold_traffic(0.1) as mine:
        assert mine


# With a registry.


@pytest.fixture
def both(challenged, monkeypatch):
    """Champion and challenger of a small project, as a rollout has them."""
    monkeypatch.setattr(served, "service_version", lambda _: "planted-1")
    return sides()


def event(name, both, minutes=0, kind="canary", **changes):
    """Write a transition of a rollout that begins where the ledger stands."""
    champion, challenger = both
    rollout = f"{rollout_ledger.count_rollouts() + 1:04}-{kind}"
    known = rollout_ledger.entries()
    if known and known[-1].move.event != "registered" and "rollout" not in changes:
        rollout = known[-1].move.rollout
    return rollout_ledger.append(
        rollout_ledger.Move.model_validate(
            {
                "at": known[-1].move.at + pd.Timedelta(minutes=minutes),
                "event": name,
                "rollout": rollout,
                "champion": champion,
                "challenger": challenger,
                "shares": {"champion": 10_000},
                "plan": plan_hash(load(RolloutConfig)),
                "first": MIDNIGHT,
                "by": "somebody",
            }
            | changes
        )
    )


needs_registry = pytest.mark.slow


@needs_registry
def test_the_challenger_of_the_registry_meets_the_champion_after_all_that_has_arrived(both):
    found, known = begin("canary")
    assert (found.champion, found.challenger) == both
    assert [side.version for side in both] == ["1", "2"]
    assert (found.name, known, found.ledger_length) == ("0002-canary", [], 1)
    assert found.first == pd.Timestamp("2013-05-02 04:00Z")


@needs_registry
@pytest.mark.answer("canary-decides")
def test_a_canary_that_is_repeated_is_a_new_draw_and_a_replay_the_same_one(both):
    salts = {begin("canary")[0].salt for _ in range(4)}
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {12}
    again = {begin("canary", draw="a replay")[0].salt for _ in range(4)}
    assert len(again) == 1
    assert not again & salts
    assert begin("canary", draw="another replay")[0].salt not in again | salts


@needs_registry
def test_a_canary_that_was_interrupted_keeps_its_draw(both):
    event("canary", both, salt="0123456789ab")
    assert begin("canary")[0].salt == "0123456789ab"


@needs_registry
def test_without_a_challenger_the_champion_is_deployed_again(registered, monkeypatch):
    monkeypatch.setattr(served, "service_version", lambda _: "planted-1")
    found, _ = begin("canary")
    assert found.champion == found.challenger
    faulty, _ = begin("canary", injection("slow"))
    assert faulty.challenger.fault == "slow"
    assert faulty.challenger.name != faulty.champion.name


@needs_registry
def test_a_challenger_that_was_compared_with_another_champion_is_not_rolled_out(both):
    event("promoted", both)
    champion, challenger = sides()
    assert champion.version == challenger.version == "2"


@needs_registry
def test_without_a_champion_there_is_nothing_to_roll_out_against(trained):
    with pytest.raises(RegistryRefused, match="0 champions, 1 is needed"):
        begin("canary")


@needs_registry
def test_an_unknown_fault_is_refused_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"none of the \d+ faults"):
        begin("canary", injection("sleepy"))


@needs_registry
@pytest.mark.parametrize("failed", ["rolled back", "shadow failed"])
@pytest.mark.answer("safe-rollout")
def test_what_failed_is_not_tried_again_without_force(both, failed):
    event(failed, both)
    with pytest.raises(RolloutRefused, match=rf"{failed} in 0002-canary .* FORCE=1"):
        begin("canary")
    found, _ = begin("canary", force=True)
    assert found.name == "0003-canary"


@needs_registry
@pytest.mark.parametrize("ended", ["paused", "inconclusive", "shadow held", "shadow passed"])
def test_what_ended_without_an_answer_may_be_tried_again(both, ended):
    event(ended, both)
    assert begin("canary")[0].name == "0003-canary"


@needs_registry
def test_a_fault_that_was_rolled_back_condemns_the_faulty_one_only(both):
    champion, challenger = both
    event("rolled back", (champion, challenger.model_copy(update={"fault": "slow"})))
    with pytest.raises(RolloutRefused, match="FORCE=1"):
        begin("canary", injection("slow"))
    assert begin("canary")[0].challenger == challenger


@needs_registry
@pytest.mark.answer("rollback")
def test_after_a_rollback_things_are_left_alone_for_a_while(both):
    event("rolled back", both, minutes=40 * 24 * 60)  # 05-11 10:00
    assert begin("canary", force=True)[0].first == pd.Timestamp("2013-05-13 04:00Z")
    project.configure("rollout", **{"canary.cooldown_days": 0})
    assert begin("canary", force=True)[0].first == pd.Timestamp("2013-05-12 04:00Z")


@needs_registry
@pytest.mark.answer("safe-rollout")
def test_what_was_interrupted_goes_on_with_its_own_transitions(both):
    event("canary", both)
    event("step", both, 60)
    found, known = begin("canary")
    assert found.name == "0002-canary"
    assert [entry.move.event for entry in known] == ["canary", "step"]
    assert (found.first, found.ledger_length) == (MIDNIGHT, 3)


@needs_registry
@pytest.mark.answer("safe-rollout")
def test_a_promotion_that_did_not_bake_is_taken_up_and_nothing_else_is_begun(both):
    """As where the registry refused to follow it: the new champion was left without its bake."""
    event("promoted", both, shares={"challenger": 10_000})
    found, known = begin("canary")
    assert (found.name, found.champion, found.challenger) == ("0002-canary", *both)
    assert [entry.move.event for entry in known] == ["promoted"]
    with pytest.raises(RolloutRefused, match=r"0002-canary .* unfinished at 'promoted'"):
        begin("shadow")
    event("baked", both, 60, shares={"challenger": 10_000})
    assert begin("shadow")[0].name == "0003-shadow"


@needs_registry
def test_a_blue_green_that_promoted_is_over(both):
    event("promoted", both, kind="bluegreen", shares={"challenger": 10_000})
    assert begin("shadow")[0].name == "0003-shadow"


@needs_registry
@pytest.mark.parametrize(("asked", "bad"), [("shadow", ""), ("bluegreen", ""), ("canary", "slow")])
@pytest.mark.answer("safe-rollout")
def test_something_else_is_refused_while_a_rollout_is_unfinished(both, asked, bad):
    event("step", both)
    with pytest.raises(RolloutRefused, match=r"0002-canary .* unfinished at 'step'.*rollback"):
        begin(asked, injection(bad))
    with pytest.raises(RolloutRefused, match="unfinished"):
        begin(asked, injection(bad), force=True)


@needs_registry
@pytest.mark.parametrize("last", ["blue-green", "switched", "switched back"])
def test_a_blue_green_that_was_interrupted_goes_on_wherever_it_was(both, last):
    event(last, both, kind="bluegreen")
    found, known = begin("bluegreen")
    assert (found.name, len(known)) == ("0002-bluegreen", 1)


@needs_registry
def test_an_interrupted_rollout_does_not_go_on_by_another_plan(both):
    event("step", both)
    project.configure("rollout", **{"canary.look_every": 51})
    with pytest.raises(RolloutRefused, match=r"begun with plan .* bring it back"):
        begin("canary")


def champion():
    return versions.version_of_alias(load(RegisterConfig), "champion").number


@needs_registry
@pytest.mark.answer("rollback")
def test_who_was_killed_between_a_promotion_and_its_alias_is_made_good(both):
    event("promoted", both, shares={"challenger": 10_000})
    assert champion() == "1"
    champions.repair_alias(load(RegisterConfig))
    assert champion() == "2"
    version = versions.get_version(load(RegisterConfig), "2")
    assert versions.approvals(version)[-1]["by"].startswith("0002-canary for ")
    event("rolled back", both)
    champions.repair_alias(load(RegisterConfig))
    assert champion() == "1"


@needs_registry
def test_a_green_that_all_traffic_was_switched_to_is_no_champion_yet(both):
    event("switched", both, kind="bluegreen", shares={"challenger": 10_000})
    champions.repair_alias(load(RegisterConfig))
    assert champion() == "1"
