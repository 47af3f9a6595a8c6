import numpy as np
import pytest
import sklearn.metrics

from pipeline.shared.scores import log_loss, roc_auc

CHANCE = np.random.default_rng(0)
LABELS = CHANCE.integers(0, 2, 500)
RISK = CHANCE.random(500)


def test_the_log_loss_is_that_of_scikit_learn():
    assert log_loss(LABELS, RISK).mean() == pytest.approx(sklearn.metrics.log_loss(LABELS, RISK))


def test_each_row_has_a_loss_of_its_own():
    assert log_loss(np.array([1, 0]), np.array([0.5, 0.75])) == pytest.approx(
        [np.log(2), np.log(4)]
    )


@pytest.mark.parametrize("label", [0, 1])
def test_being_surely_wrong_costs_much_and_not_without_end(label):
    (loss,) = log_loss(np.array([label]), np.array([1.0 - label]))
    assert loss == pytest.approx(np.log(1e6), abs=1e-6)


def test_the_area_is_that_of_scikit_learn_with_ties_too():
    for risk in (RISK, RISK.round(1), np.zeros(500)):
        assert roc_auc(LABELS, risk) == pytest.approx(sklearn.metrics.roc_auc_score(LABELS, risk))


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    late, on_time = RISK[LABELS == 1], RISK[LABELS == 0]
    assert roc_auc(LABELS, RISK) == pytest.approx((late[:, None] > on_time).mean())


def test_one_class_alone_has_no_area():
    assert np.isnan(roc_auc(np.ones(3), np.array([0.1, 0.2, 0.3])))
