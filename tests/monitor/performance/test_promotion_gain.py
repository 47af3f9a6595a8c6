"""What the gate found of a promotion is held against what came of it in service."""

import json

import pandas as pd
import pytest
from sklearn.metrics import log_loss

from pipeline.features.definitions import LABEL
from pipeline.monitor import report
from pipeline.monitor.monitored_model import load_champion
from pipeline.monitor.performance.promotion_gain import (
    PromotionGain,
    measure_promotion,
    offline,
)
from pipeline.monitor.predictions import RISK, events_of_window, served_predictions
from pipeline.records import rollout_ledger
from pipeline.register import register
from pipeline.registry import versions
from pipeline.registry.model import load as load_model
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import EVALUATE, Estimate, Kind, Verdict, read_record
from tests.builders import compared, verdict
from tests.monitor import months

pytestmark = pytest.mark.slow
APRIL = Window(first="2013-04-01", last="2013-04-30")
COMPLETE = pd.Timestamp("2013-05-01T10:00Z")


@pytest.fixture
def promoted(challenged):
    """A second champion that the gate compared with the first, and its April."""
    register.promote()
    months.arrive()


def of_april(now=COMPLETE):
    champion, frame = load_champion(APRIL.first), events_of_window(APRIL)
    rows = served_predictions(frame, champion.scorer, None)
    return measure_promotion(frame, rows, now), frame, rows


@pytest.mark.answer("model-validation")
def test_the_gates_comparison_stands_beside_the_same_one_on_the_flights_served_since(promoted):
    found, frame, rows = of_april()
    judged = read_record(Verdict, EVALUATE / "verdict.json", "evaluate")
    (beaten,) = [check for check in judged.checks if check.kind == Kind.CHAMPION]
    assert beaten.detail.startswith(str(found.offline))
    assert (found.version, found.former) == ("2", "1")
    since = rollout_ledger.entries()[-1].move.at
    served = (frame["predict_at"] > since).to_numpy()
    registry = load(RegisterConfig)
    first = versions.get_version(registry, "1")
    former = load_model(versions.fetch_model(registry, first), first.digest).predict(frame)
    late = frame[LABEL][served]
    gain = log_loss(late, rows[RISK][served]) - log_loss(late, former[served])
    assert found.online.point == pytest.approx(gain, abs=2e-6)
    assert found.online.low <= found.online.point <= found.online.high
    assert found.online.days == len(set(frame["day"][served]))


def test_a_challenger_that_was_surely_better_offline_is_better_online(promoted, record_property):
    found, _, _ = of_april()
    assert found.offline.high < 0
    assert found.online.high < 0
    assert found.came_true
    record_property("gain offline, in nats", found.offline.point)
    record_property("gain online, in nats", found.online.point)


def test_only_labels_that_have_come_count(promoted):
    early, _, _ = of_april(pd.Timestamp("2013-04-12T10:00Z"))
    whole, _, _ = of_april()
    assert 2 <= early.online.days < whole.online.days
    assert of_april(pd.Timestamp("2013-04-02T10:00Z"))[0] is None


def test_a_first_champion_has_nobody_to_gain_on(registered):
    months.arrive()
    assert of_april()[0] is None


@pytest.mark.long
def test_every_report_of_a_month_computes_it(promoted):
    report.run("2013-04")
    written = json.loads(report.FOUND["promotion"].read_text())
    assert PromotionGain(**written) == of_april()[0]
    assert "version 2 over version 1, promoted 2013-0" in report.MONTH_PAGE.read_text()


def test_a_gate_that_compared_nothing_is_said_to(promoted):
    assert offline(verdict()) is None
    online = Estimate(point=-0.001, low=-0.003, high=0.001, days=28)
    found = PromotionGain(version="3", former="2", since="a", offline=None, online=online)
    assert found.came_true is None
    assert "not compared by the gate, online -0.0010 [-0.0030, +0.0010]" in str(found)


@pytest.mark.parametrize(("high", "said"), [(-0.01, "overlap"), (-0.03, "are apart")])
def test_intervals_that_do_not_meet_are_named(high, said):
    judged = verdict(checks=[compared(Kind.CHAMPION, "beats", (-0.05, -0.08, high), 0.0)])
    online = Estimate(point=-0.015, low=-0.02, high=0.001, days=28)
    found = PromotionGain(
        version="2", former="1", since="a", offline=offline(judged), online=online
    )
    assert str(found).endswith(f"the intervals {said}")
