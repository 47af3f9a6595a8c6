"""An attempt's course, with steps that only say how they ended; the flow runs the real ones."""

from collections.abc import Callable

import pandas as pd
import pytest

from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import WHOLE, Move, Side
from pipeline.retrain import attempt, journal
from pipeline.retrain.attempt import open_attempt, run_attempt
from pipeline.shared import errors
from simulation.year import Year

pytestmark = pytest.mark.answer("closed-loop")

AT, LATER = (pd.Timestamp(f"2013-{day} 10:00", tz="UTC") for day in ("06-17", "07-15"))
OLD, NEW = (Side(version=v, release=v * 64, features="f") for v in ("1", "2"))


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Every step only notes that it ran; `ends` replaces one by what it raises."""
    monkeypatch.chdir(tmp_path)
    order = []
    for name in attempt.STEPS:
        monkeypatch.setitem(attempt.STEPS, name, lambda _, name=name: order.append(name) or {})
    return order


def ends(monkeypatch, step, error, times=1):
    left, whole = [error] * times, attempt.STEPS[step]

    def act(going_on):
        if left:
            raise left.pop()
        return whole(going_on)

    monkeypatch.setitem(attempt.STEPS, step, act)


def run(at=AT, as_of="2013-06-16"):
    return run_attempt(at, as_of, lambda words: None, Year())


def test_every_step_runs_in_its_order_and_is_written_down(
    ran, record_property: Callable[[str, object], None]
):
    assert run().result == "promoted"
    assert ran == ["calendar", "data", "guards", "gate", "register", "shadow", "canary"]
    kinds = [event.kind for event in journal.events()]
    assert kinds == ["attempt", *["step"] * 7, "ended"]
    record_property("steps of an attempt that ran in their order", len(ran))


REFUSALS = {
    "a month that breaks a rule": ("data", errors.DataRejected("no"), "refused data", False),
    "a feature that cannot be": ("data", errors.FeatureRejected("no"), "refused data", False),
    "labels that contradict flags": ("guards", errors.LabelsRefused("no"), "refused data", False),
    "rows with a hole": ("guards", errors.TrainingRefused("no"), "refused data", False),
    "the gate says no": ("gate", errors.GateRefused("no"), "refused by the gate", True),
    "training fails": ("gate", errors.GraphFailed("no"), "failed", True),
    "the stored model differs": ("gate", errors.ParityFailed("no"), "failed", True),
    "the registry refuses": ("register", errors.RegistryRefused("no"), "failed", True),
    "the shadow fails": ("shadow", errors.RolledBack("no"), "taken out", True),
    "the shadow is too short": ("shadow", errors.NotPromoted("no"), "inconclusive", True),
    "the canary is rolled back": ("canary", errors.RolledBack("no"), "taken out", True),
    "the canary is inconclusive": ("canary", errors.NotPromoted("no"), "inconclusive", True),
    "servers do not start": ("canary", errors.ServersFailed("no"), "failed", True),
}


@pytest.mark.parametrize(("step", "error", "result", "trained"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_ends_the_attempt_and_nothing_after_it_runs(
    ran, monkeypatch, step, error, result, trained, record_property: Callable[[str, object], None]
):
    ends(monkeypatch, step, error)
    found = run()
    assert (found.result, found.trained) == (result, trained)
    names = list(attempt.STEPS)
    assert ran == names[: names.index(step)]
    last = journal.events()[-1]
    assert (last.kind, last.told["step"]) == ("ended", step)
    assert last.told["why"] == f"{type(error).__name__}: no"
    record_property("steps that ran after one that refused", len(ran[names.index(step) :]))


@pytest.mark.parametrize("step", ["calendar", "data", "gate", "register", "canary"])
@pytest.mark.parametrize(
    "error",
    [errors.StorageFailed("disk full"), OSError(28, "no space"), RuntimeError("locked")],
    ids=["disk full", "the system says so", "registry locked"],
)
def test_what_is_no_refusal_leaves_the_attempt_open_and_the_same_again_ends_it(
    ran, monkeypatch, step, error
):
    ends(monkeypatch, step, error)
    with pytest.raises(type(error)):
        run()
    assert [event.kind for event in journal.events()].count("ended") == 0
    before = list(ran)
    assert run().result == "promoted"
    # What was done is not done again; but a calendar without its data was put back.
    assert ran == ["calendar"] * (step == "data") + list(attempt.STEPS)
    assert before == ran[: len(before)]
    told = [event.told["step"] for event in journal.events() if event.kind == "step"]
    assert told == list(attempt.STEPS)
    assert [event.kind for event in journal.events()].count("attempt") == 1


@pytest.fixture
def made(monkeypatch):
    """What is put back, and which stage is made again."""
    found = []
    monkeypatch.setattr(attempt.training_windows, "undo", lambda as_of: found.append(as_of))
    monkeypatch.setattr(attempt.dvc_lock, "repro", lambda stage: found.append(stage) or "")
    return found


def test_data_that_were_refused_are_put_back_before_the_next_attempt(ran, monkeypatch, made):
    ends(monkeypatch, "data", errors.DataRejected("no"))
    run()
    assert made == []
    assert run(LATER, "2013-07-14").result == "promoted"
    assert made == ["2013-06-16", "features"]


@pytest.mark.parametrize("step", ["guards", "gate", "canary"])
def test_data_that_came_stay_however_the_attempt_ended(ran, monkeypatch, made, step):
    ends(monkeypatch, step, errors.NotPromoted("no"))
    run()
    attempt.restore_data()
    assert made == []


def test_before_any_attempt_there_is_nothing_to_put_back(ran, made):
    attempt.restore_data()
    assert made == []


def test_another_attempt_begins_with_nothing_done(ran):
    run()
    assert open_attempt(LATER, "2013-07-14", Year()).done == {}


def moved(event, shares, rollout):
    rollout_ledger.append(
        Move(
            at=AT.to_pydatetime(),
            event=event,
            rollout=rollout,
            champion=OLD,
            challenger=NEW,
            shares=shares,
            by="a test",
        )
    )


@pytest.fixture
def asked_again(tmp_path, monkeypatch):
    """The real shadow and canary steps; the commands themselves would fail the test."""
    monkeypatch.chdir(tmp_path)
    steps = {name: attempt.STEPS[name] for name in ("shadow", "canary")}
    for name in attempt.STEPS:
        monkeypatch.setitem(attempt.STEPS, name, steps.get(name, lambda _: {}))
    return journal.add(AT, "attempt", {"as_of": "2013-06-16", "entries": 0})


def test_a_promotion_that_nobody_could_write_down_is_found_in_the_ledger(asked_again):
    moved("shadow passed", {"champion": WHOLE}, "0002-shadow")
    moved("promoted", {"challenger": WHOLE}, "0003-canary")
    moved("baked", {"challenger": WHOLE}, "0003-canary")
    assert run().result == "promoted"
    told = {e.told["step"]: e.told for e in journal.events() if e.kind == "step"}
    assert told["canary"] == {
        "step": "canary",
        "rollout": "0003-canary",
        "on": "2013-06-17T10:00Z",
    }


def test_a_promotion_that_has_not_baked_goes_on_baking(asked_again, monkeypatch):
    moved("shadow passed", {"champion": WHOLE}, "0002-shadow")
    moved("promoted", {"challenger": WHOLE}, "0003-canary")
    baked = []
    monkeypatch.setattr(attempt, "run_canary", lambda _, **told: baked.append(told))
    assert run().result == "promoted"
    assert len(baked) == 1


@pytest.mark.parametrize(
    ("event", "rollout", "result"),
    [
        ("rolled back", "0003-canary", "taken out"),
        ("shadow failed", "0002-shadow", "taken out"),
        ("inconclusive", "0003-canary", "inconclusive"),
        ("paused", "0003-canary", "inconclusive"),
        ("shadow held", "0002-shadow", "inconclusive"),
    ],
)
def test_an_end_that_nobody_could_write_down_is_not_rolled_out_again(
    asked_again, event, rollout, result
):
    if rollout == "0003-canary":
        moved("shadow passed", {"champion": WHOLE}, "0002-shadow")
    moved(event, {"champion": WHOLE}, rollout)
    assert run().result == result


def test_last_weeks_champion_with_newer_days_has_no_shadow_and_a_short_canary(
    asked_again, monkeypatch
):
    monkeypatch.setitem(attempt.STEPS, "gate", lambda _: {"fast_track": True})
    asked = []

    def canary(_, **told):
        asked.append(told["fast_track"])
        if len(asked) == 1:
            raise OSError(28, "no space")  # the same again has to know it from the journal
        moved("promoted", {"challenger": WHOLE}, "0002-canary")
        moved("baked", {"challenger": WHOLE}, "0002-canary")

    monkeypatch.setattr(attempt, "run_canary", canary)
    with pytest.raises(OSError, match="no space"):
        run()
    assert run().result == "promoted"
    assert asked == [True, True]
    told = {e.told["step"]: e.told for e in journal.events() if e.kind == "step"}
    assert "left out" in told["shadow"]
