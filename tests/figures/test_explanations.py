"""What the page says of explanations is what benchmarks/explanations.json measured."""

import json

import numpy as np
import pytest

from benchmarks import explanations
from tests.rules import tree

pytestmark = pytest.mark.answer("explainability")
FOUND = json.loads(tree.read("benchmarks/explanations.json"))
ROWS = np.array([[3.0, 1.0, 2.0], [0.0, 4.0, 1.0]])
USUAL = np.array([1.0, 1.0, 1.0])


def linear(rows):
    return rows @ np.array([0.1, 0.02, -0.05])


def product(rows):
    return rows[:, 0] * rows[:, 1]


def either(rows):
    """Two columns that say the same: one of them is enough."""
    return np.maximum(rows[:, 0], rows[:, 1])


def test_of_a_sum_both_ways_say_the_terms():
    expected = (ROWS - USUAL) * np.array([0.1, 0.02, -0.05])
    assert explanations.one_at_a_time(linear, ROWS, USUAL) == pytest.approx(expected)
    assert explanations.shapley(linear, ROWS, USUAL, 4) == pytest.approx(expected)


def test_shapley_values_add_up_and_effects_one_at_a_time_need_not(record_property):
    whole = product(ROWS) - product(np.tile(USUAL, (2, 1)))
    assert explanations.shapley(product, ROWS, USUAL, 6).sum(axis=1) == pytest.approx(whole)
    single = explanations.one_at_a_time(product, ROWS, USUAL).sum(axis=1)
    assert np.abs(single - whole).max() > 1
    record_property(
        "points of risk left unexplained one at a time, median", FOUND["one_at_a_time_gap"]
    )


def test_shapley_shares_a_product_in_halves():
    found = explanations.shapley(product, np.array([[3.0, 5.0, 0.0]]), USUAL, 40)
    assert found[0] == pytest.approx([(2 * 5 + 2 * 1) / 2, (4 * 3 + 4 * 1) / 2, 0])


def test_columns_that_say_the_same_hide_each_other_one_at_a_time():
    rows = np.array([[9.0, 9.0, 0.0]])
    assert explanations.one_at_a_time(either, rows, USUAL)[0].tolist() == [0, 0, 0]
    assert explanations.together(either, rows, USUAL, [0, 1])[0] == 8
    assert explanations.shapley(either, rows, USUAL, 4)[0] == pytest.approx([4, 4, 0])


def test_agreement_is_of_the_strongest_columns():
    one = np.array([[3.0, -4, 1, 0.1], [1, 0, 0, 0]])
    other = np.array([[0.5, 9.0, 8.0, 7.0], [-1, 0, 0, 0]])
    assert explanations.same_first(one, other) == 1
    assert explanations.shared_three(one[:1], other[:1]) == pytest.approx(2 / 3, abs=1e-4)


# What was recorded.


def test_shapley_values_explained_all_of_it():
    assert FOUND["shapley_gap"] < 1e-6


def test_one_at_a_time_left_something_and_names_another_feature_now_and_then():
    assert 0.002 < FOUND["one_at_a_time_gap"] < FOUND["whole"]
    assert 0.5 < FOUND["same_first"] < 1
    assert 0.5 < FOUND["shared_three"] < 1


def test_the_rolling_family_explains_together_what_its_members_do_one_by_one():
    assert FOUND["rolling_flights"] > 20
    assert 0.8 < FOUND["rolling_ratio"] < 1.25


def test_another_model_has_other_reasons():
    assert 0.4 < FOUND["same_first_a_month_later"] < 1
