"""A refit learns nothing that had not come before its first judged day, and wins only surely."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import LABEL, matrix
from pipeline.monitor.monitored_model import refit
from pipeline.monitor.performance.refit_gain import RefitGain, measure_gain, training_rows_before
from pipeline.monitor.predictions import served_predictions
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.scores import log_loss
from tests.monitor import months

pytestmark = pytest.mark.answer("which-drift")


@pytest.mark.parametrize(
    ("point", "high", "wins"),
    [
        (-0.02, -0.001, True),
        (-0.01, -0.001, True),
        (-0.009, -0.001, False),
        (-0.02, 0.0, False),
        (-0.02, 0.001, False),
        (0.02, 0.03, False),
    ],
)
def test_a_refit_wins_only_surely_and_by_enough(point, high, wins):
    found = RefitGain(
        point=point, low=-0.05, high=high, first="2013-03-18", last="2013-03-31", days=14, rows=9
    )
    assert found.wins(0.01) is wins


def test_a_gain_is_told_with_its_interval_and_days():
    found = RefitGain(
        point=-0.0282, low=-0.0412, high=-0.0146, first="a", last="b", days=14, rows=9_000
    )
    assert str(found) == "-0.0282 [-0.0412, -0.0146] over 14 days"


@pytest.fixture
def project(registered):
    """A project with a champion, whose March has arrived."""
    return months.arrive()


def of_march(now=months.COMPLETE, days=14):
    champion, frame = months.the_champion(), months.march()
    return measure_gain(
        champion, frame, served_predictions(frame, champion.scorer, None), now, days
    )


def flipped(rows, *dates):
    """Let the labels of these days of March say the opposite."""
    chosen = (rows["month"] == 3) & rows["day"].isin(dates)
    months.told(rows.assign(late=rows["late"].where(~chosen, 1 - rows["late"])))


@pytest.mark.slow
def test_it_is_the_difference_of_losses_on_the_newest_days(project):
    found, champion, frame = of_march(), months.the_champion(), months.march()
    assert (found.first, found.last, found.days) == ("2013-03-18", "2013-03-31", 14)
    judged = frame[frame["name"] >= "2013-03-18"]
    assert found.rows == len(judged)
    known = project["late_known_at"] < "2013-03-17T12:00Z"
    learned = project[known & (project["sched_dep_utc"] < "2013-03-17T04:00Z")]
    names = champion.scorer.model.features
    model = refit(load(TrainConfig), names, matrix(learned, names), learned[LABEL].to_numpy())
    late = judged[LABEL].to_numpy()
    theirs = log_loss(late, model.predict_proba(matrix(judged, names))[:, 1])
    ours = log_loss(late, champion.scorer.model.predict(judged))
    assert found.point == pytest.approx(float((theirs - ours).mean()), abs=1e-5)
    assert found.low < found.point < found.high


@pytest.mark.slow
def test_a_label_that_came_after_the_first_judged_day_began_is_not_learned(project):
    before = of_march()
    flipped(project, 17)  # complete on the 18th at ten
    assert of_march() == before
    flipped(project, 16)
    assert of_march() != before


@pytest.mark.slow
def test_what_is_known_before_a_day_had_come_when_it_began(project):
    known = training_rows_before(months.the_champion(), "2013-03-18")
    assert known["name"].str[:10].min() == "2013-01-08"
    assert known["name"].str[:10].max() == "2013-03-16"
    assert known["late_known_at"].max() < pd.Timestamp("2013-03-18", tz="UTC")


@pytest.mark.slow
def test_a_day_whose_labels_are_not_due_is_not_judged(project):
    found = of_march(pd.Timestamp("2013-03-25T10:00Z"))
    assert (found.first, found.last) == ("2013-03-11", "2013-03-24")
    found = of_march(pd.Timestamp("2013-03-25T09:59Z"))
    assert (found.first, found.last) == ("2013-03-10", "2013-03-23")
    flipped(project, *range(24, 32))
    assert of_march(pd.Timestamp("2013-03-25T09:59Z")) == found


@pytest.mark.slow
def test_with_fewer_labelled_days_than_asked_for_nothing_is_said(project):
    assert of_march(pd.Timestamp("2013-03-15T09:59Z")) is None
    assert of_march(pd.Timestamp("2013-03-15T10:00Z")).days == 14
    assert of_march(pd.Timestamp("2013-03-02T10:00Z")) is None  # one day has no interval


@pytest.mark.slow
def test_a_relation_that_turned_is_one_that_a_refit_wins_and_noise_is_not(
    project, record_property: Callable[[str, object], None]
):
    assert not of_march().wins(0.01)
    flipped(project, *range(1, 32))
    found = of_march()
    assert found.wins(0.01)
    assert found.high < -0.1
    record_property("change of log loss by a refit, where the relation turned", found.point)


@pytest.mark.slow
def test_what_was_served_is_judged_and_not_what_a_batch_would_say(project):
    champion, frame = months.the_champion(), months.march()
    rows = served_predictions(frame, champion.scorer, None)
    worst = rows.assign(risk=np.where(frame[LABEL] == 1, 0.01, 0.99))
    assert measure_gain(champion, frame, worst, months.COMPLETE, 14).point < of_march().point - 1
