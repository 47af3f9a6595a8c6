"""What the ledger tells, and every decision made again from its evidence."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.records import rollout_ledger
from pipeline.rollout.analysis.canary import decide_bake, decide_canary
from pipeline.rollout.analysis.decision import Position, plan_hash
from pipeline.rollout.analysis.shadow import decide_shadow
from pipeline.rollout.state import Rollout
from pipeline.rollout.who_served import format_ledger, replay_decision, who_served
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered, DayUnknown, RolloutRefused
from tests.rollout.edge import NOW, PLAN, START, bad, requests
from tests.shared.moves import NEW, OLD, move, registered

EVIDENCE = Path("data/rollout/0002-canary/evidence-01.parquet")
ROLLOUT = Rollout("0002-canary", OLD, NEW, PLAN, pd.Timestamp("2013-05-01 04:00Z"), "salt")
FAILING = bad(requests(), "challenger", 50, code=503, risk=float("nan"))


@pytest.fixture(autouse=True)
def _begun(tmp_path, monkeypatch):
    """A ledger in which a champion is registered."""
    monkeypatch.chdir(tmp_path)
    rollout_ledger.append(registered())


def decided(event, observed, decision, rollout=ROLLOUT, minutes=0):
    """Write a decision down with its evidence, as a rollout does."""
    kept = rollout.save_evidence(observed, decision)
    rollout_ledger.append(
        move(event, minutes, rollout=rollout.name, plan=plan_hash(rollout.plan), **kept)
    )


def stepped():
    decided("step", requests(), decide_canary(PLAN, START, requests(), NOW))


@pytest.mark.answer("canary-decides", "post-mortem")
def test_every_kind_of_decision_comes_out_again_number_by_number():
    stepped()
    decided("rolled back", FAILING, decide_canary(PLAN, START, FAILING, NOW))
    at = Position(step=2, days=7, days_at_step=4)
    gone = at.model_copy(update={"alive": False})
    decided("rolled back", requests(), decide_bake(PLAN, START, requests(), gone))
    told = replay_decision("0002-canary")
    assert told.startswith("0002-canary: 3 decisions come out again, number by number: ")
    assert told.endswith("step: advance, rolled back: rollback, rolled back: rollback")


def test_a_shadows_decision_comes_out_again():
    days = pd.DataFrame({"rows": [900] * 28, "worse_by": [0.02, 0.021] * 14})
    decided("shadow failed", days, decide_shadow(PLAN, days, refresh=True))
    assert replay_decision().endswith(
        "1 decisions come out again, number by number: shadow failed: rollback"
    )


def test_the_last_rollout_with_evidence_is_decided_again_unless_another_is_named():
    stepped()
    later = Rollout("0003-canary", OLD, NEW, PLAN, ROLLOUT.first, "salt")
    decided("step", requests(seed=1), decide_canary(PLAN, START, requests(seed=1), NOW), later, 9)
    assert replay_decision().startswith("0003-canary: ")
    assert replay_decision("0002-canary").startswith("0002-canary: ")


@pytest.mark.parametrize("name", ["0009-canary", "0001-register"])
def test_a_rollout_without_decisions_is_refused_with_those_that_have_some(name):
    stepped()
    with pytest.raises(RolloutRefused, match=r"has 0 decisions .*\['0002-canary'\]"):
        replay_decision(name)


def test_where_nothing_was_decided_there_is_nothing_to_decide_again():
    with pytest.raises(RolloutRefused, match="no rollout has 0 decisions"):
        replay_decision()


@pytest.mark.answer("canary-decides")
def test_evidence_that_was_changed_is_told():
    stepped()
    frame = pd.read_parquet(EVIDENCE)
    frame.loc[0, "code"] = 503
    frame.to_parquet(EVIDENCE)
    with pytest.raises(ArtifactTampered, match="the evidence was changed"):
        replay_decision()


def test_evidence_that_was_cut_off_is_told_as_changed():
    stepped()
    EVIDENCE.write_bytes(EVIDENCE.read_bytes()[:100])
    with pytest.raises(ArtifactTampered, match="the evidence was changed"):
        replay_decision()


def test_evidence_that_is_gone_is_told():
    stepped()
    EVIDENCE.unlink()
    with pytest.raises(ArtifactMissing, match=r"evidence-01\.parquet is missing"):
        replay_decision()


@pytest.mark.answer("canary-decides")
def test_a_plan_that_was_changed_is_told_even_where_it_decides_the_same():
    stepped()
    path = EVIDENCE.with_name("plan.json")
    plan = json.loads(path.read_text())
    plan["canary"]["bake_days"] = 2
    path.write_text(json.dumps(plan))
    with pytest.raises(ArtifactTampered, match="the decision or its code was changed"):
        replay_decision()


@pytest.mark.parametrize("changed", [{"outcome": "promote"}, {"reasons": ["because"]}])
@pytest.mark.answer("canary-decides")
def test_a_decision_that_its_evidence_does_not_give_is_told(changed):
    decision = decide_canary(PLAN, START, requests(), NOW).model_copy(update=changed)
    decided("step", requests(), decision)
    with pytest.raises(ArtifactTampered, match="its evidence gives 'advance'"):
        replay_decision()


@pytest.mark.answer("canary-decides")
def test_a_number_that_its_evidence_does_not_give_is_told():
    decision = decide_canary(PLAN, START, requests(), NOW)
    errors = decision.metrics[0].model_copy(update={"p": 0.5})
    decided(
        "step", requests(), decision.model_copy(update={"metrics": [errors, *decision.metrics[1:]]})
    )
    with pytest.raises(ArtifactTampered):
        replay_decision()


# Who served.


@pytest.mark.answer("who-served")
def test_who_served_and_how_much_is_said_with_the_transition_that_made_it_so():
    rollout_ledger.append(move())
    told = who_served("2013-05-01T00:30Z")
    assert told.startswith(
        "at 2013-05-01 00:30Z: version 1 (aaaaaaaa) 95% and version 2 (bbbbbbbb) 5%, "
        "since 'canary' in 0002-canary at 2013-05-01 00:00Z by canary for somebody (entry 2)"
    )
    assert "version 1 (aaaaaaaa) 100%, since 'registered'" in who_served("2013-04-30T23:59Z")
    assert who_served().startswith("now: version 1 (aaaaaaaa) 95% and version 2 (bbbbbbbb) 5%, ")


@pytest.mark.answer("who-served")
def test_who_was_mirrored_to_is_named_and_does_not_serve():
    rollout_ledger.append(move("shadow", shares={"champion": 10_000}, mirrored=True))
    told = who_served("2013-05-01T00:30Z")
    assert "version 1 (aaaaaaaa) 100%, mirrored to version 2 (bbbbbbbb), since 'shadow'" in told


@pytest.mark.parametrize("at", ["2013-04-30T22:59Z", "2013-05-01", "noon"])
@pytest.mark.answer("who-served")
def test_before_the_first_release_or_at_no_instant_nobody_served(at):
    with pytest.raises(DayUnknown):
        who_served(at)


def test_the_history_has_a_line_for_each_transition():
    rollout_ledger.append(move())
    first, *lines = format_ledger(rollout_ledger.entries()).splitlines()
    assert first == "2 transitions, all hashes hold"
    assert "registered" in lines[0]
    assert "challenger 5 champion 90 control 5; version 1 (aaaaaaaa) against version 2" in lines[1]


def test_without_a_release_there_is_no_history():
    with pytest.raises(RolloutRefused, match="0 entries"):
        format_ledger([])
