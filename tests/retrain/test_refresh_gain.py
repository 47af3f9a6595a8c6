"""What refreshes changed: each champion's answers against those of the one before it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from pipeline.features.definitions import LABEL
from pipeline.monitor.performance import delayed_labels
from pipeline.retrain.refresh_gain import previous_releases, refresh_gain
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from tests.retrain.test_replayed_predictions import NEW, OLD, everything, path, story, year

__all__ = ["path", "year"]

pytestmark = pytest.mark.answer("when-to-retrain")


def told(year, last="2013-03-31"):
    return delayed_labels.daily(year.frame[year.day <= last])


def found(year, known, last="2013-03-31"):
    return refresh_gain(year, known, told(year, last), load(EvaluateConfig).bootstrap)


def test_each_champion_is_held_against_the_one_that_it_took_over_from(path):
    assert previous_releases(story(path)) == {NEW.release: OLD.release}


def test_it_is_the_loss_of_what_was_answered_less_that_of_the_champion_before(year, path):
    known = story(path)
    rows = year.predictions(known, everything(year))
    mine = rows.loc[rows["release"] == NEW.release, "flight"]
    late = pd.Series(year.frame[LABEL].to_numpy(), year.base["flight"])[mine].to_numpy()
    risks = [np.full(len(late), risk) for risk in (0.2, 0.1)]
    ours, theirs = (log_loss(late, risk, labels=[0, 1]) for risk in risks)
    result = found(year, known)
    assert result.point == pytest.approx(ours - theirs, abs=2e-6)
    assert result.low <= result.point <= result.high
    assert result.days > 10


def test_only_labels_that_have_come_count(year, path):
    known = story(path)
    assert found(year, known, last="2013-03-12").days < found(year, known).days
    assert found(year, known, last="2013-03-04") is None


def test_a_challenger_that_never_took_over_has_changed_nothing(year, path):
    assert found(year, story(path, end="rolled back")) is None
