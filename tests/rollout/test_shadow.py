"""A shadow's losses by day: the challenger's model against the champion's, on the same flights."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import LABEL
from pipeline.rollout import controller
from pipeline.rollout.shadow import _require_logged, copy_codes, daily_loss
from pipeline.rollout.state import Rollout
from pipeline.shared.errors import NotPromoted
from pipeline.shared.scores import log_loss
from simulation.faults import injection
from simulation.traffic import ReplayedTraffic
from tests import builders
from tests.rollout.edge import PLAN
from tests.serve.fakes import Session, loaded
from tests.shared.moves import NEW, OLD

RISKS = {OLD.release: 0.2, NEW.release: 0.3}


@pytest.fixture
def lost(monkeypatch):
    """The losses of two models that always say the same, by day."""
    models = {release: loaded(Session(risk)) for release, risk in RISKS.items()}
    monkeypatch.setattr(controller, "load_release", models.__getitem__)
    rows = builders.feature_rows(300, "2013-05-01", 3)

    def told(challenger=NEW, rows=rows, fault=""):
        traffic = ReplayedTraffic(rows, np.arange(len(rows)), {})
        first = pd.Timestamp("2013-05-01 04:00Z")
        sides = OLD, challenger
        rollout = Rollout("0002-shadow", *sides, PLAN, first, "salt", injection=injection(fault))
        return rows, daily_loss(rollout, traffic)

    return told


def pairs(logged, champion):
    risk = [0.2 if one else np.nan for one in logged]
    return pd.DataFrame({"challenger_risk": risk, "champion_code": champion})


@pytest.mark.parametrize(
    ("failed", "codes"),
    [
        (0, [200, None, None, None]),  # lost by the log: evidence against nobody
        (1, [200, None, None, 0]),  # what both failed at comes first
        (2, [200, 0, None, 0]),
        (9, [200, 0, 0, 0]),
    ],
)
def test_an_answer_that_the_log_lacks_is_a_failure_only_as_far_as_the_proxy_counted_one(
    failed, codes
):
    found = copy_codes(pairs([True, False, False, False], [200, 200, 200, 500]), failed)
    assert [None if np.isnan(code) else code for code in found] == codes


@pytest.mark.parametrize(("lost", "held"), [(10, False), (11, True)])
def test_a_shadow_whose_answers_were_lost_is_held_and_not_failed(lost, held):
    rollout = Rollout("0002-shadow", OLD, NEW, PLAN, pd.Timestamp("2013-05-01 04:00Z"), "salt")
    events = []
    transitions = SimpleNamespace(
        rollout=rollout,
        servers=SimpleNamespace(folder="kept"),
        make=lambda event, *_: events.append(event),
    )
    codes = np.where(np.arange(300) < lost, np.nan, 200.0)
    frame = pd.DataFrame({"challenger_code": codes, "minute": 5})
    if not held:
        _require_logged(transitions, frame)
    else:
        with pytest.raises(NotPromoted, match=r"11 of 300 answers .* the evidence is missing"):
            _require_logged(transitions, frame)
    assert events == ["shadow held"] * held


def test_each_day_says_how_much_worse_the_challenger_is_and_on_how_many_flights(lost):
    rows, days = lost()
    assert days["date"].tolist() == ["2013-05-01", "2013-05-02", "2013-05-03"]
    assert days["rows"].tolist() == [100, 100, 100]
    first = rows[LABEL].to_numpy()[:100]
    ours, theirs = (log_loss(first, np.full(100, risk)).mean() for risk in (0.3, 0.2))
    assert days["worse_by"][0] == pytest.approx(ours - theirs, abs=1e-6)
    assert days["champion"][0] == pytest.approx(theirs, abs=1e-6)


def test_the_same_model_is_no_worse_on_any_day(lost):
    _, days = lost(OLD)
    assert days["worse_by"].tolist() == [0.0, 0.0, 0.0]


def test_a_fault_that_the_model_could_have_learned_is_in_its_loss(lost):
    _, sound = lost(OLD)
    _, faulty = lost(OLD, fault="biased")
    assert (faulty["worse_by"] != sound["worse_by"]).all()


def test_a_flight_after_midnight_utc_belongs_to_the_day_it_leaves_in_new_york(lost):
    rows = builders.feature_rows(20, "2013-05-01", 1)
    late = pd.Timestamp("2013-05-01 23:30", tz="America/New_York").tz_convert("UTC")
    _, days = lost(rows=rows.assign(sched_dep_utc=late))
    assert days["date"].tolist() == ["2013-05-01"]
