"""A batch knows less, says so, and costs little."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.features import windows
from pipeline.features.definitions import FEATURES, matrix
from pipeline.serve.batch import BatchScores, score_month
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load

pytestmark = pytest.mark.answer("online-or-batch")


class Recorder:
    """A model of one rule, which keeps what it was asked."""

    def predict(self, frame):
        self.frame = frame
        return frame["system_dep_late_1h"].to_numpy("float64")


@pytest.fixture(scope="module")
def tables(published):
    flights, weather = (
        published[table].query("month == 1 and day <= 10") for table in ("flights", "weather")
    )
    return flights, weather, load(FeaturesConfig)


@pytest.fixture(scope="module")
def both(tables):
    """The same flights a day ahead and at two hours: what the model saw, and the scores."""
    flights, weather, config = tables
    views = windows.views(flights, weather, config)
    seen = {}
    for minutes in (1440, 120):
        model = Recorder()
        known = config.model_copy(update={"horizon_minutes": minutes})
        scores = score_month(flights, views, known, "2013-01", model)
        seen[minutes] = (model.frame, scores)
    return seen


def test_every_flight_of_the_month_is_scored_once_at_both(
    tables, both, record_property: Callable[[str, object], None]
):
    assert len(both[1440][1].risk) == len(both[120][1].risk) == len(tables[0])
    record_property("real flights scored a day ahead and at two hours", len(tables[0]))


def test_a_batch_sees_what_was_known_a_day_before(both):
    early, late = both[1440][0], both[120][0]
    assert (late["predict_at"] - early["predict_at"]).dt.total_seconds().unique() == [22 * 3600]
    for view in ("weather", "aircraft", "system"):
        known = early[f"{view}_known_at"].dropna()
        assert (known < early.loc[known.index, "predict_at"]).all()


def test_what_the_schedule_says_is_the_same_at_both(both):
    early, late = (matrix(both[minutes][0], FEATURES[:4]) for minutes in (1440, 120))
    assert np.array_equal(early, late)


def test_a_day_ahead_an_aircraft_is_mostly_unknown(
    both, record_property: Callable[[str, object], None]
):
    unknown = {minutes: both[minutes][0]["aircraft_age"].isna().mean() for minutes in (1440, 120)}
    assert unknown[1440] > unknown[120]
    for minutes, share in unknown.items():
        told = f"share of real flights whose aircraft is unknown {minutes // 60} hours ahead"
        record_property(told, share)


def test_the_figures_are_of_the_rows_and_the_seconds():
    labels, risk = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8])
    found = BatchScores(120, risk, seconds=0.5).figures(labels)
    assert found["roc_auc"] == 1.0
    assert found["rows_a_second"] == 8
    assert found["seconds_a_million"] == 125_000
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.9, 0.8, 0.8]).mean(), abs=1e-6)
