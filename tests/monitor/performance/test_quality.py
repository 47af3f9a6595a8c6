"""How good answers were: every figure against scikit-learn or a loop, every interval over days."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.monitor.performance.quality import (
    auc_interval,
    calibration_error,
    expected_loss,
    figures,
    holm,
    intervals,
    p_nonzero_mean,
    recalibration,
)
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load

pytestmark = pytest.mark.answer("delayed-labels")
BOOTSTRAP = load(EvaluateConfig).bootstrap


@pytest.fixture
def flights():
    """Outcome, risk and day of 3,000 flights; the risks are too far from the middle."""
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.05, 0.95, 3_000).round(2)
    true = 1 / (1 + np.exp(-(0.3 + 0.6 * np.log(risk / (1 - risk)))))
    return (rng.random(3_000) < true).astype("float64"), risk, np.arange(3_000) // 100


def test_the_scores_are_those_of_scikit_learn(flights):
    late, risk, day = flights
    found = figures(late, risk, day)
    assert found.log_loss == pytest.approx(log_loss(late, risk), abs=1e-6)
    assert found.roc_auc == pytest.approx(roc_auc_score(late, risk), abs=1e-6)
    assert found.gap == pytest.approx(late.mean() - risk.mean(), abs=1e-6)
    assert (found.rows, found.labelled, found.days) == (3_000, 3_000, 30)
    assert found.late == late.sum()


def test_the_recalibration_is_that_of_an_unpenalised_logistic_regression(flights):
    late, risk, _ = flights
    inputs = np.log(risk / (1 - risk))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000).fit(inputs, late)
    slope, intercept = recalibration(late, risk)
    assert slope == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(fitted.intercept_[0], abs=1e-4)
    assert (round(slope, 1), round(intercept, 1)) == (0.6, 0.3)


def test_the_expected_loss_is_what_outcomes_drawn_from_the_risks_cost():
    rng = np.random.default_rng(1)
    risk = rng.uniform(0.05, 0.95, 200_000)
    late = (rng.random(200_000) < risk).astype("float64")
    assert expected_loss(risk).mean() == pytest.approx(log_loss(late, risk), abs=0.003)


def test_the_calibration_error_is_the_mean_distance_of_tenths():
    risk = np.repeat(np.arange(10) / 10 + 0.05, 10)
    late = np.tile([1.0] + [0.0] * 9, 10)
    assert calibration_error(late, risk) == pytest.approx(np.abs(np.arange(10) / 10 - 0.05).mean())


def test_a_flight_without_a_label_counts_in_the_coverage_and_nowhere_else(flights):
    late, risk, day = flights
    some = late.copy()
    some[::2] = np.nan
    found, half = figures(some, risk, day), figures(late[1::2], risk[1::2], day[1::2])
    assert found.coverage == 0.5
    assert found.model_dump(exclude={"rows", "coverage"}) == half.model_dump(
        exclude={"rows", "coverage"}
    )


def test_what_cannot_be_said_is_none_and_never_zero():
    nothing = figures(np.array([np.nan]), np.array([0.5]), np.array([0]))
    assert (nothing.log_loss, nothing.gap, nothing.roc_auc) == (None, None, None)
    one_class = figures(np.zeros(5), np.linspace(0.1, 0.5, 5), np.zeros(5))
    assert (one_class.roc_auc, one_class.slope, one_class.intercept) == (None, None, None)
    assert one_class.log_loss is not None
    assert figures(np.array([]), np.array([]), np.array([])).coverage == 0


def test_the_intervals_are_those_of_a_loop_over_drawn_days(flights):
    late, risk, day = (values[:1_000] for values in flights)
    less = BOOTSTRAP.model_copy(update={"draws": 300})
    found = intervals(late, risk, day, less)
    slowly = {
        "log_loss": lambda y, p: log_loss(y, p),
        "gap": lambda y, p: y.mean() - p.mean(),
        "roc_auc": lambda y, p: roc_auc_score(y, p),
    }
    for name, statistic in slowly.items():
        low, high = np.quantile(list(_drawn(late, risk, day, statistic, less)), [0.025, 0.975])
        assert found[name].low == pytest.approx(low, abs=2e-6), name
        assert found[name].high == pytest.approx(high, abs=2e-6), name
        assert found[name].point == pytest.approx(statistic(late, risk), abs=2e-6), name


def _drawn(late, risk, day, statistic, bootstrap):
    """The bootstrap as a loop: days drawn again, and the statistic of their flights."""
    names = np.unique(day)
    rng = np.random.default_rng(bootstrap.seed)
    even = np.full(len(names), 1 / len(names))
    for times in rng.multinomial(len(names), even, bootstrap.draws):
        rows = [np.flatnonzero(day == d).repeat(n) for d, n in zip(names, times, strict=True)]
        yield statistic(late[np.concatenate(rows)], risk[np.concatenate(rows)])


@pytest.mark.long
@pytest.mark.answer("data-scientist")
def test_days_that_move_together_give_a_wider_interval_than_flights_by_themselves(
    record_property: Callable[[str, object], None],
):
    rng = np.random.default_rng(2)
    day = np.arange(3_000) // 100
    risk = np.full(3_000, 0.3)
    stormy = np.repeat(rng.choice([0.1, 0.7], 30), 100)
    late = (rng.random(3_000) < stormy).astype("float64")
    by_day = intervals(late, risk, day, BOOTSTRAP)["gap"]
    by_flight = intervals(late, risk, np.arange(3_000), BOOTSTRAP)["gap"]
    wide, narrow = (found.high - found.low for found in (by_day, by_flight))
    assert wide > 3 * narrow
    record_property("interval over whole days, as wide as so many over flights", wide / narrow)
    assert p_nonzero_mean(late - risk, day) > p_nonzero_mean(late - risk, np.arange(3_000))


def test_one_class_has_no_interval_of_its_ranking():
    assert auc_interval(np.zeros(4), np.linspace(0, 1, 4), np.arange(4), BOOTSTRAP) is None


def test_p_values_are_even_where_nothing_is_there_though_days_move_together():
    rng = np.random.default_rng(3)
    day = np.arange(600) // 20
    p = [p_nonzero_mean(np.repeat(rng.normal(size=30), 20), day) for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_with_equally_many_flights_a_day_it_is_the_t_test_of_the_daily_means():
    rng = np.random.default_rng(4)
    day = np.arange(900) // 30
    value = 0.4 + np.repeat(rng.normal(size=30), 30) + rng.normal(size=900)
    means = value.reshape(30, 30).mean(axis=1)
    assert p_nonzero_mean(value, day) == pytest.approx(ttest_1samp(means, 0).pvalue)


def test_a_mean_over_one_day_is_never_surprising():
    assert p_nonzero_mean(np.ones(50), np.zeros(50)) == 1.0


def test_holm_is_that_of_the_book():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
